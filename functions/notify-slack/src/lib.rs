//! Passes alarms on to a channel of Slack. It is subscribed to the topic of alarms, and needs no database: that may be
//! what the alarm is about.

mod message;
mod webhook;

use serde::Deserialize;
use shared::clock::Clock;
use shared::settings::{FromSettings, Settings};

use webhook::{Undelivered, Webhook};

pub const REQUIRES: &[&str] = &[webhook::URL];

/// What it reads from the settings.
pub struct Config {
    webhook: Option<Webhook>,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self { webhook: settings.parsed(webhook::URL, Webhook::parse) }
    }
}

/// What SNS invokes it with.
#[derive(Debug, Deserialize)]
pub struct Event {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    #[serde(rename = "Sns")]
    sns: Sns,
}

#[derive(Debug, Deserialize)]
struct Sns {
    #[serde(rename = "Subject")]
    subject: Option<String>,
    #[serde(rename = "Message")]
    message: String,
}

/// Sends what SNS says. What Slack will never take is only logged.
///
/// # Errors
/// When Slack may take it later: Lambda then repeats the invocation twice, after one and after two more minutes.
pub async fn handle(config: &Config, event: Event) -> Result<(), String> {
    let Some(webhook) = &config.webhook else { return Ok(()) };
    for Record { sns } in event.records {
        match webhook.send(&message::text(sns.subject.as_deref(), &sns.message)).await {
            Ok(()) => {}
            Err(Undelivered::Later(why)) => return Err(why),
            Err(Undelivered::Never(why)) => tracing::error!("{why}"),
        }
    }
    Ok(())
}
