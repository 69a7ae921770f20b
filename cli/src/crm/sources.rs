//! `adtrail crm sources`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::clock::Clock;
use shared::crm::lookup::Lookup;
use shared::crm::{Missing, Source, Sources, presets};
use shared::deals::Stages;
use shared::inbox::listing::{Traffic, traffic};
use shared::inbox::refusals::{self, RefusalCount};
use shared::settings::Values;

use super::path;
use crate::answer::Answer;
use crate::table::{section, time};
use crate::{Failure, app};

/// The part of a source that needs the CRM's token.
const FETCH: &str = "fetch";

/// What sources sent in the last seven days.
#[derive(Default)]
struct LastWeek {
    traffic: BTreeMap<String, Traffic>,
    refused: BTreeMap<String, Vec<RefusalCount>>,
}

/// `base` is where the API is, if that is known.
pub(crate) async fn sources(values: &Values, base: Option<&str>, list_presets: bool) -> Result<Answer, Failure> {
    if list_presets { presets_document(values) } else { declared(values, base).await }
}

fn presets_document(values: &Values) -> Result<Answer, Failure> {
    let sources = presets::names()
        .map(|name| Sources::preset(name, &Stages::default(), &|name| shared::settings::value(values, name)));
    let sources: Vec<_> = sources.collect::<Result<_, _>>().map_err(Failure::Message)?;
    let documents = sources.iter().map(|source| {
        let mut it = document(source);
        it["toml"] = presets::toml(&source.name).into();
        it
    });
    let mut blocks: Vec<_> = sources.iter().map(|source| section(&source.name, rows(source))).collect();
    blocks.push("To start a source from one of them, set preset = \"NAME\" in CRM_SOURCES.".into());
    Ok(Answer::new(json!({ "presets": documents.collect::<Vec<_>>() }), &blocks.join("\n")))
}

async fn declared(values: &Values, base: Option<&str>) -> Result<Answer, Failure> {
    let (app, has_database) = app::for_declarations(values, Clock::system())?;
    let week = if has_database {
        let now = app.clock.now();
        let (traffic, refused) = app
            .db
            .tx(async |tx| -> Result<_, Failure> {
                Ok((traffic(tx, now).await?, refusals::of_last_week(tx, now).await?))
            })
            .await?;
        Some(LastWeek::of(traffic, refused))
    } else {
        None
    };
    let (mut documents, mut blocks) = (Vec::new(), Vec::new());
    for source in app.config.intake.sources.iter() {
        let mut it = document(source);
        let url = base.map(|base| format!("{}{}", base.trim_end_matches('/'), path(source)));
        it["url"] = url.clone().into();
        it["last_seven_days"] = week.as_ref().map(|week| week.document(&source.name)).into();
        documents.push(it);
        let week = week.as_ref().map(|week| ("last 7 days", week.text(&source.name)));
        let url = url.map(|url| ("url", url));
        blocks.push(section(&source.name, url.into_iter().chain(rows(source)).chain(week)));
    }
    if !has_database {
        blocks.push("The last seven days are not shown: DATABASE_URL isn't set.".into());
    }
    Ok(Answer::new(json!({ "sources": documents }), &blocks.join("\n")))
}

fn document(source: &Source) -> Value {
    let schemes = source
        .schemes
        .iter()
        .map(|scheme| json!({ "scheme": scheme.name(), "settings": scheme.secrets(), "expects": scheme.expects() }));
    let missing = source.missing.iter().map(|it| json!({ "part": it.part, "problem": it.problem }));
    json!({
        "name": source.name,
        "path": path(source),
        "authentication": schemes.collect::<Vec<_>>(),
        "fetch": source.fetch.as_ref().map(|fetch| json!({ "asks": fetch.asks(), "settings": fetch.secrets() })),
        "rules": source.rules().collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(),
    })
}

fn rows(source: &Source) -> Vec<(&'static str, String)> {
    let mut rows = vec![("path", path(source))];
    for scheme in &source.schemes {
        let secrets = scheme.secrets();
        let settings = if secrets.is_empty() { String::new() } else { format!(" ({})", secrets.join(", ")) };
        rows.push(("authenticates by", format!("{}{settings}: {}", scheme.name(), scheme.expects())));
    }
    for Missing { part, problem } in &source.missing {
        rows.push(match *part {
            FETCH => ("fetches from", format!("NO TOKEN IS SET. {problem}")),
            scheme => ("authenticates by", format!("{scheme}: NO SECRET IS SET. {problem}")),
        });
    }
    let asks = |fetch: &Lookup| format!("{} ({})", fetch.asks(), fetch.secrets().join(", "));
    rows.push(("fetches from", source.fetch.as_ref().map(asks).unwrap_or_default()));
    rows.extend(source.rules().enumerate().map(|(at, rule)| (if at == 0 { "rules" } else { "" }, rule)));
    rows
}

impl LastWeek {
    fn of(traffic: Vec<Traffic>, refused: Vec<RefusalCount>) -> Self {
        let mut week = Self::default();
        week.traffic.extend(traffic.into_iter().map(|traffic| (traffic.source.clone(), traffic)));
        for it in refused {
            week.refused.entry(it.source.clone()).or_default().push(it);
        }
        week
    }

    fn refused(&self, source: &str) -> &[RefusalCount] {
        self.refused.get(source).map_or(&[], Vec::as_slice)
    }

    fn document(&self, source: &str) -> Value {
        let traffic = self.traffic.get(source);
        let refused = self
            .refused(source)
            .iter()
            .map(|it| json!({ "reason": it.reason, "refusals": it.refusals, "last_at": it.last_at }));
        json!({
            "events": traffic.map_or(0, |it| it.events),
            "rejected": traffic.map_or(0, |it| it.rejected),
            "refused": refused.collect::<Vec<_>>(),
            "last_event_at": traffic.and_then(|it| it.last_at),
        })
    }

    fn text(&self, source: &str) -> String {
        let traffic = self.traffic.get(source);
        let (events, rejected) = traffic.map_or((0, 0), |it| (it.events, it.rejected));
        let refused = self.refused(source);
        let all: i64 = refused.iter().map(|it| it.refusals).sum();
        let reasons: Vec<_> = refused.iter().map(|it| format!("{} {}", it.refusals, it.reason)).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let last = traffic.and_then(|it| it.last_at).map(|at| format!("; last event {}", time(at)));
        format!("events {events}, rejected {rejected}, refused {all}{reasons}{}", last.unwrap_or_default())
    }
}
