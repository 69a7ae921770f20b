//! What of a form can't be used as it is: a warning each, or for a caller that wants it strict, a refusal.

use std::borrow::Cow;

use serde_json::Value;

use crate::absent::is_nothing;
use crate::attribution::networks;
use crate::http::Problem;
use crate::http::body::{Fields, value_in};
use crate::http::problem::FieldError;
use crate::identity::number_as_text;
use crate::warning::Warning;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Oddities(Vec<Odd>);

#[derive(Debug)]
struct Odd {
    warning: Warning,
    /// What the field must be.
    rule: String,
    /// Is it refused where things are handled strictly?
    is_refusable: bool,
}

impl Oddities {
    /// A field that can't be used.
    pub(super) fn left_out(&mut self, field: &'static str, rule: &str, is_refusable: bool) {
        let warning = Warning { field, detail: format!("is left out: it {rule}") };
        self.0.push(Odd { warning, rule: rule.into(), is_refusable });
    }

    /// A field that is used otherwise than it was sent.
    pub(super) fn change(&mut self, field: &'static str, how: &str, is_refusable: bool) {
        let rule = "must be nothing but the id".into();
        self.0.push(Odd { warning: Warning { field, detail: how.into() }, rule, is_refusable });
    }

    /// A warning that is no reason to refuse.
    pub(super) fn note(&mut self, warning: Warning) {
        self.0.push(Odd { rule: warning.detail.clone(), warning, is_refusable: false });
    }

    /// Warnings that are refusals where things are handled strictly.
    pub(super) fn refusable(&mut self, warnings: Vec<Warning>) {
        self.0.extend(warnings.into_iter().map(|warning| Odd {
            rule: warning.detail.clone(),
            warning,
            is_refusable: true,
        }));
    }

    /// The first text of a field that says something.
    pub(super) fn text(&mut self, fields: &Fields<'_>, name: &'static str) -> Option<String> {
        let texts = self.texts(fields, name);
        let said = texts.iter().position(|text| !is_nothing(text)).unwrap_or_default();
        texts.into_iter().nth(said)
    }

    /// A text, or a whole number as one; of a list each of its texts, and of an object the one in it.
    fn texts(&mut self, fields: &Fields<'_>, name: &'static str) -> Vec<String> {
        let Some(said) = fields.hint(name, Some) else { return Vec::new() };
        if let Ok(text) = fields.text(name) {
            return text.map(String::from).into_iter().collect();
        }
        let several = match said {
            Value::Array(several) => several.as_slice(),
            one => std::slice::from_ref(one),
        };
        let texts: Vec<_> = several.iter().filter_map(|it| as_text(value_in(name, it))).collect();
        if texts.is_empty() {
            self.left_out(name, "must be a text", true);
        }
        let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).map(Cow::into_owned).collect();
        let taken = match texts.len() {
            0 => return texts,
            1 => "is taken as a text: send it as one",
            _ => "has several values: the first that can be used is taken",
        };
        let warning = Warning { field: name, detail: taken.into() };
        self.0.push(Odd { warning, rule: "must be a text".into(), is_refusable: true });
        texts
    }

    /// A field that must follow its rule.
    pub(super) fn parsed<T>(
        &mut self,
        fields: &Fields<'_>,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(fields, name, parse, true)
    }

    /// The same of a field that was never a reason to refuse.
    pub(super) fn optional<T>(
        &mut self,
        fields: &Fields<'_>,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(fields, name, parse, false)
    }

    fn read<T>(
        &mut self,
        fields: &Fields<'_>,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
        is_refusable: bool,
    ) -> Option<T> {
        let parsed = |text: &String| {
            if is_nothing(text) { Err("says that there is none".to_owned()) } else { parse(text) }
        };
        let mut tried: Vec<_> = self.texts(fields, name).iter().map(parsed).collect();
        let used = tried.iter().position(Result::is_ok).unwrap_or_default();
        let first = (!tried.is_empty()).then(|| tried.swap_remove(used))?;
        first.map_err(|rule| self.left_out(name, &rule, is_refusable)).ok()
    }

    /// A text as it is stored: without control characters, and cut.
    pub(super) fn fitted(&mut self, fields: &Fields<'_>, name: &'static str, limit: usize) -> Option<String> {
        let text = self.text(fields, name)?;
        Some(self.fit(name, &text, limit, false))
    }

    /// The same of a campaign's parameter, which may be a gap that nobody filled in.
    pub(super) fn campaign(&mut self, fields: &Fields<'_>, name: &'static str, limit: usize) -> Option<String> {
        let text = self.text(fields, name)?;
        if is_nothing(&text) {
            self.left_out(name, "says that there is none", false);
            return None;
        }
        Some(self.fit(name, &text, limit, true))
    }

    fn fit(&mut self, field: &'static str, text: &str, limit: usize, is_refusable: bool) -> String {
        let is_kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        let kept: String = text.chars().filter(is_kept).take(limit).collect();
        if kept != text {
            let detail = format!("is stored without control characters, and with {limit} characters at the most");
            let rule = format!("must be at most {limit} characters, without control characters");
            self.0.push(Odd { warning: Warning { field, detail }, rule, is_refusable });
        }
        kept
    }

    /// Nothing says who it is: 400 with what was sent for it, or that nothing was.
    pub(super) fn nobody(&self) -> Problem {
        let clicks = networks::ids_of(|_| true);
        let is_sign = |field: &str| ["email", "phone"].contains(&field) || clicks.iter().any(|name| name == field);
        let mut errors = self.errors(|odd| is_sign(odd.warning.field));
        if !errors.iter().any(|error| error.pointer == "/email") {
            let detail =
                "is required, unless a phone number, a click id or the address of a page with one says who it is"
                    .into();
            errors.insert(0, FieldError { pointer: "/email".into(), detail });
        }
        Problem::invalid_body(errors)
    }

    /// # Errors
    /// 400 with every field that wasn't as it must be.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let errors = self.errors(|odd| odd.is_refusable);
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid_body(errors)) }
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.0.into_iter().map(|odd| odd.warning).collect()
    }

    /// The first of each field.
    fn errors(&self, is_meant: impl Fn(&Odd) -> bool) -> Vec<FieldError> {
        let mut errors: Vec<FieldError> = Vec::new();
        for odd in self.0.iter().filter(|odd| is_meant(odd)) {
            let pointer = format!("/{}", odd.warning.field);
            if errors.iter().all(|error| error.pointer != pointer) {
                errors.push(FieldError { pointer, detail: odd.rule.clone() });
            }
        }
        errors
    }
}

/// A text, or a whole number as one.
fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text.trim())),
        Value::Number(number) if number.is_i64() => Some(Cow::Owned(number.to_string())),
        number => number_as_text(number).map(Cow::Owned),
    }
}
