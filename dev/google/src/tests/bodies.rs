//! The bytes of what was accepted.

use super::accounts::{ADJUSTMENTS, CLICKS, FIRST, SECOND, adjustments, at, clicks, request_for, two_accounts};
use super::adjustments::retraction;
use super::click_conversions::conversion;
use super::*;

impl Trial {
    /// Sends exactly these bytes.
    async fn send_as_written(&self, path: &str, body: &str) {
        let call = self.client.post(format!("{}{path}", self.url)).bearer_auth(self.token().await);
        let call = call.header("content-type", "application/json").body(body.to_owned());
        let (status, answer) = read(call.send().await).await;
        assert_eq!(status, 200, "{answer}");
    }
}

fn text(body: Option<&RequestBody>) -> Option<&str> {
    body.map(RequestBody::as_str)
}

#[tokio::test]
async fn what_was_accepted_has_the_bytes_of_the_request_that_brought_it() {
    let trial = two_accounts().await;
    // Spaces, line breaks, escapes, numbers and the order of fields are the sender's own.
    let events = r#"{ "events": [
      {"transactionId": "d\u0065al-1-won", "eventSource": "WEB", "eventTimestamp": "2026-11-20T12:03:11Z",
       "adIdentifiers": {"gclid": "A"}, "conversionValue": 1.50e1, "currency": "EUR"},
      {"adIdentifiers": {"gclid": "B"}, "transactionId": "deal-2-won", "eventSource": "WEB",
       "eventTimestamp": "2026-11-20T12:03:11Z"}],
      "destinations": [{"productDestinationId": "111",
        "operatingAccount": {"accountId": "2223334444", "accountType": "GOOGLE_ADS"}}]}"#;
    trial.send_as_written("/v1/events:ingest", events).await;
    let rows = clicks(&[conversion("deal-3-won"), conversion("deal-4-won@")]).to_string() + "\n ";
    trial.send_as_written(&format!("/v26/customers/{FIRST}:{CLICKS}"), &rows).await;
    let row = at(retraction("deal-1-won"), SECOND, "111");
    let retraction = format!(" {}", adjustments(&[row]));
    trial.send_as_written(&format!("/v26/customers/{SECOND}:{ADJUSTMENTS}"), &retraction).await;

    let received = trial.sandbox.events();
    assert_eq!(received.iter().map(|it| text(it.body.as_ref())).collect::<Vec<_>>(), [Some(events); 2]);
    let counted = trial.sandbox.conversions();
    let bodies: Vec<_> = counted.iter().map(|it| (it.id.as_str(), text(it.body.as_ref()))).collect();
    let expected = [("deal-1-won", events), ("deal-2-won", events), ("deal-3-won", rows.as_str())];
    assert_eq!(bodies, expected.map(|(id, body)| (id, Some(body))));
    assert_eq!(text(trial.sandbox.adjustments()[0].body.as_ref()), Some(retraction.as_str()));
    assert!(format!("{counted:?}").contains(&format!("RequestBody({} bytes)", events.len())));
}

#[tokio::test]
async fn the_latest_accepted_request_has_the_bytes_and_refused_ones_change_nothing() {
    let trial = two_accounts().await;
    let mut request = request_for(SECOND, "111", "deal-1-won");
    trial.accepted(&request).await;
    request["events"][0]["conversionValue"] = json!(7);
    trial.accepted(&request).await;
    let latest = request.to_string();
    let bodies = || {
        let (events, counted) = (trial.sandbox.events(), trial.sandbox.conversions());
        [events[0].body.clone(), counted[0].body.clone()].map(|body| body.expect("a body").as_str().to_owned())
    };
    assert_eq!(bodies(), [(); 2].map(|()| latest.clone()));

    // Refused: nothing of it, and no row of it. Only validated: the same.
    request["events"][0]["conversionValue"] = json!(-1);
    assert_eq!(read(trial.ingest(&trial.token().await, &request).await).await.0, 400);
    request["events"][0]["conversionValue"] = json!(8);
    request["validateOnly"] = json!(true);
    trial.accepted(&request).await;
    let row = at(conversion("deal-1-won"), SECOND, "111");
    assert_eq!(trial.row_errors(SECOND, CLICKS, &clicks(&[row])).await.len(), 1);
    assert_eq!(bodies(), [(); 2].map(|()| latest.clone()));

    let retraction = adjustments(&[at(retraction("deal-1-won"), SECOND, "111")]);
    assert!(trial.row_errors(SECOND, ADJUSTMENTS, &retraction).await.is_empty());
    let mut later = retraction.clone();
    later["conversionAdjustments"][0]["adjustmentDateTime"] = json!("2026-11-22 14:00:01+02:00");
    assert_eq!(trial.row_errors(SECOND, ADJUSTMENTS, &later).await.len(), 1);
    let adjustment = &trial.sandbox.adjustments()[0];
    assert_eq!((adjustment.received, text(adjustment.body.as_ref())), (2, Some(retraction.to_string().as_str())));
    assert_eq!(bodies(), [(); 2].map(|()| latest.clone()));
}

#[tokio::test]
async fn without_bodies_no_bytes_are_kept() {
    let trial = two_accounts().await;
    trial.sandbox.keep_bodies(false);
    trial.accepted(&request_for(SECOND, "111", "deal-1-won")).await;
    let row = at(conversion("deal-2-won"), SECOND, "111");
    trial.row_errors(SECOND, CLICKS, &clicks(&[row])).await;
    let retractions = ["deal-1-won", "deal-2-won"].map(|id| at(retraction(id), SECOND, "111"));
    trial.row_errors(SECOND, ADJUSTMENTS, &adjustments(&retractions)).await;
    assert_eq!(trial.sandbox.conversions().len(), 2);
    assert!(trial.sandbox.events().iter().all(|it| it.body.is_none()));
    assert!(trial.sandbox.conversions().iter().all(|it| it.body.is_none() && it.retracted));
    assert!(trial.sandbox.adjustments().iter().all(|it| it.body.is_none() && it.customer_id == SECOND));
}
