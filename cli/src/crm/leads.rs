//! `adtrail crm test` and `adtrail crm sources` of sources of leads.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::App;
use shared::forms::Form;
use shared::http::Problem;
use shared::identity::{Email, Phone};
use shared::lead_sources::{self, Reading, Source, Sources};
use shared::leads::refusals::RefusalCount;
use shared::leads::traffic::Traffic;
use shared::settings::{Values, value};

use super::delivery::{headers, request};
use super::read_at_most;
use crate::Failure;
use crate::answer::Answer;
use crate::app::Draft;
use crate::arguments::Test;
use crate::inbox::words;
use crate::table::{fields, section, time};

/// The source of leads that a command is about.
pub(super) enum Chosen<'a> {
    Declared(&'a Source),
    /// A preset that CRM_SOURCES does not declare.
    Preset(Box<Source>),
}

impl<'a> Chosen<'a> {
    /// None if the name is of no such source.
    pub(super) fn find(app: &'a App<Draft>, values: &Values, name: &str) -> Result<Option<Self>, Failure> {
        if let Some(source) = app.config.leads.get(name) {
            return Ok(Some(Self::Declared(source)));
        }
        let is_preset = lead_sources::names().any(|preset| preset == name);
        if app.config.intake.sources.get(name).is_some() || !is_preset {
            return Ok(None);
        }
        let preset = Sources::preset(name, &|name| value(values, name)).map_err(Failure::Message)?;
        Ok(Some(Self::Preset(preset.into())))
    }

    pub(super) fn source(&self) -> &Source {
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

/// What a body becomes that a source of leads, or the preset of one, sends. None if the name is of no such source.
pub(super) fn test(
    app: &App<Draft>,
    values: &Values,
    base: Option<&str>,
    test: &Test,
) -> Result<Option<Answer>, Failure> {
    let Some(chosen) = Chosen::find(app, values, &test.source)? else { return Ok(None) };
    let (source, origin) = (chosen.source(), chosen.origin());
    let bytes = read_at_most(&test.file, create_lead::ENDPOINT.body_limit)?;
    let at = test.call.at.unwrap_or_else(|| app.clock.now());
    let proof = verify(source, base, test, &bytes, at)?;
    let (meaning, lead, problems) = match source.read(&app.config.forms, &bytes, at) {
        Ok(Reading::Lead(form, _)) => ("lead", Some(form), Vec::new()),
        Ok(Reading::Ignored) => ("ignored", None, Vec::new()),
        Err(problem) => ("refused", None, problems_of(problem)),
    };
    let lead = lead.as_deref();
    let document = json!({
        "source": source.name,
        "kind": lead_sources::LEAD,
        "origin": origin,
        "received_at": at,
        "verification": {
            "verified": proof.as_ref().map(Result::is_ok),
            "reason": proof.as_ref().and_then(|it| it.as_ref().err()),
        },
        "meaning": meaning,
        "lead": lead.map(document_of),
        "warnings": lead.map(|form| &form.lead.warnings),
        "problems": problems,
        "dry_run": true,
    });
    let said = match &proof {
        None => "not checked: give the headers of a delivery with -H, and its URL with --url".into(),
        Some(Ok(())) => "verified".into(),
        Some(Err(reason)) => format!("FAILED: {reason}"),
    };
    let mut rows = vec![("means", meaning.to_owned())];
    rows.extend(lead.into_iter().flat_map(rows_of));
    rows.extend(problems.iter().map(|problem| ("problem", problem.clone())));
    let blocks = [
        fields([("source", format!("{} ({origin})", source.name)), ("received", time(at)), ("proof", said)]),
        section("lead", rows),
        "Nothing was stored.".into(),
    ];
    let failure = match (&proof, meaning) {
        (Some(Err(reason)), _) => Some(format!("The proof of the sender fails: {reason}")),
        (_, "refused") => {
            Some("No lead would be stored: fix the problems above, in the form or the declaration.".into())
        }
        _ => None,
    };
    Ok(Some(Answer::new(document, &blocks.join("\n")).failing(failure)))
}

/// Does a delivery prove its sender? None if nothing of it is given that could.
fn verify(
    source: &Source,
    base: Option<&str>,
    test: &Test,
    body: &[u8],
    at: DateTime<Utc>,
) -> Result<Option<Result<(), String>>, Failure> {
    if let Some(missing) = &source.missing {
        return Ok(Some(Err(missing.clone())));
    }
    if test.headers.is_empty() && test.call.url.is_none() && !source.has_key_in_body() {
        return Ok(None);
    }
    let url = test.call.url.clone().unwrap_or_else(|| url(base, source));
    let request = request(&url, &headers(&test.headers)?, body)?;
    let refused = |refusal| format!("{refusal} Expected: {}.", source.expects());
    Ok(Some(source.verify(&request, at).map_err(refused)))
}

/// What is wrong with each field, as the answer says it.
fn problems_of(problem: Problem) -> Vec<String> {
    let answer: Value = serde_json::from_slice(problem.into_response().body()).unwrap_or_default();
    let errors = answer["errors"].as_array().into_iter().flatten();
    let errors: Vec<_> = errors.map(said_of).collect();
    if errors.is_empty() { vec![words::text(&answer["detail"])] } else { errors }
}

/// A field, and what is said of it.
fn said_of(it: &Value) -> String {
    format!("{} {}", words::text(&it["pointer"]), words::text(&it["detail"])).trim().to_owned()
}

fn document_of(Form { lead, .. }: &Form) -> Value {
    json!({
        "transaction_id": lead.transaction_id,
        "email": lead.email.as_ref().map(Email::as_str),
        "phone": lead.phone.as_ref().map(Phone::as_str),
        "name": lead.name,
        "message": lead.message,
        "clicks": lead.body.clicks,
        "utm": lead.body.utm,
        "site": lead.site.as_ref().map(shared::attribution::Site::as_str),
        "consent": lead.consent,
    })
}

fn rows_of(form: &Form) -> Vec<(&'static str, String)> {
    let document = document_of(form);
    let is_set =
        |value: &Value| !value.is_null() && value.as_object().is_none_or(|it| it.values().any(|it| !it.is_null()));
    let names = ["transaction_id", "email", "phone", "name", "message", "clicks", "utm", "site", "consent"];
    let set = names.into_iter().filter(|name| is_set(&document[name]));
    let rows = set.map(|name| (name, words::text(&document[name])));
    let warnings = json!(form.lead.warnings);
    let warnings: Vec<_> = warnings.as_array().into_iter().flatten().map(|it| ("warning", said_of(it))).collect();
    rows.chain(warnings).collect()
}

/// Where a source of leads sends to: the API at `base`, else a running `make dev`.
pub(super) fn url(base: Option<&str>, source: &Source) -> String {
    format!("{}{}", base.unwrap_or("http://localhost:8080").trim_end_matches('/'), path(source))
}

fn path(source: &Source) -> String {
    format!("/api/leads/{}", source.name)
}

/// What sources of leads sent in the last seven days.
#[derive(Default)]
pub(super) struct LastWeek {
    pub(super) traffic: Vec<Traffic>,
    pub(super) refused: Vec<RefusalCount>,
}

impl LastWeek {
    fn traffic(&self, source: &Source) -> Option<&Traffic> {
        self.traffic.iter().find(|it| it.source == source.name)
    }

    fn refused<'a>(&'a self, source: &'a Source) -> impl Iterator<Item = &'a RefusalCount> {
        self.refused.iter().filter(|it| it.source == source.name)
    }

    fn document(&self, source: &Source) -> Value {
        let traffic = self.traffic(source);
        let reason = |it: &RefusalCount| json!({ "reason": it.reason, "refusals": it.refusals, "last_at": it.last_at });
        json!({
            "accepted": traffic.map_or(0, |it| it.accepted),
            "warned": traffic.map_or(0, |it| it.warned),
            "refused": self.refused(source).map(reason).collect::<Vec<_>>(),
            "last_lead_at": traffic.and_then(|it| it.last_at),
        })
    }

    fn text(&self, source: &Source) -> String {
        let traffic = self.traffic(source);
        let refused = super::sources::with_reasons(
            self.refused(source).map(|it| it.refusals).sum(),
            self.refused(source).map(|it| format!("{} {}", it.refusals, it.reason)),
        );
        let last = traffic.and_then(|it| it.last_at).map(|at| format!("; last lead {}", time(at)));
        format!(
            "accepted {}, refused {refused}, warned {}{}",
            traffic.map_or(0, |it| it.accepted),
            traffic.map_or(0, |it| it.warned),
            last.unwrap_or_default()
        )
    }
}

/// A declared source, as a document and as text.
pub(super) fn listed(source: &Source, base: Option<&str>, week: Option<&LastWeek>) -> (Value, String) {
    let url = base.map(|base| url(Some(base), source));
    let document = json!({
        "name": source.name,
        "kind": lead_sources::LEAD,
        "path": path(source),
        "url": url,
        "authentication": { "settings": source.secrets(), "expects": source.expects() },
        "missing": source.missing,
        "last_seven_days": week.map(|week| week.document(source)),
    });
    let proof = match &source.missing {
        Some(problem) => format!("NO SECRET IS SET. {problem}"),
        None => format!("{}: {}", source.secrets().join(", "), source.expects()),
    };
    let rows = [
        ("sends", "leads".into()),
        ("url", url.unwrap_or_default()),
        ("path", path(source)),
        ("authenticates by", proof),
        ("last 7 days", week.map(|week| week.text(source)).unwrap_or_default()),
    ];
    (document, section(&source.name, rows))
}
