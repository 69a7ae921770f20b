//! Sources: CRMs that may send webhooks, as an operator declares them.

mod challenge;
mod declared;
mod secrets;
mod shown;

use std::collections::BTreeMap;

use secrecy::SecretString;
use toml::Spanned;

use super::authentication::{Sample, Scheme, Signed};
use super::fields::{DeclaredFields, Pointer};
use super::lookup::Lookup;
use super::payload::{self, BodyEncoding, Item};
use super::presets;
use super::rules::{Conditions, Rule};
use crate::deals::Stages;
use crate::declarations::{DeclarationProblem, Kind, Problems, Table};
use crate::http::problem::FieldError;
use crate::identity::Carrier;

pub(super) use declared::DeclaredSource;
pub use secrets::Missing;
use secrets::{Lenience, Secrets, fetch, schemes};

/// The source that needs no declaration: the contract of `POST /api/webhooks/crm-conversion`.
pub const DEFAULT: &str = "crm-conversion";

const KIND: Kind = Kind {
    noun: "source",
    repeats_values: true,
    fix: |message| match message {
        "invalid type: map, expected a sequence" => {
            Some("there can be several of these: write the name in double brackets, such as [[acme.auth]]")
        }
        "missing field `when`" => {
            Some("does not say when it matches: add when = { status = \"won\" }, or when = {} for always")
        }
        _ => None,
    },
};

/// What a source sends, where it says so. Those of leads are read elsewhere.
#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum SourceKind {
    Deal,
    Lead,
}

/// All sources by name.
#[derive(Debug, Default)]
pub struct Sources(pub(super) BTreeMap<String, Source>);

/// A CRM that may send webhooks. Its name is the last part of the URL it posts to.
#[derive(Debug)]
pub struct Source {
    /// Lower-case letters, digits and hyphens, at most 40.
    pub name: String,
    /// The authentication schemes of its webhooks; any one is enough.
    pub schemes: Vec<Scheme>,
    /// Looks up at the CRM what its webhooks leave out.
    pub fetch: Option<Lookup>,
    /// The preset it starts from.
    pub preset: Option<String>,
    /// The parts of the declaration that can't be used.
    pub missing: Vec<Missing>,
    encoding: BodyEncoding,
    items: Option<Pointer>,
    /// Where the text is that must be sent back.
    challenge: Option<Pointer>,
    pub(super) only: Conditions,
    pub(super) strict: bool,
    pub(super) fields: DeclaredFields,
    pub(super) rules: Vec<Rule>,
}

/// How the columns of a file are read.
#[derive(Debug)]
pub struct Mapping {
    /// Its name is that of the source that the deals are said to come from.
    pub source: Source,
    /// The columns that it names.
    pub columns: Vec<String>,
}

impl Mapping {
    fn of(mut table: Table<'_>, stages: &Stages) -> Result<Self, Vec<DeclarationProblem>> {
        let name = table.name.clone();
        table.take::<SourceKind>("kind")?;
        let declared: DeclaredSource = table.read()?;
        if let Some(problem) = declared.of_webhooks(&name) {
            return Err(vec![problem]);
        }
        let columns = declared.columns();
        Ok(Self { columns, source: Source::new(&name, declared, stages, &|_| None, Lenience::File)? })
    }
}

impl Sources {
    /// Reads the operator's declarations: each table is a source. The default source exists whether or not it is
    /// declared; while its secrets are not set, authentication to it always fails.
    ///
    /// # Errors
    /// For the operator: what is wrong in which line, and the fix, for all sources at once.
    pub fn parse(toml: &str, stages: &Stages, secret: &dyn Fn(&str) -> Option<SecretString>) -> Result<Self, String> {
        Self::read(toml, stages, secret, Lenience::None)
    }

    /// The same without requiring the secrets: what can't be used without them is [`Source::missing`]. For tests of
    /// declarations, not for production.
    ///
    /// # Errors
    /// As [`Sources::parse`].
    pub fn draft(toml: &str, stages: &Stages, secret: &dyn Fn(&str) -> Option<SecretString>) -> Result<Self, String> {
        Self::read(toml, stages, secret, Lenience::All)
    }

    fn read(toml: &str, stages: &Stages, secret: &Secrets<'_>, lenience: Lenience) -> Result<Self, String> {
        let mut problems = Problems::of(toml, KIND);
        let mut sources = BTreeMap::new();
        // Sources of leads are declared beside them (`lead_sources`).
        for mut table in problems.tables().into_iter().filter(|table| table.text("kind") != Some("lead")) {
            let name = table.name.clone();
            match table.take::<SourceKind>("kind") {
                Ok(_) => {}
                Err(found) => {
                    problems.add(name.get_ref(), found);
                    continue;
                }
            }
            let lenience = if name.get_ref() == DEFAULT { lenience.max(Lenience::OfPreset) } else { lenience };
            let source = table.read().and_then(|declared| Source::new(&name, declared, stages, secret, lenience));
            match source {
                Ok(source) => drop(sources.insert(source.name.clone(), source)),
                Err(found) => problems.add(name.get_ref(), found),
            }
        }
        problems.check()?;
        if !sources.contains_key(DEFAULT) {
            sources.insert(DEFAULT.into(), Self::preset(DEFAULT, stages, secret)?);
        }
        Ok(Self(sources))
    }

    /// Reads the mapping of a file: a declaration of one source, without what only webhooks have. Its pointers name the
    /// columns of the file.
    ///
    /// # Errors
    /// For the operator: what is wrong in which line, and the fix.
    pub fn mapping(toml: &str, stages: &Stages) -> Result<Mapping, String> {
        let mut problems = Problems::of(toml, Kind { noun: "mapping", ..KIND });
        let mut mapping = None;
        if let Ok([table]) = <[_; 1]>::try_from(problems.tables()) {
            let name = table.name.clone();
            match Mapping::of(table, stages) {
                Ok(read) => mapping = Some(read),
                Err(found) => problems.add(name.get_ref(), found),
            }
        }
        problems.check()?;
        mapping
            .ok_or_else(|| "must be one table, such as [history], with [history.fields] and [[history.rules]]".into())
    }

    /// An unchanged preset, with those of its secrets that are set.
    ///
    /// # Errors
    /// For the operator: the names of all presets, or what is wrong with a secret.
    pub fn preset(
        name: &str,
        stages: &Stages,
        secret: &dyn Fn(&str) -> Option<SecretString>,
    ) -> Result<Source, String> {
        let declared = DeclaredSource { preset: Some(Spanned::new(0..0, name.into())), ..DeclaredSource::default() };
        Source::new(&Spanned::new(0..0, name.into()), declared, stages, secret, Lenience::OfPreset)
            .map_err(|found| found.into_iter().map(|problem| problem.what).collect::<Vec<_>>().join("\n"))
    }

    /// The source of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Source> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.values()
    }
}

impl Source {
    /// Checks a declaration.
    fn new(
        name: &Spanned<String>,
        declared: DeclaredSource,
        stages: &Stages,
        secret: &Secrets<'_>,
        lenience: Lenience,
    ) -> Result<Self, Vec<DeclarationProblem>> {
        check_name(name)?;
        let here = name.span();
        let declared = match &declared.preset {
            Some(preset) => {
                let under = presets::declared(preset.get_ref(), stages)
                    .map_err(|what| vec![DeclarationProblem::at(preset.span(), what)])?;
                declared.over(under.moved_to(&here))
            }
            None => declared,
        };
        let mut problems = declared.problems(name);
        problems.extend(declared.unproven(name).filter(|_| lenience > Lenience::File));
        let (schemes, mut missing) = schemes(&declared, &here, secret, lenience).unwrap_or_else(|found| {
            problems.extend(found);
            Default::default()
        });
        let fetch = fetch(&declared, secret, lenience, &mut missing).unwrap_or_else(|found| {
            problems.push(found);
            None
        });
        let mut rules = Vec::new();
        for rule in declared.rules.into_iter().flatten() {
            let rule = rule.into_inner();
            let place = rule.conversion.span();
            match rule.checked(stages) {
                Ok(rule) => rules.push(rule),
                Err(what) => problems.push(DeclarationProblem::at(place, what)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let strict = declared.strict.unwrap_or_default();
        Ok(Self {
            name: name.get_ref().clone(),
            schemes,
            fetch,
            preset: declared.preset.map(Spanned::into_inner),
            missing,
            encoding: declared.body.unwrap_or_default(),
            items: declared.items.map(Spanned::into_inner),
            challenge: declared.challenge.map(Spanned::into_inner),
            only: declared.only.map(Spanned::into_inner).unwrap_or_default(),
            strict,
            fields: if strict { declared.fields } else { declared.fields.lenient() },
            rules,
        })
    }

    /// The items of a body: at most 1,000. One that is no object is there with its fault.
    ///
    /// # Errors
    /// Where the whole body differs from the declaration: not JSON or not a form, or another structure. Of a strict
    /// source also a duplicate key, more than 16 levels, or U+0000 in it.
    pub fn items(&self, body: &[u8]) -> Result<Vec<Item>, Vec<FieldError>> {
        payload::items(body, self.encoding, self.items.as_ref(), self.strict).map_err(|refusal| vec![refusal])
    }

    /// What its texts come in.
    pub(super) fn carrier(&self) -> Carrier {
        match self.encoding {
            BodyEncoding::Json => Carrier::Json,
            BodyEncoding::Form => Carrier::Form,
        }
    }

    /// Does a body have an array of items?
    #[must_use]
    pub fn has_items(&self) -> bool {
        self.items.is_some()
    }

    /// Signs a body as the CRM would, by the first scheme for which we have the secret.
    #[must_use]
    pub fn sign(&self, sample: &Sample<'_>) -> Option<Signed> {
        self.schemes.iter().find_map(|scheme| scheme.sign(sample))
    }
}

fn check_name(name: &Spanned<String>) -> Result<(), Vec<DeclarationProblem>> {
    let known = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if (1..=40).contains(&name.get_ref().len()) && name.get_ref().bytes().all(known) {
        return Ok(());
    }
    let what = "the name of a source is 1 to 40 lower-case letters, digits and hyphens, as it stands in its URL";
    Err(vec![DeclarationProblem::at(name.span(), what)])
}

#[cfg(test)]
mod tests;
