//! `adtrail crm sources`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::clock::Clock;
use shared::crm::lookup::Lookup;
use shared::crm::{Missing, Source, Sources, presets};
use shared::deals::Stages;
use shared::health::Website;
use shared::inbox::ignored::{self, IgnoredValue};
use shared::inbox::listing::{Traffic, traffic};
use shared::inbox::refusals;
use shared::leads::refusals::{self as lead_refusals, RefusalCount};
use shared::leads::traffic as lead_traffic;
use shared::settings::Values;

use super::{leads, path};
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
    unknown: Vec<IgnoredValue>,
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
    let (week, of_leads, website) = if has_database {
        let now = app.clock.now();
        let counted = app.db.tx(async |tx| -> Result<_, Failure> {
            let (traffic, refused) = (traffic(tx, now).await?, refusals::of_last_week(tx, now).await?);
            let week = LastWeek::of(traffic, refused, ignored::of_last_week(tx, now).await?);
            let (traffic, refused) =
                (lead_traffic::of_last_week(tx, now).await?, lead_refusals::of_last_week(tx, now).await?);
            Ok((week, leads::LastWeek { traffic, refused }, Website::read(tx, now).await?))
        });
        let (week, of_leads, website) = counted.await?;
        (Some(week), Some(of_leads), Some(website))
    } else {
        (None, None, None)
    };
    let (mut documents, mut blocks) = (Vec::new(), Vec::new());
    for source in app.config.intake.sources.iter() {
        let mut it = document(source);
        let url = base.map(|base| format!("{}{}", base.trim_end_matches('/'), path(source)));
        it["url"] = url.clone().into();
        it["last_seven_days"] = week.as_ref().map(|week| week.document(&source.name)).into();
        documents.push(it);
        let traffic = week.as_ref().map(|week| ("last 7 days", week.text(&source.name)));
        let unknown = week.iter().flat_map(|week| week.unknown_rows(&source.name));
        let url = url.map(|url| ("url", url));
        blocks.push(section(&source.name, url.into_iter().chain(rows(source)).chain(traffic).chain(unknown)));
    }
    for source in app.config.leads.iter() {
        let (it, block) = leads::listed(source, base, of_leads.as_ref());
        documents.push(it);
        blocks.push(block);
    }
    blocks.extend(website.as_ref().map(|website| section("website", website_rows(website))));
    if !has_database {
        blocks.push("The last seven days are not shown: DATABASE_URL isn't set.".into());
    }
    Ok(Answer::new(json!({ "sources": documents, "website": website }), &blocks.join("\n")))
}

/// What deals are matched to. Nothing of it is an error elsewhere.
fn website_rows(Website { forms, paid_visits, deals }: &Website) -> Vec<(&'static str, String)> {
    let refusals = forms.refusals.iter().map(|it| {
        let source = if it.source.is_empty() { String::new() } else { format!(" from {}", it.source) };
        format!("{} {}{source}", it.forms, it.reason)
    });
    let (accepted, refused) = (forms.accepted, with_reasons(forms.refused, refusals));
    let warned = with_reasons(forms.warned, forms.warnings.iter().map(|it| format!("{} {}", it.leads, it.pointer)));
    vec![
        ("forms, last 7 days", format!("accepted {accepted}, refused {refused}, warned {warned}")),
        ("paid visits, last day", format!("{}, without click id {}", paid_visits.visits, paid_visits.without_click_id)),
        ("deals, last 3 days", format!("{}, awaiting a lead {}", deals.reported, deals.awaiting_lead)),
    ]
}

pub(super) fn with_reasons(all: i64, reasons: impl Iterator<Item = String>) -> String {
    let reasons: Vec<_> = reasons.collect();
    if reasons.is_empty() { all.to_string() } else { format!("{all} ({})", reasons.join(", ")) }
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
    fn of(traffic: Vec<Traffic>, refused: Vec<RefusalCount>, unknown: Vec<IgnoredValue>) -> Self {
        let mut week = Self { unknown, ..Self::default() };
        week.traffic.extend(traffic.into_iter().map(|traffic| (traffic.source.clone(), traffic)));
        for it in refused {
            week.refused.entry(it.source.clone()).or_default().push(it);
        }
        week
    }

    fn refused(&self, source: &str) -> &[RefusalCount] {
        self.refused.get(source).map_or(&[], Vec::as_slice)
    }

    fn unknown<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a IgnoredValue> {
        self.unknown.iter().filter(move |it| it.source == source)
    }

    /// The values that no rule knew.
    fn unknown_rows<'a>(&'a self, source: &'a str) -> impl Iterator<Item = (&'static str, String)> {
        self.unknown(source).enumerate().map(|(at, it)| {
            let value = if it.value.is_empty() { "other values" } else { &it.value };
            (if at == 0 { "no rule knew" } else { "" }, format!("{value}: {} since {}", it.events, time(it.since)))
        })
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
            "ignored": traffic.map_or(0, |it| it.ignored),
            "no_rule_knew": self.unknown(source).collect::<Vec<_>>(),
            "refused": refused.collect::<Vec<_>>(),
            "last_event_at": traffic.and_then(|it| it.last_at),
        })
    }

    fn text(&self, source: &str) -> String {
        let traffic = self.traffic.get(source);
        let (events, rejected, ignored) = traffic.map_or((0, 0, 0), |it| (it.events, it.rejected, it.ignored));
        let refused = self.refused(source);
        let all = refused.iter().map(|it| it.refusals).sum();
        let refused = with_reasons(all, refused.iter().map(|it| format!("{} {}", it.refusals, it.reason)));
        let last = traffic.and_then(|it| it.last_at).map(|at| format!("; last event {}", time(at)));
        let last = last.unwrap_or_default();
        format!("events {events}, rejected {rejected}, ignored {ignored}, refused {refused}{last}")
    }
}
