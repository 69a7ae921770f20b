//! A source as it is declared.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::crm::authentication::DeclaredScheme;
use crate::crm::fields::{self, DeclaredFields, Pointer, Text};
use crate::crm::lookup::DeclaredLookup;
use crate::crm::payload::BodyEncoding;
use crate::crm::rules::{Amount, Conditions, DeclaredRule};
use crate::declarations::DeclarationProblem;

/// The table of a source.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [acme]")]
pub(in crate::crm) struct DeclaredSource {
    /// Its first name was `ready`, which existing declarations still use.
    #[serde(alias = "ready")]
    pub preset: Option<Spanned<String>>,
    pub body: Option<BodyEncoding>,
    pub items: Option<Spanned<Pointer>>,
    pub challenge: Option<Spanned<Pointer>>,
    pub only: Option<Spanned<Conditions>>,
    pub strict: Option<bool>,
    pub auth: Option<Vec<Spanned<DeclaredScheme>>>,
    #[serde(default, deserialize_with = "fields::with_clicks")]
    pub fields: DeclaredFields,
    pub rules: Option<Vec<Spanned<DeclaredRule>>>,
    pub fetch: Option<Spanned<DeclaredLookup>>,
}

impl DeclaredSource {
    /// This table; keys that are absent are taken from the other.
    pub fn over(self, other: Self) -> Self {
        Self {
            preset: self.preset,
            body: self.body.or(other.body),
            items: self.items.or(other.items),
            challenge: self.challenge.or(other.challenge),
            only: self.only.or(other.only),
            strict: self.strict.or(other.strict),
            auth: self.auth.or(other.auth),
            fields: self.fields.over(other.fields),
            rules: self.rules.or(other.rules),
            fetch: self.fetch.or(other.fetch),
        }
    }

    /// The same, with errors located elsewhere: the operator never sees the text of a preset.
    pub(super) fn moved_to(self, place: &Range<usize>) -> Self {
        fn moved<T>(value: Spanned<T>, place: &Range<usize>) -> Spanned<T> {
            Spanned::new(place.clone(), value.into_inner())
        }
        Self {
            items: self.items.map(|items| moved(items, place)),
            challenge: self.challenge.map(|challenge| moved(challenge, place)),
            only: self.only.map(|only| moved(only, place)),
            auth: self.auth.map(|auth| auth.into_iter().map(|it| moved(it, place)).collect()),
            rules: self.rules.map(|rules| rules.into_iter().map(|it| moved(it, place)).collect()),
            fetch: self.fetch.map(|fetch| moved(fetch, place)),
            ..self
        }
    }

    /// A source that nothing could prove.
    pub(super) fn unproven(&self, name: &Spanned<String>) -> Option<DeclarationProblem> {
        self.auth.as_ref().is_none_or(Vec::is_empty).then(|| {
            let what = format!(
                "says nowhere how it authenticates: add [[{}.auth]] with a scheme, such as bearer = {{ secret = \
                 \"NAME_OF_A_SETTING\" }}",
                name.get_ref()
            );
            DeclarationProblem::at(name.span(), what)
        })
    }

    /// What a webhook has and a file hasn't.
    pub(super) fn of_webhooks(&self, name: &Spanned<String>) -> Option<DeclarationProblem> {
        let keys = [
            ("preset", self.preset.is_some()),
            ("body", self.body.is_some()),
            ("items", self.items.is_some()),
            ("challenge", self.challenge.is_some()),
            ("auth", self.auth.is_some()),
            ("fetch", self.fetch.is_some()),
        ];
        let (key, _) = keys.into_iter().find(|(_, is_there)| *is_there)?;
        let what = format!("{key} is of webhooks, and this is the mapping of a file: leave it out");
        Some(DeclarationProblem::at(name.span(), what))
    }

    /// The columns of a file that it names.
    pub(super) fn columns(&self) -> Vec<String> {
        let mut columns: Vec<_> = self.pointers().into_iter().filter_map(Pointer::root).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Missing and contradictory keys.
    pub(super) fn problems(&self, name: &Spanned<String>) -> Vec<DeclarationProblem> {
        let (here, name) = (name.span(), name.get_ref());
        let mut problems = Vec::new();
        let mut find = |at: &Range<usize>, what: String| problems.push(DeclarationProblem::at(at.clone(), what));
        if self.fields.deal_id.is_none() {
            find(&here, format!("needs the id of the deal: add deal_id = \"/deal/id\" to [{name}.fields]"));
        }
        for (field, name) in [(&self.fields.deal_id, "deal_id"), (&self.fields.event_id, "event_id")] {
            if matches!(field, Some(Text::Always(_))) {
                find(&here, format!("{name} is the same for all that comes: point it at what the CRM sends"));
            }
        }
        if self.rules.as_ref().is_none_or(Vec::is_empty) {
            find(
                &here,
                format!(
                    "has no rules: add [[{name}.rules]], such as when = {{ stage = \"won\" }} and conversion = \"closed\""
                ),
            );
        }
        if let (Some(items), Some(BodyEncoding::Form)) = (&self.items, self.body)
            && items.get_ref().as_str().is_empty()
        {
            let fix = "point items at the list that its bracketed names make, such as \"/leads/status\"";
            find(&items.span(), format!("a form isn't an array itself: {fix}, or leave it out"));
        }
        if let Some(challenge) = self.challenge.as_ref().filter(|it| it.get_ref().as_str().is_empty()) {
            find(
                &challenge.span(),
                "is the whole body: name the field that must be sent back, such as /challenge".into(),
            );
        }
        if let Some(only) = &self.only {
            self.undeclared(only.get_ref(), name).into_iter().for_each(|what| find(&only.span(), what));
        }
        for rule in self.rules.iter().flatten() {
            self.undeclared(&rule.get_ref().when, name).into_iter().for_each(|what| find(&rule.span(), what));
            self.lacking(rule.get_ref(), name).into_iter().for_each(|what| find(&rule.span(), what));
        }
        self.names_of_forms(&here, &mut find);
        self.never_fetched(&mut find);
        let points = self.pointers().into_iter().any(Pointer::is_in_fetched);
        match &self.fetch {
            Some(fetch) if !points => find(
                &fetch.span(),
                format!("nothing points at what is fetched: add email = \"/fetched/emails\" to [{name}.fields]"),
            ),
            None if points => find(
                &here,
                format!("points at /fetched, but nothing is fetched: add [{name}.fetch], or leave these pointers out"),
            ),
            _ => {}
        }
        problems
    }

    /// Pointers with a name as only forms have them, where JSON is read: in bodies, or in what is fetched.
    fn names_of_forms(&self, here: &Range<usize>, find: &mut impl FnMut(&Range<usize>, String)) {
        let is_json = self.body != Some(BodyEncoding::Form);
        let what = |pointer: &Pointer| {
            let fix = pointer.in_json().filter(|_| is_json || pointer.is_in_fetched())?;
            let pointer = pointer.as_str();
            Some(format!(
                "{pointer} finds nothing in JSON, where a bracket chooses by a value, as in /a[name=x]: write {fix}; \
                 if the CRM sends forms, say body = \"form\""
            ))
        };
        let own = self.items.iter().chain(&self.challenge).map(|it| (it.span(), vec![it.get_ref()]));
        let only = self.only.iter().map(|only| (only.span(), only.get_ref().pointers().collect()));
        let rules = self.rules.iter().flatten().map(|rule| (rule.span(), rule.get_ref().pointers()));
        for (at, pointers) in own.chain(only).chain(rules) {
            pointers.into_iter().filter_map(what).for_each(|what| find(&at, what));
        }
        for (field, pointers) in self.fields.pointed() {
            pointers.into_iter().filter_map(what).for_each(|what| find(here, format!("field {field}: {what}")));
        }
    }

    /// Pointers that find nothing in any answer of the CRM that is asked. A field with another pointer still has that.
    fn never_fetched(&self, find: &mut impl FnMut(&Range<usize>, String)) {
        let Some(fetch) = &self.fetch else { return };
        let never = |pointer: &Pointer| fetch.get_ref().never_has(pointer);
        let only = self.only.iter().map(|only| (only.span(), only.get_ref()));
        let rules = self.rules.iter().flatten().map(|rule| (rule.span(), rule.get_ref().pointers()));
        let only = only.map(|(at, only)| (at, only.pointers().collect()));
        for (at, pointers) in only.chain(rules) {
            pointers.into_iter().filter_map(never).for_each(|what| find(&at, what));
        }
        for (field, pointers) in self.fields.pointed() {
            let found: Vec<_> = pointers.iter().copied().filter_map(never).collect();
            if let Some(what) = found.first().filter(|_| found.len() == pointers.len()) {
                find(&fetch.span(), format!("field {field}: {what}"));
            }
        }
    }

    /// All that it points at, in fields and conditions.
    pub(super) fn pointers(&self) -> Vec<&Pointer> {
        let rules = self.rules.iter().flatten().flat_map(|rule| rule.get_ref().pointers());
        let only = self.only.iter().flat_map(|only| only.get_ref().pointers());
        self.fields.pointed().into_iter().flat_map(|(_, pointers)| pointers).chain(rules).chain(only).collect()
    }

    fn undeclared(&self, conditions: &Conditions, name: &str) -> Vec<String> {
        let undeclared = conditions.subjects().filter(|subject| !subject.is_declared(&self.fields));
        undeclared
            .map(|it| {
                format!("asks about the {it}, which isn't declared: add {it} = \"/deal/{it}\" to [{name}.fields]")
            })
            .collect()
    }

    /// The fields that a rule's `value` needs.
    fn lacking(&self, rule: &DeclaredRule, name: &str) -> Vec<String> {
        if !rule.is_of_stage() {
            return Vec::new();
        }
        let fields = &self.fields;
        let needs_value = rule.value == Amount::Expected && fields.value.is_none();
        let needs_probability = rule.value == Amount::Expected && fields.probability.is_none();
        let has_value = match rule.value {
            Amount::Deal => fields.value.is_some(),
            Amount::Expected | Amount::Fixed(_) => true,
            Amount::None => false,
        };
        let needs_currency = has_value && fields.currency.is_none();
        let lacking = [
            (needs_value, "value = \"/deal/value\""),
            (needs_probability, "probability = { at = \"/deal/probability\", divide_by = 100 }"),
            (needs_currency, "currency = \"/deal/currency\" or currency = { text = \"EUR\" }"),
        ];
        let lacking = lacking.into_iter().filter(|(lacks, _)| *lacks);
        lacking.map(|(_, fix)| format!("its value needs another field: add {fix} to [{name}.fields]")).collect()
    }
}
