//! CRM sources and their webhooks.

mod curl;
mod delivery;
mod dry_run;
mod leads;
mod sign;
mod sources;

pub(crate) use dry_run::{add_fetched, test};
pub(crate) use sign::sign;
pub(crate) use sources::sources;

use std::io::Read;
use std::path::Path;

use shared::crm::{Source, Sources, presets};
use shared::deals::Stages;
use shared::settings::{Settings, Values};

use crate::Failure;

/// The source that a command is about.
pub(crate) enum ChosenSource<'a> {
    Declared(&'a Source),
    /// A preset that CRM_SOURCES does not declare.
    Preset(Box<Source>),
}

impl<'a> ChosenSource<'a> {
    pub(crate) fn find(sources: &'a Sources, values: &Values, name: &str) -> Result<Self, Failure> {
        if let Some(source) = sources.get(name) {
            return Ok(Self::Declared(source));
        }
        if presets::toml(name).is_some() {
            let stages = Stages::from_settings(&mut Settings::new(values));
            let source = Sources::preset(name, &stages, &|name| shared::settings::value(values, name));
            return source.map(|source| Self::Preset(source.into())).map_err(Failure::Message);
        }
        let declared: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
        let presets: Vec<_> = presets::names().collect();
        Err(Failure::Message(format!(
            "There is no source {name}: declare it in CRM_SOURCES, or use a declared source ({}) or a preset \
             ({}).",
            declared.join(", "),
            presets.join(", ")
        )))
    }

    pub(crate) fn source(&self) -> &Source {
        match self {
            Self::Declared(source) => source,
            Self::Preset(source) => source,
        }
    }

    fn origin(&self) -> &'static str {
        match self {
            Self::Declared(_) => "declared",
            Self::Preset(_) => "preset",
        }
    }
}

/// A file, or standard input for `-`.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    read.map_err(|error| {
        Failure::Message(format!("{} can't be read ({error}): name a file, or - for standard input.", file.display()))
    })
}

/// The body of a webhook, as far as the endpoint accepts it.
pub(crate) fn read_body(file: &Path) -> Result<Vec<u8>, Failure> {
    read_at_most(file, crm_conversion::ENDPOINT.body_limit)
}

fn read_at_most(file: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let body = read(file)?;
    if body.len() > limit {
        return Err(Failure::Message(format!(
            "The body has {} bytes, but the endpoint accepts at most {limit}: make the sender send less.",
            body.len()
        )));
    }
    Ok(body)
}

/// Where webhooks of a source are sent by default: to the API at `base`, else to a running `make dev`.
fn default_url(base: Option<&str>, source: &Source) -> String {
    format!("{}{}", base.unwrap_or("http://localhost:8080").trim_end_matches('/'), path(source))
}

fn path(source: &Source) -> String {
    crm_conversion::ENDPOINT.path.replace("{source}", &source.name)
}
