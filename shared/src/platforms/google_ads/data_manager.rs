//! The Data Manager API v1: `events:ingest` and `requestStatus:retrieve`.

use std::time::Instant;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::future::{BoxFuture, join_all};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::auth::TokenSource;
use super::{GoogleAds, ID, verdict};
use crate::clock::Clock;
use crate::consent::ConsentStatus;
use crate::platforms::{Attempt, Conversion, Exchange, Outcome, Platform, Reason, Verdict};

/// Google recommends no more requests at once ("Best practices").
const IN_FLIGHT: usize = 10;
/// From a look for a conversion action that isn't set to the next.
const WAIT_FOR_ACTION: TimeDelta = TimeDelta::hours(1);
/// Click ids count for 90 days, hashed user data for 63.
const CLICK_ID_AGE: TimeDelta = TimeDelta::days(90);

/// Google Ads through the Data Manager API. One event a request, because the verdict names no event.
pub(super) struct DataManager {
    pub(super) google: GoogleAds,
    pub(super) tokens: TokenSource,
    pub(super) http: reqwest::Client,
    pub(super) clock: Clock,
}

impl DataManager {
    async fn send(&self, conversion: &Conversion) -> Attempt {
        let event = match event(&self.google, conversion, self.clock.now()) {
            Ok(event) => event,
            Err(outcome) => return Attempt { outcome, exchange: Exchange::default() },
        };
        let url = format!("{}/v1/events:ingest", self.google.data_manager_url);
        let (outcome, exchange) = self.call(|| self.http.post(&url).json(&event), verdict::of_ingest).await;
        Attempt { outcome: outcome.unwrap_or_else(|failed| failed), exchange }
    }

    /// Sends a request with an access token; once more with a new token if that one is refused.
    async fn call<T>(
        &self,
        request: impl Fn() -> reqwest::RequestBuilder,
        read: impl Fn(&verdict::Answer<'_>, DateTime<Utc>) -> T,
    ) -> (Result<T, Outcome>, Exchange) {
        let started = Instant::now();
        let mut http_status = None;
        let result = async {
            let mut token = self.tokens.token().await?;
            let mut answer = exchange(request(), &token).await;
            if matches!(&answer, Ok((status, ..)) if *status == 401) {
                self.tokens.forget(&token).await;
                token = self.tokens.token().await?;
                answer = exchange(request(), &token).await;
            }
            let (status, retry_after, body) = answer?;
            http_status = Some(status);
            Ok(read(&verdict::Answer { status, retry_after, body: &body }, self.clock.now()))
        }
        .await;
        (result, Exchange { http_status, duration: started.elapsed() })
    }
}

impl Platform for DataManager {
    fn id(&self) -> &'static str {
        ID
    }

    fn batch(&self) -> usize {
        IN_FLIGHT
    }

    fn upload<'a>(&'a self, conversions: &'a [Conversion]) -> BoxFuture<'a, Vec<Attempt>> {
        Box::pin(async move {
            // Asked for once, before anything is sent: without a token nothing would come of it.
            if let Err(outcome) = self.tokens.token().await {
                return vec![Attempt { outcome, exchange: Exchange::default() }; conversions.len()];
            }
            join_all(conversions.iter().map(|conversion| self.send(conversion))).await
        })
    }

    fn verdict<'a>(&'a self, request_id: &'a str) -> BoxFuture<'a, (Verdict, Exchange)> {
        Box::pin(async move {
            let url = format!("{}/v1/requestStatus:retrieve", self.google.data_manager_url);
            let request = || self.http.get(&url).query(&[("requestId", request_id)]);
            let (verdict, exchange) = self.call(request, verdict::of_status).await;
            let verdict = verdict.unwrap_or_else(|failed| match failed {
                Outcome::Unavailable(reason, _) => Verdict::Unanswered(reason),
                Outcome::Paused(reason) => Verdict::Paused(reason),
                other => Verdict::Refused(other),
            });
            (verdict, exchange)
        })
    }
}

type Reply = (u16, Option<TimeDelta>, Vec<u8>);

async fn exchange(request: reqwest::RequestBuilder, token: &SecretString) -> Result<Reply, Outcome> {
    let failed = |error: reqwest::Error| {
        let code = if error.is_timeout() { "timeout" } else { "connection_failed" };
        let what = error.without_url();
        let message =
            format!("Google can't be reached ({what}). Adtrail sends it again by itself; it will count once.");
        Outcome::Unavailable(Reason::new(code, message), None)
    };
    let response = request.bearer_auth(token.expose_secret()).send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get(reqwest::header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    let body = response.bytes().await.map_err(failed)?;
    Ok((status, retry_after.map(|seconds| TimeDelta::seconds(seconds.into())), body.into()))
}

/// The request for one conversion, or why there is none.
fn event(google: &GoogleAds, conversion: &Conversion, now: DateTime<Utc>) -> Result<Value, Outcome> {
    let Some(action) = google.conversion_actions.get(&conversion.conversion_type) else {
        let kind = conversion.conversion_type.as_str();
        let message = format!(
            "Google Ads has no conversion action for {kind} deals: set GOOGLE_ADS_CONVERSION_ACTION_{}.",
            kind.to_uppercase()
        );
        // Only these wait; deals of the other type go on.
        return Err(Outcome::Later(now + WAIT_FOR_ACTION, Reason::new("no_conversion_action", message)));
    };
    let ad_identifiers = ad_identifiers(conversion, now);
    let user_identifiers: Vec<_> = [
        conversion.email_hash_google.as_ref().map(|hash| json!({"emailAddress": hash})),
        conversion.phone_hash.as_ref().map(|hash| json!({"phoneNumber": hash})),
    ]
    .into_iter()
    .flatten()
    .collect();
    if ad_identifiers.is_empty() && user_identifiers.is_empty() {
        let message =
            "The click is older than 90 days and there is neither e-mail nor phone: Google can't attribute it.";
        return Err(Outcome::Rejected(Reason::new("expired", message)));
    }

    let mut event = json!({
        "destinationReferences": [conversion.conversion_type],
        "transactionId": conversion.transaction_id,
        "eventTimestamp": conversion.occurred_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "eventSource": "WEB",
    });
    if let Some(money) = &conversion.money {
        event["conversionValue"] = json!(money.value());
        event["currency"] = json!(money.currency());
    }
    if !ad_identifiers.is_empty() {
        event["adIdentifiers"] = ad_identifiers.into();
    }
    let mut request = Map::new();
    if !user_identifiers.is_empty() {
        event["userData"] = json!({"userIdentifiers": user_identifiers});
        request.insert("encoding".into(), "HEX".into());
    }
    let consent = consent(conversion);
    if !consent.is_empty() {
        event["consent"] = consent.into();
    }
    let account = |id: &str| json!({"accountType": "GOOGLE_ADS", "accountId": id});
    let mut destination = json!({
        "reference": conversion.conversion_type,
        "operatingAccount": account(&google.customer_id),
        "productDestinationId": action,
    });
    // The manager only where access goes through it: otherwise Google refuses.
    if let Some(manager) = google.login_customer_id.as_deref().filter(|id| *id != google.customer_id) {
        destination["loginAccount"] = account(manager);
    }
    request.insert("destinations".into(), json!([destination]));
    request.insert("events".into(), json!([event]));
    Ok(request.into())
}

/// One click id, the most telling there is, while it counts.
fn ad_identifiers(conversion: &Conversion, now: DateTime<Utc>) -> Map<String, Value> {
    let too_old = conversion.click_at.is_some_and(|at| now - at > CLICK_ID_AGE);
    [("gclid", &conversion.gclid), ("wbraid", &conversion.wbraid), ("gbraid", &conversion.gbraid)]
        .into_iter()
        .filter(|_| !too_old)
        .find_map(|(name, id)| Some((name.to_owned(), json!(id.as_ref()?))))
        .into_iter()
        .collect()
}

/// What the person said; silence is left out, never turned into a yes.
fn consent(conversion: &Conversion) -> Map<String, Value> {
    let spelled = |status| match status {
        ConsentStatus::Granted => Some("CONSENT_GRANTED"),
        ConsentStatus::Denied => Some("CONSENT_DENIED"),
        ConsentStatus::Unknown => None,
    };
    [("adUserData", conversion.ad_user_data), ("adPersonalization", conversion.ad_personalization)]
        .into_iter()
        .filter_map(|(name, status)| Some((name.to_owned(), spelled(status)?.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;
    use crate::attribution::ClickId;
    use crate::conversions::ConversionType;
    use crate::identity::Email;
    use crate::money::Money;

    fn google() -> GoogleAds {
        GoogleAds {
            customer_id: "1234567890".into(),
            login_customer_id: None,
            conversion_actions: BTreeMap::from([(ConversionType::Closed, "987654321".into())]),
            data_manager_url: String::new(),
            token_url: None,
            credentials: None,
        }
    }

    fn now() -> DateTime<Utc> {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn conversion() -> Conversion {
        Conversion {
            queue_id: Uuid::nil(),
            transaction_id: "adtrail-1".into(),
            conversion_type: ConversionType::Closed,
            occurred_at: "2026-11-20T14:03:11+01:00".parse().unwrap(),
            money: Some(Money::new(6000.0, "EUR".into())),
            gclid: ClickId::parse("EAIa").ok(),
            gbraid: ClickId::parse("GB").ok(),
            wbraid: None,
            click_at: Some(now() - TimeDelta::days(3)),
            email_hash_google: Email::parse("jane.doe@gmail.com").ok().map(|email| email.google_hash()),
            phone_hash: None,
            ad_user_data: ConsentStatus::Granted,
            ad_personalization: ConsentStatus::Denied,
        }
    }

    #[test]
    fn a_conversion_becomes_the_event_google_documents() {
        let hash = Email::parse("janedoe@gmail.com").unwrap().hash();
        assert_eq!(
            event(&google(), &conversion(), now()).unwrap(),
            json!({
                "destinations": [{
                    "reference": "closed",
                    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
                    "productDestinationId": "987654321",
                }],
                "encoding": "HEX",
                "events": [{
                    "destinationReferences": ["closed"],
                    "transactionId": "adtrail-1",
                    "eventTimestamp": "2026-11-20T13:03:11Z",
                    "eventSource": "WEB",
                    "conversionValue": 6000.0,
                    "currency": "EUR",
                    "adIdentifiers": {"gclid": "EAIa"},
                    "userData": {"userIdentifiers": [{"emailAddress": hash}]},
                    "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"},
                }],
            })
        );
    }

    #[test]
    fn silence_on_consent_is_not_turned_into_a_yes() {
        let silent = Conversion {
            ad_user_data: ConsentStatus::Unknown,
            ad_personalization: ConsentStatus::Unknown,
            ..conversion()
        };
        assert!(event(&google(), &silent, now()).unwrap()["events"][0].get("consent").is_none());
    }

    #[test]
    fn an_old_click_id_is_left_out_and_with_nothing_left_nothing_is_sent() {
        let old = Conversion { click_at: Some(now() - TimeDelta::days(91)), ..conversion() };
        let sent = event(&google(), &old, now()).unwrap();
        assert!(sent["events"][0].get("adIdentifiers").is_none() && sent["encoding"] == "HEX");
        let empty = Conversion { email_hash_google: None, ..old };
        assert!(matches!(event(&google(), &empty, now()), Err(Outcome::Rejected(reason)) if reason.code == "expired"));
    }

    #[test]
    fn the_manager_is_named_only_when_access_goes_through_one() {
        let through = |id: &str| GoogleAds { login_customer_id: Some(id.into()), ..google() };
        let destination = |google: &GoogleAds| event(google, &conversion(), now()).unwrap()["destinations"][0].clone();
        assert_eq!(destination(&through("9876543210"))["loginAccount"]["accountId"], "9876543210");
        assert!(destination(&through("1234567890")).get("loginAccount").is_none());
    }
}
