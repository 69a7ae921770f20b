//! `adtrail destinations test NAME --event FILE`: what would be sent of an event of the website.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::analytics::{EventDestination, EventFacts, EventOutcome, EventToSend};
use shared::attribution::Site;
use shared::clock::Clock;
use shared::consent::Consent;
use shared::identity::ClientId;
use shared::settings::Values;
use url::Url;
use uuid::Uuid;

use crate::answer::Answer;
use crate::crm::read_body;
use crate::table::section;
use crate::{Failure, app};

/// What `POST /api/track/event` takes.
#[derive(Deserialize)]
struct Reported {
    #[serde(default = "made_up")]
    event_id: String,
    event_name: String,
    #[serde(default)]
    params: Map<String, Value>,
    page_url: Option<String>,
    #[serde(default)]
    consent: Consent,
}

fn made_up() -> String {
    Uuid::new_v4().to_string()
}

/// The request that would be sent for the event in this file, of a browser that nobody has.
pub(crate) fn test_event(values: &Values, destination: &str, file: &Path) -> Result<Answer, Failure> {
    let clock = Clock::system();
    let (app, _) = app::for_declarations(values, clock.clone())?;
    let events = &app.config.events;
    let Some(destination) = events.get(destination) else {
        let names: Vec<_> = events.iter().map(|it| it.name.as_str()).collect();
        let known =
            if names.is_empty() { "none is declared".into() } else { format!("those are {}", names.join(", ")) };
        return Err(Failure::Message(format!("{destination} is no destination of events: {known}.")));
    };
    let reported: Reported = serde_json::from_slice(&read_body(file)?).map_err(|error| {
        Failure::Message(format!("The file has to be a body of POST /api/track/event, with event_name: {error}."))
    })?;
    let event = EventToSend {
        queue_id: Uuid::nil(),
        event_id: reported.event_id,
        name: reported.event_name,
        params: reported.params,
        page_url: reported.page_url,
        at: clock.now(),
        client_id: ClientId::derived_from("adtrail destinations test"),
        session_id: None,
        user_agent: None,
        consent: reported.consent,
        email_hash_google: None,
        phone_hash: None,
    };
    Ok(answer(destination, &event))
}

fn answer(destination: &EventDestination, event: &EventToSend) -> Answer {
    let page = event.page_url.as_deref().and_then(|url| Url::parse(url).ok());
    let site = page.as_ref().and_then(Site::of);
    let gets = destination.wants(&EventFacts { name: &event.name, site: site.as_ref().map(Site::as_str) });
    let preview = destination.preview(event);
    let refused = preview.as_ref().err().and_then(EventOutcome::reason);
    let request = preview.as_ref().ok();
    let mut rows = vec![
        ("event", event.name.clone()),
        ("gets it", if gets { "yes".into() } else { format!("no: it gets {}", destination.gets()) }),
    ];
    rows.extend(request.map(|it| ("request", format!("{} {}", it.method, it.url))));
    rows.extend(refused.map(|reason| ("not sent", format!("{}: {}", reason.code, reason.message))));
    let mut text = section(&destination.name, rows);
    if let Some(request) = request {
        text += &request.body;
        text.push('\n');
    }
    text += "\nNothing was stored, and nothing was sent.\n";
    let document = json!({
        "destination": destination.name,
        "gets_it": gets,
        "request": request,
        "refused": refused.map(|reason| json!({ "code": reason.code, "message": reason.message })),
    });
    Answer::new(document, &text)
}
