//! What the stages of a CRM mean: rules, of which the first that matches decides.

mod conditions;

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::Value;
use toml::Spanned;

use super::fields::{DeclaredFields, Ids, Pointer, Text};
use crate::deals::{NO_STAGE, Stage, Stages};
use crate::money::Money;
use conditions::either;

pub(super) use conditions::{Conditions, Held};

/// A rule as it is declared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [[acme.rules]]")]
pub(super) struct DeclaredRule {
    /// It matches if all of these do. `when = {}` always matches, but must be written: a forgotten line would make
    /// every webhook a conversion.
    pub when: Conditions,
    /// A stage, or one of `NO_STAGE`.
    pub conversion: Spanned<String>,
    #[serde(default)]
    pub value: Amount,
    /// Of a stage: the deal is open, so a win before is undone.
    #[serde(default)]
    pub reopens: bool,
    /// Of `merged`: the id of the deal that is left.
    pub into: Option<Text>,
    /// And those of the deals that are merged into it.
    pub from: Option<Ids>,
}

impl DeclaredRule {
    /// Does it say that a deal reached a stage?
    pub fn is_of_stage(&self) -> bool {
        !NO_STAGE.contains(&self.conversion.get_ref().as_str())
    }

    /// All that it points at.
    pub fn pointers(&self) -> Vec<&Pointer> {
        let into = self.into.iter().flat_map(Text::pointers);
        let from = self.from.iter().flat_map(Ids::pointers);
        self.when.pointers().chain(into).chain(from).collect()
    }

    /// # Errors
    /// What is missing in it or doesn't belong there.
    pub fn checked(self, stages: &Stages) -> Result<Rule, String> {
        let Self { when, conversion, value, reopens, into, from } = self;
        let outcome = RuleOutcome::parse(conversion.get_ref(), stages)?;
        let is_stage = matches!(outcome, RuleOutcome::Reached(_));
        if reopens && !is_stage {
            return Err("reopens = true belongs to a stage: a deal that reached none is `reopened`".into());
        }
        let conversion = match (outcome, into, from) {
            (RuleOutcome::Merged, Some(into), Some(from)) => {
                return Ok(Rule { when, conversion: RuleOutcome::Merged, value, reopens, merge: Some((into, from)) });
            }
            (RuleOutcome::Merged, ..) => {
                return Err("says which deals are merged: add into = \"/id/of/the/one/that/is/left\" and from = [\"/ids/of/the/others\"]".into());
            }
            (_, Some(_), _) | (_, _, Some(_)) => {
                return Err("into and from belong to conversion = \"merged\": leave them out".into());
            }
            (outcome, None, None) => outcome,
        };
        Ok(Rule { when, conversion, value, reopens, merge: None })
    }
}

/// A rule whose stage is known.
#[derive(Debug)]
pub(super) struct Rule {
    pub when: Conditions,
    pub conversion: RuleOutcome,
    pub value: Amount,
    pub reopens: bool,
    /// Where the ids of merged deals are: of the one that is left, and of the others.
    pub merge: Option<(Text, Ids)>,
}

impl Rule {
    /// Is it no merge, or one of which the item says, or a lookup could say, which deal is left?
    fn could_merge(&self, item: &Value) -> bool {
        self.merge.as_ref().is_none_or(|(into, _)| into.find(item).is_some() || into.waits(item))
    }
}

/// What an item means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RuleOutcome {
    Reached(Stage),
    Lost,
    Refunded,
    Reopened,
    Deleted,
    Restored,
    Merged,
    Ignore,
}

impl RuleOutcome {
    /// # Errors
    /// The words there are.
    pub fn parse(text: &str, stages: &Stages) -> Result<Self, String> {
        match text {
            "lost" => Ok(Self::Lost),
            "refunded" => Ok(Self::Refunded),
            "ignore" => Ok(Self::Ignore),
            // Stages may have been declared by these names before the words were there.
            _ => match (stages.find(text), text) {
                (Some(stage), _) => Ok(Self::Reached(stage.clone())),
                (None, "reopened") => Ok(Self::Reopened),
                (None, "deleted") => Ok(Self::Deleted),
                (None, "restored") => Ok(Self::Restored),
                (None, "merged") => Ok(Self::Merged),
                (None, _) => Err(Self::unknown(text, stages)),
            },
        }
    }

    fn unknown(text: &str, stages: &Stages) -> String {
        let mut known: Vec<_> = stages.iter().map(Stage::as_str).collect();
        known.sort_unstable();
        let known: Vec<_> = known.into_iter().chain(NO_STAGE).map(|word| format!("`{word}`")).collect();
        format!("unknown stage `{text}`, expected one of {}: declare further stages in STAGES", known.join(", "))
    }
}

impl fmt::Display for RuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reached(stage) => stage.as_str(),
            Self::Lost => "lost",
            Self::Refunded => "refunded",
            Self::Reopened => "reopened",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
            Self::Merged => "merged",
            Self::Ignore => "ignore",
        })
    }
}

/// The value of the conversion.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Amount {
    /// The deal's value.
    #[default]
    Deal,
    /// The deal's value times its probability.
    Expected,
    /// A fixed number.
    Fixed(f64),
    None,
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"deal\", \"expected\", \"none\" or a number")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Amount, E> {
                match word {
                    "deal" => Ok(Amount::Deal),
                    "expected" => Ok(Amount::Expected),
                    "none" => Ok(Amount::None),
                    _ => Err(E::custom("value is \"deal\", \"expected\", \"none\" or a number without quotes")),
                }
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Amount, E> {
                let value = Money::value_from(&rounded(number).into());
                value.map(Amount::Fixed).map_err(|why| E::custom(format!("a fixed value {why}")))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
                #[expect(clippy::cast_precision_loss, reason = "what is that large is refused")]
                self.visit_f64(number as f64)
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// Rounds to six decimals, as stored. A float above a billion has fewer.
pub(super) fn rounded(number: f64) -> f64 {
    if number.abs() < 1e9 { (number * 1e6).round() / 1e6 } else { number }
}

/// The first rule that matches, its position, and whether it matches already or depends on a lookup. A merge that
/// doesn't say into what is none if a later rule matches: some CRMs merge a deal by deleting it.
pub(super) fn choose<'a>(rules: &'a [Rule], fields: &DeclaredFields, item: &Value) -> Option<(usize, &'a Rule, Held)> {
    let held = rules.iter().enumerate().map(|(at, rule)| (at, rule, rule.when.hold(fields, item)));
    let mut matching = held.filter(|(_, _, held)| *held != Held::No);
    let first = matching.next()?;
    if first.1.could_merge(item) { Some(first) } else { matching.find(|it| it.1.could_merge(item)).or(Some(first)) }
}

/// The values in this item that the rules depend on, for people.
pub(super) fn said(rules: &[Rule], fields: &DeclaredFields, item: &Value) -> String {
    let subjects: BTreeSet<_> = rules.iter().flat_map(|rule| rule.when.subjects()).collect();
    let said: Vec<_> = subjects.into_iter().map(|subject| subject.said(fields, item)).collect();
    said.join(", ")
}

/// The error of an item that no rule matches: the pointer to the first value the rules depend on, and what is wrong
/// there.
pub(super) fn expected(rules: &[Rule], fields: &DeclaredFields, item: &Value) -> (String, String) {
    let Some(subject) = rules.iter().find_map(|rule| rule.when.subjects().next()) else {
        return Default::default();
    };
    let mut values: Vec<String> = Vec::new();
    for value in rules.iter().flat_map(|rule| rule.when.wanted(subject)) {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    let detail = match subject.find(fields, item) {
        Some(_) => format!("must be {}", either(&values)),
        None => "is required".into(),
    };
    (subject.pointer(fields).into(), detail)
}
