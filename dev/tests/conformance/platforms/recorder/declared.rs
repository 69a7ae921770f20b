//! An account of the recorder as a destination declares it.

use serde::Deserialize;
use shared::deals::Stages;
use shared::declarations::{DeclarationProblem, Table};
use shared::outgoing;
use shared::settings::Settings;
use toml::Spanned;

use super::{Recorder, URL};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    account: Option<String>,
    stages: Option<Vec<Spanned<String>>>,
}

pub(super) fn read(
    table: Table<'_>,
    stages: &Stages,
    settings: &mut Settings,
) -> Result<Recorder, Vec<DeclarationProblem>> {
    let url = settings.parsed(URL, outgoing::endpoint).unwrap_or_else(|| "https://recorder.example.com".into());
    let here = table.name.span();
    let Declared { account, stages: named } = table.read()?;
    let mut problems = Vec::new();
    if account.is_none() {
        let what = "doesn't say its account: add account = \"…\"";
        problems.push(DeclarationProblem::at(here.clone(), what));
    }
    let named = named.unwrap_or_default();
    if named.is_empty() {
        problems.push(DeclarationProblem::at(here, "takes no stage: add stages = [\"closed\"]"));
    }
    let mut taken = Vec::new();
    for name in &named {
        let Some(stage) = stages.find(name.get_ref()) else {
            let what = format!("{} isn't one of STAGES: {stages}", name.get_ref());
            problems.push(DeclarationProblem::at(name.span(), what));
            continue;
        };
        taken.push(stage.clone());
    }
    match account {
        Some(account) if problems.is_empty() => Ok(Recorder { account, stages: taken, url }),
        _ => Err(problems),
    }
}
