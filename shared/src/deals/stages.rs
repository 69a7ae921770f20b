//! The stages that deals reach. Each is a conversion type of its own: a deal counts once at each of them.

use std::fmt;

use serde::Serialize;

use crate::settings::Settings;

/// The name of a stage: lower-case letters, digits and underscores, at most 40, the first of them a letter. Written
/// everywhere as it is declared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Stage(String);

/// What a rule may say of a deal that reached no stage.
pub(crate) const NO_STAGE: [&str; 7] = ["lost", "refunded", "reopened", "deleted", "restored", "merged", "ignore"];

/// Those that were always there. Stages may have been declared by the names of the others, and keep them.
const NEVER_A_STAGE: [&str; 3] = ["lost", "refunded", "ignore"];

impl Stage {
    /// # Errors
    /// What a name must look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        let is_name = text.len() <= 40 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(known);
        if !is_name {
            return Err("must be 1 to 40 lower-case letters, digits and underscores, the first of them a letter".into());
        }
        if NEVER_A_STAGE.contains(&text) {
            return Err("can't be a stage: rules say so of deals that reached none".into());
        }
        Ok(Self(text.into()))
    }

    /// Sales took the deal up.
    #[must_use]
    pub fn qualified() -> Self {
        Self("qualified".into())
    }

    /// The deal was won.
    #[must_use]
    pub fn closed() -> Self {
        Self("closed".into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stages that this deployment knows: `qualified` and `closed`, which a lead's status depends on, and those that
/// are declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stages {
    all: Vec<Stage>,
    undone_by_loss: Vec<Stage>,
}

/// Most companies have fewer than ten.
const MOST: usize = 50;

impl Default for Stages {
    fn default() -> Self {
        Self { all: vec![Stage::qualified(), Stage::closed()], undone_by_loss: vec![Stage::closed()] }
    }
}

impl Stages {
    /// As the settings declare them.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let mut stages = Self::default();
        let declared = settings.parsed("STAGES", list).unwrap_or_default();
        stages.all.extend(declared.into_iter().filter(|it| !Self::default().all.contains(it)));
        let undone = settings.parsed("STAGES_UNDONE_BY_LOSS", list).unwrap_or_default();
        for stage in undone {
            if !stages.all.contains(&stage) {
                settings.refuse(format!("STAGES_UNDONE_BY_LOSS has {stage}, which isn't among STAGES: {stages}"));
            } else if !stages.undone_by_loss.contains(&stage) {
                stages.undone_by_loss.push(stage);
            }
        }
        stages
    }

    pub fn iter(&self) -> impl Iterator<Item = &Stage> {
        self.all.iter()
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Stage> {
        self.all.iter().find(|stage| stage.as_str() == name)
    }

    /// Those besides `qualified` and `closed`.
    pub fn declared(&self) -> impl Iterator<Item = &Stage> {
        self.all.iter().skip(2)
    }

    /// The names of those whose conversions a loss retracts.
    #[must_use]
    pub fn undone_by_loss(&self) -> Vec<&str> {
        self.undone_by_loss.iter().map(Stage::as_str).collect()
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.all.iter().map(Stage::as_str).collect::<Vec<_>>().join(", "))
    }
}

fn list(text: &str) -> Result<Vec<Stage>, String> {
    let mut stages = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let stage = Stage::parse(name).map_err(|why| format!("has {name:?}, which {why}"))?;
        if stages.contains(&stage) {
            return Err(format!("has {stage} twice"));
        }
        stages.push(stage);
    }
    if stages.len() > MOST {
        return Err(format!("has {} stages; at most {MOST} are possible", stages.len()));
    }
    Ok(stages)
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::settings::Values;

    fn stages(pairs: &[(&str, &str)]) -> Result<Stages, String> {
        let values: Values =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
        let mut settings = Settings::new(&values);
        let stages = Stages::from_settings(&mut settings);
        settings.finish(Some(stages)).map_err(|error| error.to_string())
    }

    #[test]
    fn qualified_and_closed_are_always_there() {
        assert_eq!(stages(&[]).unwrap(), Stages::default());
        for written in ["qualified, closed", "closed", "", " , "] {
            assert_eq!(stages(&[("STAGES", written)]).unwrap(), Stages::default(), "{written:?}");
        }
        let written = [("STAGES", "demo_booked,closed , signed"), ("STAGES_UNDONE_BY_LOSS", "signed")];
        let more = stages(&written).unwrap();
        assert_eq!(more.to_string(), "qualified, closed, demo_booked, signed");
        assert_eq!(more.undone_by_loss(), ["closed", "signed"]);
        assert_eq!(more.declared().map(Stage::as_str).collect::<Vec<_>>(), ["demo_booked", "signed"]);
    }

    #[test]
    fn a_wrong_name_is_an_error_that_says_why() {
        let too_long = "x".repeat(41);
        for (written, why) in [
            ("Demo", "lower-case"),
            ("demo booked", "lower-case"),
            ("1st", "the first of them a letter"),
            ("_x", "the first of them a letter"),
            ("démo", "lower-case"),
            (too_long.as_str(), "1 to 40"),
            ("lost", "can't be a stage"),
            ("demo, demo", "has demo twice"),
        ] {
            let error = stages(&[("STAGES", written)]).unwrap_err();
            assert!(error.contains("STAGES") && error.contains(why), "{written}: {error}");
        }
        let many = (0..51).map(|nth| format!("stage_{nth}")).collect::<Vec<_>>().join(",");
        assert!(stages(&[("STAGES", &many)]).unwrap_err().contains("at most 50"));
        let error = stages(&[("STAGES_UNDONE_BY_LOSS", "signed")]).unwrap_err();
        assert!(error.contains("signed") && error.contains("qualified, closed"), "{error}");
    }
}
