//! What of a declaration can be used with the secrets that are set.

use std::cell::Cell;
use std::ops::Range;

use secrecy::SecretString;

use super::DeclaredSource;
use crate::crm::authentication::Scheme;
use crate::crm::lookup::Lookup;
use crate::declarations::DeclarationProblem;

/// Looks up the secret that a setting holds.
pub(super) type Secrets<'a> = dyn Fn(&str) -> Option<SecretString> + 'a;

/// Which secrets may be missing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lenience {
    /// None is asked for: nobody sends a file.
    File,
    None,
    /// The secrets of the preset that a source starts from.
    OfPreset,
    All,
}

/// A part of a declaration that can't be used while its setting is missing.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    /// The scheme as it is called in a declaration, or `fetch`.
    pub part: &'static str,
    /// Which setting, and the fix.
    pub problem: String,
}

/// Each of the operator's schemes must work, but only one of a preset's alternatives; those without a secret are
/// returned as missing.
pub(super) fn schemes(
    declared: &DeclaredSource,
    here: &Range<usize>,
    secret: &Secrets<'_>,
    lenience: Lenience,
) -> Result<(Vec<Scheme>, Vec<Missing>), Vec<DeclarationProblem>> {
    let (mut schemes, mut problems, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for scheme in declared.auth.iter().flatten() {
        let requested = RequestedSecrets::new(secret);
        match Scheme::new(scheme.get_ref(), &|setting| requested.get(setting)) {
            Ok(scheme) => schemes.push(scheme),
            Err(problem) if requested.some_missing() && (scheme.span() == *here || lenience == Lenience::All) => {
                missing.push(Missing { part: scheme.get_ref().name(), problem });
            }
            Err(what) => problems.push(DeclarationProblem::at(scheme.span(), what)),
        }
    }
    if schemes.is_empty() && lenience == Lenience::None && !missing.is_empty() {
        let mut missing: Vec<_> = missing.iter().map(|missing| missing.problem.as_str()).collect();
        missing.dedup();
        problems.push(DeclarationProblem::at(here.clone(), missing.join("; or ")));
    }
    if problems.is_empty() { Ok((schemes, missing)) } else { Err(problems) }
}

/// The lookup, if its secrets are set or must be.
pub(super) fn fetch(
    declared: &DeclaredSource,
    secret: &Secrets<'_>,
    lenience: Lenience,
    missing: &mut Vec<Missing>,
) -> Result<Option<Lookup>, DeclarationProblem> {
    let Some(fetch) = &declared.fetch else { return Ok(None) };
    let requested = RequestedSecrets::new(secret);
    match Lookup::new(fetch.get_ref(), declared.pointers(), &|setting| requested.get(setting)) {
        Ok(lookup) => Ok(Some(lookup)),
        Err(problem) if lenience > Lenience::None && requested.some_missing() => {
            missing.push(Missing { part: "fetch", problem });
            Ok(None)
        }
        Err(what) => Err(DeclarationProblem::at(fetch.span(), what)),
    }
}

/// Secrets, and whether one that was requested is missing.
struct RequestedSecrets<'a> {
    secret: &'a Secrets<'a>,
    some_missing: Cell<bool>,
}

impl<'a> RequestedSecrets<'a> {
    fn new(secret: &'a Secrets<'a>) -> Self {
        Self { secret, some_missing: Cell::new(false) }
    }

    fn get(&self, setting: &str) -> Option<SecretString> {
        let found = (self.secret)(setting);
        // A previous secret is set only while one is being replaced.
        if found.is_none() && !setting.ends_with("_PREVIOUS") {
            self.some_missing.set(true);
        }
        found
    }

    fn some_missing(&self) -> bool {
        self.some_missing.get()
    }
}
