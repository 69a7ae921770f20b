//! samconfig.toml, of which only the region and the parameters are changed.

use std::fs;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, value};

use super::overrides::Overrides;
use super::replacing;
use crate::Failure;

/// In the root of the checkout, where `make deploy` runs.
const FILE: &str = "samconfig.toml";
const REGION: &str = "region";
const OVERRIDES: &str = "parameter_overrides";
/// For all commands of SAM, and for `sam deploy`.
const GLOBAL: &str = "global";
const DEPLOY: &str = "deploy";

/// What `make deploy` reads.
pub(crate) struct Samconfig {
    document: DocumentMut,
    overrides: Overrides,
}

impl Samconfig {
    /// # Errors
    /// If it isn't there or isn't right.
    pub(crate) fn read() -> Result<Self, Failure> {
        let text = fs::read_to_string(FILE).map_err(|error| {
            Failure::Message(format!(
                "{FILE} can't be read ({error}): run adtrail setup in the root of the checkout of Adtrail."
            ))
        })?;
        Self::parse(&text).map_err(|problem| Failure::Message(format!("{FILE} {problem}.")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document: DocumentMut =
            text.parse().map_err(|error: toml_edit::TomlError| format!("is no TOML: {}", error.message()))?;
        let overrides = match parameters_of(&document, DEPLOY) {
            Some(table) => Overrides::read(table.get(OVERRIDES))
                .map_err(|problem| format!("isn't right: {OVERRIDES} {problem}"))?,
            None => Overrides::default(),
        };
        Ok(Self { document, overrides })
    }

    /// Where it deploys to, if it says so.
    pub(crate) fn region(&self) -> Option<&str> {
        let region = |section| parameters_of(&self.document, section)?.get(REGION)?.as_str();
        region(DEPLOY).or_else(|| region(GLOBAL))
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.overrides.get(name)
    }

    /// Writes these parameters and the region, and leaves everything else as it is.
    ///
    /// # Errors
    /// If the file can't be written. It is then as it was.
    pub(crate) fn write(mut self, region: Option<&str>, parameters: &[(&str, String)]) -> Result<(), Failure> {
        self.change(region, parameters);
        replacing::replace(Path::new(FILE), &self.document.to_string())
            .map_err(|error| Failure::Message(format!("{FILE} can't be written: {error}.")))
    }

    fn change(&mut self, region: Option<&str>, parameters: &[(&str, String)]) {
        if let Some(region) = region.filter(|region| self.region() != Some(region)) {
            // Where it is, it stays.
            let has_own = parameters_of(&self.document, DEPLOY).is_some_and(|table| table.contains_key(REGION));
            if let Some(table) = parameters_mut(&mut self.document, if has_own { DEPLOY } else { GLOBAL }) {
                table[REGION] = value(region);
            }
        }
        if parameters.is_empty() {
            return;
        }
        for (name, value) in parameters {
            self.overrides.set(name, value);
        }
        let Some(table) = parameters_mut(&mut self.document, DEPLOY) else { return };
        let new = self.overrides.write(table.get(OVERRIDES));
        table[OVERRIDES] = value(new);
    }
}

fn parameters_of<'a>(document: &'a DocumentMut, section: &str) -> Option<&'a Table> {
    document.get("default")?.get(section)?.get("parameters")?.as_table()
}

/// None if it isn't a table: SAM has no other form.
fn parameters_mut<'a>(document: &'a mut DocumentMut, section: &str) -> Option<&'a mut Table> {
    let mut table = document.as_table_mut();
    for name in ["default", section, "parameters"] {
        let item = table.entry(name).or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(name != "parameters");
            Item::Table(table)
        });
        table = item.as_table_mut()?;
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../samconfig.toml");

    fn changed(text: &str, region: Option<&str>, parameters: &[(&str, &str)]) -> String {
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let mut samconfig = Samconfig::parse(text).unwrap();
        samconfig.change(region, &parameters);
        samconfig.document.to_string()
    }

    #[test]
    fn lines_are_added_at_the_end_of_their_table_and_the_rest_stays() {
        let text = changed(SHIPPED, Some("eu-central-1"), &[("ConsentUnknown", "hold"), ("GoogleAdsCustomerId", "")]);
        let added = r#"parameter_overrides = [
    "ConsentUnknown=hold",
    "GoogleAdsCustomerId=\"\"",
]
"#;
        let expected = added.replace(r#""GoogleAdsCustomerId=\"\"""#, r#"'GoogleAdsCustomerId=""'"#);
        let stack = "stack_name = \"adtrail\"\n";
        let with_region = SHIPPED.replace(stack, &format!("{stack}region = \"eu-central-1\"\n"));
        assert_eq!(text, format!("{with_region}{expected}"));
        assert_eq!(changed(&text, Some("eu-central-1"), &[]), text);
        let again = Samconfig::parse(&text).unwrap();
        assert_eq!((again.region(), again.parameter("GoogleAdsCustomerId")), (Some("eu-central-1"), Some("")));
    }

    #[test]
    fn the_table_is_made_where_it_is_missing() {
        let text = changed("version = 0.1\n", None, &[("ConsentUnknown", "hold")]);
        assert_eq!(
            text,
            "version = 0.1\n\n[default.deploy.parameters]\nparameter_overrides = [\n    \"ConsentUnknown=hold\",\n]\n"
        );
    }

    #[test]
    fn what_sam_could_not_read_is_refused() {
        for (text, said) in [
            ("version =", "is no TOML"),
            ("[default.deploy.parameters]\nparameter_overrides = 1", "parameter_overrides must be a text"),
        ] {
            let problem = Samconfig::parse(text).err().unwrap();
            assert!(problem.contains(said), "{problem}");
        }
    }
}
