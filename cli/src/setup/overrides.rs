//! `parameter_overrides` of samconfig.toml: the parameters of the template, in the forms that SAM takes.
//!
//! `sam deploy --guided` writes one text, `A="1" B="2"`. People write lists of such texts, and AWS's older
//! `ParameterKey=A,ParameterValue=1`. Each stays in its form.

use toml_edit::{Array, Item, Value};

use crate::visible;

/// One parameter as it is written.
struct Override {
    name: String,
    value: String,
    /// As SAM reads it, in an item that it may share with others.
    written: String,
}

/// All of them, in their order.
#[derive(Default)]
pub(crate) struct Overrides {
    all: Vec<Override>,
    is_text: bool,
}

impl Overrides {
    /// # Errors
    /// If SAM couldn't read it either.
    pub(crate) fn read(item: Option<&Item>) -> Result<Self, String> {
        let Some(item) = item else { return Ok(Self::default()) };
        let is_text = item.is_str();
        let texts: Option<Vec<_>> = match item.as_value() {
            Some(Value::String(text)) => Some(vec![text.value().as_str()]),
            Some(Value::Array(texts)) => texts.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let texts = texts.ok_or("must be a text or a list of texts")?;
        let all = texts.into_iter().flat_map(words).map(|word| parameter(&word).ok_or(word));
        let all = all
            .collect::<Result<_, _>>()
            .map_err(|word| format!("has {}, which is no NAME=VALUE", visible::short(&word)))?;
        Ok(Self { all, is_text })
    }

    /// The last one counts, as for SAM.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all.iter().rev().find(|it| it.name == name).map(|it| it.value.as_str())
    }

    /// Sets one and leaves the others as they are written.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let quoted = if self.is_text || value.is_empty() || value.contains([' ', '"', '\'', '\\']) {
            format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            value.to_owned()
        };
        let new = Override { name: name.into(), value: value.into(), written: format!("{name}={quoted}") };
        match self.all.iter_mut().rev().find(|it| it.name == name) {
            Some(old) => *old = new,
            None => self.all.push(new),
        }
    }

    /// In the form it had; if there was none, a list with a line for each.
    pub(crate) fn write(&self, before: Option<&Item>) -> Value {
        if self.is_text {
            let text = self.all.iter().map(|it| it.written.as_str()).collect::<Vec<_>>().join(" ");
            return text.into();
        }
        let old = before.and_then(Item::as_array).cloned().unwrap_or_default();
        let is_one_line = !old.is_empty() && !old.to_string().contains('\n');
        let mut list = Array::new();
        for it in &self.all {
            // With the comments around it.
            let same = old.iter().find(|item| item.as_str() == Some(it.written.as_str()));
            let in_place = same.or_else(|| old.iter().find(|item| names(item) == [it.name.as_str()]));
            let mut item = same.cloned().unwrap_or_else(|| it.written.as_str().into());
            match in_place {
                Some(old) => *item.decor_mut() = old.decor().clone(),
                None => item.decor_mut().set_prefix(if is_one_line { " " } else { "\n    " }),
            }
            // The line break before the closing bracket belongs to the list once there is a comma.
            let suffix = item.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default();
            if suffix.trim().is_empty() {
                item.decor_mut().set_suffix("");
            }
            list.push_formatted(item);
        }
        if !is_one_line {
            list.set_trailing_comma(true);
            list.set_trailing(old.trailing().as_str().filter(|text| text.contains('\n')).unwrap_or("\n"));
        }
        list.into()
    }
}

/// The names in an item of a list.
fn names(item: &Value) -> Vec<String> {
    let words = item.as_str().map(words).unwrap_or_default();
    words.iter().filter_map(|word| Some(parameter(word)?.name)).collect()
}

/// Splits at blanks outside of quotes.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut quote, mut is_escaped) = (None, false);
    for c in text.chars() {
        if c.is_whitespace() && quote.is_none() && !is_escaped {
            words.push(std::mem::take(&mut word));
            continue;
        }
        word.push(c);
        match quote {
            _ if is_escaped => is_escaped = false,
            _ if c == '\\' => is_escaped = true,
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

fn parameter(word: &str) -> Option<Override> {
    let (name, value) = match word.strip_prefix("ParameterKey=") {
        Some(rest) => rest.split_once(",ParameterValue=")?,
        None => word.split_once('=')?,
    };
    Some(Override { name: name.trim_matches('"').into(), value: unquoted(value), written: word.into() })
}

fn unquoted(value: &str) -> String {
    let within = |quote| value.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    let value = within('"').or_else(|| within('\'')).unwrap_or(value);
    let (mut plain, mut is_escaped) = (String::new(), false);
    for c in value.chars() {
        if c == '\\' && !is_escaped {
            is_escaped = true;
        } else {
            is_escaped = false;
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use toml_edit::DocumentMut;

    use super::*;

    /// The line after `ConsentUnknown` was set to `hold`.
    fn holding(toml: &str) -> String {
        let mut document: DocumentMut = toml.parse().unwrap();
        let mut overrides = Overrides::read(document.get("it")).unwrap();
        overrides.set("ConsentUnknown", "hold");
        document["it"] = overrides.write(document.get("it")).into();
        document.to_string()
    }

    #[test]
    fn each_form_is_read() {
        for toml in [
            r#"it = "A=\"1 2\" B=x ConsentUnknown=send""#,
            r#"it = 'A="1 2" B=x ConsentUnknown=send'"#,
            r#"it = "ParameterKey=A,ParameterValue=1\\ 2 ParameterKey=B,ParameterValue=\"x\" ConsentUnknown=send""#,
            r#"it = ["A='1 2'", "B=x ConsentUnknown=\"send\""]"#,
        ] {
            let document: DocumentMut = toml.parse().unwrap();
            let overrides = Overrides::read(document.get("it")).unwrap();
            let read = ["A", "B", "ConsentUnknown", "C"].map(|name| overrides.get(name));
            assert_eq!(read, [Some("1 2"), Some("x"), Some("send"), None], "{toml}");
        }
        for toml in ["it = 1", "it = {A = 1}", "it = [1]", "it = 'A'"] {
            let document: DocumentMut = toml.parse().unwrap();
            assert!(Overrides::read(document.get("it")).is_err(), "{toml}");
        }
    }

    #[test]
    fn a_text_stays_a_text_and_a_list_keeps_its_comments() {
        assert_eq!(
            holding(r#"it = 'A="1 2" ConsentUnknown="send" B=x'"#),
            "it = 'A=\"1 2\" ConsentUnknown=\"hold\" B=x'\n"
        );
        let list = "it = [\n  # why\n  \"A='1 2'\",\n  \"ConsentUnknown=send\", # law\n  \"B=x\"\n]\n";
        assert_eq!(holding(list), "it = [\n  # why\n  \"A='1 2'\",\n  \"ConsentUnknown=hold\", # law\n  \"B=x\",\n]\n");
        assert_eq!(holding("it = ['A=1', 'ConsentUnknown=x']"), "it = ['A=1', \"ConsentUnknown=hold\"]\n");
        assert_eq!(holding("it = [\n    \"A=1\",\n]\n"), "it = [\n    \"A=1\",\n    \"ConsentUnknown=hold\",\n]\n");
    }
}
