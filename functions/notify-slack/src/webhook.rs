//! An incoming webhook of Slack's. Its URL is a secret: whoever has it can write to the channel.

use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::outgoing::{self, Limit};

/// The setting.
pub const URL: &str = "SLACK_WEBHOOK_URL";
const HOST: &str = "hooks.slack.com";
/// The function ends after 29 seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// Of what Slack says about an error.
const SAID: usize = 100;

/// Why a message didn't arrive.
#[derive(Debug)]
pub enum Undelivered {
    /// Slack is unavailable or wants less.
    Later(String),
    /// It won't be taken later either.
    Never(String),
}

pub struct Webhook {
    url: SecretString,
    http: reqwest::Client,
}

impl Webhook {
    /// # Errors
    /// If it isn't Slack's, or TLS can't be set up. The error doesn't have the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = outgoing::endpoint_at(text, HOST)
            .map_err(|problem| format!("{problem}: copy it from the app's page \"Incoming Webhooks\" in Slack"))?;
        Ok(Self { url: url.into(), http: outgoing::http_client()? })
    }

    /// Sends a message in Slack's mrkdwn.
    pub async fn send(&self, text: &str) -> Result<(), Undelivered> {
        let request = self.http.post(self.url.expose_secret()).timeout(PATIENCE).json(&json!({"text": text}));
        let unreachable =
            |error: reqwest::Error| Undelivered::Later(format!("Slack can't be reached ({})", error.without_url()));
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let wait = outgoing::retry_after(answer.headers()).map_or(0, |wait| wait.num_seconds());
        let body = outgoing::body(answer, Limit::ONE).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&body);
        let said: String = said.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(SAID).collect();
        Err(refusal(status, wait, &said))
    }
}

fn refusal(status: StatusCode, wait: i64, said: &str) -> Undelivered {
    let code = status.as_u16();
    match code {
        429 => Undelivered::Later(format!("Slack wants fewer messages (429, again in {wait} s). Lambda repeats it")),
        500.. => Undelivered::Later(format!("Slack answered with {code} ({said}). Lambda repeats it")),
        300..=399 => {
            Undelivered::Never(format!("Slack answered with a redirect ({code}), which isn't followed: {URL}"))
        }
        403 | 404 | 410 => Undelivered::Never(format!(
            "Slack answered with {code} ({said}): the webhook was removed, or its channel was archived. Make another \
             one, and set {URL} to it"
        )),
        _ => {
            Undelivered::Never(format!("Slack doesn't take the message ({code}, {said}). Please report this as a bug"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_slack_is_called() {
        for right in ["https://hooks.slack.com/services/T0/B0/x", "http://127.0.0.1:8080/services/T0/B0/x"] {
            assert!(Webhook::parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "http://hooks.slack.com/services/T0/B0/x",
            "https://hooks.slack.com.example.com/services/T0/B0/x",
            "https://example.com/https://hooks.slack.com/",
            "https://user@hooks.slack.com/services/T0/B0/x",
            "https://hooks.slack.com:8443/services/T0/B0/x",
            "https://hooks.slack.com@example.com/services/T0/B0/x",
            "http://169.254.169.254/latest/meta-data",
            "ftp://127.0.0.1/x",
            "hooks.slack.com/services/T0/B0/x",
            "",
        ] {
            let problem = Webhook::parse(wrong).err().unwrap_or_else(|| panic!("{wrong} is taken"));
            assert!(problem.contains("https://hooks.slack.com/") && !problem.contains("B0"), "{problem}");
        }
    }
}
