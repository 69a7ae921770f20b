//! What is asked of the sandbox by id, by the minute or for good.

use super::click_conversions::{conversion, row_errors, upload};
use super::*;

/// A request with one event per id.
fn events(ids: &[&str]) -> Value {
    let mut request = request();
    request["events"] = ids.iter().map(|id| event(id)).collect();
    request
}

async fn request_id(trial: &Trial, request: &Value) -> String {
    let (status, body) = read(trial.ingest(&trial.token().await, request).await).await;
    assert_eq!(status, 200, "{body}");
    body["requestId"].as_str().expect("a request id").to_owned()
}

/// The status at each destination, and its errors.
async fn statuses(trial: &Trial, request_id: &str) -> Vec<(String, Vec<(String, String)>)> {
    let (status, body) = trial.status(&trial.token().await, request_id).await;
    assert_eq!(status, 200, "{body}");
    let message = "google.ads.datamanager.v1.RetrieveRequestStatusResponse";
    let mut described = body.clone();
    for destination in described["requestStatusPerDestination"].as_array_mut().expect("destinations") {
        // It is younger than the descriptor.
        let counts = destination.pointer_mut("/errorInfo/errorCounts").and_then(Value::as_array_mut);
        counts
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
            .for_each(|count| _ = count.remove("recordIndices"));
    }
    schema::parse(message, &described.to_string()).expect("Google's answer");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let destinations = body["requestStatusPerDestination"].as_array().expect("destinations");
    let errors = |destination: &Value| {
        let counts = destination["errorInfo"]["errorCounts"].as_array().cloned().unwrap_or_default();
        counts.iter().map(|count| (text(&count["reason"]), text(&count["recordCount"]))).collect()
    };
    destinations.iter().map(|destination| (text(&destination["requestStatus"]), errors(destination))).collect()
}

fn counted(trial: &Trial) -> Vec<(String, u32)> {
    trial.sandbox.conversions().into_iter().map(|conversion| (conversion.id, conversion.received)).collect()
}

#[tokio::test]
async fn a_poisoned_event_spoils_every_request_that_holds_it() {
    let trial = Trial::start().await;
    trial.sandbox.poison("deal-2-won", EventPoison::new("INVALID_EVENT").styled(FieldStyle::Events));
    let token = trial.token().await;
    for (ids, place) in [(&["deal-1-won", "deal-2-won"][..], "events[1]"), (&["deal-2-won"], "events[0]")] {
        let (status, body) = read(trial.ingest(&token, &events(ids)).await).await;
        assert_eq!(status, 400);
        let violations = detail(&body, "BadRequest")["fieldViolations"].clone();
        assert_eq!((&violations[0]["field"], &violations[0]["reason"]), (&json!(place), &json!("INVALID_EVENT")));
    }
    assert_eq!(counted(&trial), []);
    request_id(&trial, &events(&["deal-1-won"])).await;
    trial.sandbox.unpoison("deal-2-won");
    request_id(&trial, &events(&["deal-1-won", "deal-2-won"])).await;
    assert_eq!(counted(&trial), [("deal-1-won".to_owned(), 2), ("deal-2-won".to_owned(), 1)]);
}

#[tokio::test]
async fn a_poisoned_row_fails_alone_with_or_without_its_index() {
    let trial = Trial::start().await;
    let rows = ["deal-1-won", "deal-2-won"].map(conversion);
    trial.sandbox.poison("deal-2-won", RowPoison::new("conversionUploadError", "CLICK_NOT_FOUND"));
    let body = upload(&trial, &rows).await;
    assert_eq!(row_errors(&body), ["conversions[1] conversionUploadError.CLICK_NOT_FOUND"]);
    assert_eq!(counted(&trial), [("deal-1-won".to_owned(), 1)]);

    trial.sandbox.poison("deal-2-won", RowPoison::new("internalError", "INTERNAL_ERROR").without_index());
    let body = upload(&trial, &rows[1..]).await;
    assert_eq!(row_errors(&body), ["conversions internalError.INTERNAL_ERROR"]);
    assert_eq!(body["results"], json!([{}]));

    // Nothing else is said of a poisoned row, although this one was counted.
    trial.sandbox.poison("deal-1-won", RowPoison::new("conversionUploadError", "CLICK_NOT_FOUND"));
    let body = upload(&trial, &rows[..1]).await;
    assert_eq!(row_errors(&body), ["conversions[0] conversionUploadError.CLICK_NOT_FOUND"]);

    // An enum may have grown since.
    trial.sandbox.poison("deal-2-won", RowPoison::new("conversionUploadError", "INVENTED_YESTERDAY"));
    let request = json!({"partialFailure": true, "conversions": rows[1..]});
    let (_, body) = trial.ads(&trial.token().await, "uploadClickConversions", &request).await;
    assert_eq!(row_errors(&body), ["conversions[0] conversionUploadError.INVENTED_YESTERDAY"]);
    trial.sandbox.unpoison("deal-2-won");
    assert_eq!(row_errors(&upload(&trial, &rows[1..]).await).len(), 0);
}

#[tokio::test]
async fn ids_are_poisoned_over_http() {
    let trial = Trial::start().await;
    let url = format!("{}/sandbox/google/poisons", trial.url);
    let poison = json!({"transactionId": "deal-9182-won", "poison": {"kind": "event", "reason": "INVALID_EVENT"}});
    let (status, body) = read(trial.client.post(&url).json(&poison).send().await).await;
    assert_eq!((status, &body["poisoned"][0]["transactionId"]), (200, &json!("deal-9182-won")), "{body}");
    let token = trial.token().await;
    assert_eq!(read(trial.ingest(&token, &request()).await).await.0, 400);
    trial.client.delete(&url).send().await.expect("an answer");
    assert_eq!(read(trial.ingest(&token, &request()).await).await.0, 200);
    let (status, body) = read(trial.client.post(&url).json(&json!({"poison": {"kind": "row"}})).send().await).await;
    assert_eq!((status, &body["allowed"]["poison"][0]["kind"]), (400, &json!("event")));
}

#[tokio::test]
async fn verdicts_are_decided_by_id_and_count_per_destination() {
    let trial = Trial::start().await;
    let mut request = events(&["deal-1-won", "deal-2-won", "deal-3-won"]);
    let mut second = request["destinations"][0].clone();
    second["reference"] = json!("qualified");
    second["productDestinationId"] = json!("987654320");
    request["destinations"] = json!([request["destinations"][0].clone(), second]);
    request["events"][1]["destinationReferences"] = json!([]);
    let recent = "PROCESSING_ERROR_REASON_TOO_RECENT_CLICK";
    let internal = "PROCESSING_ERROR_REASON_INTERNAL_ERROR";
    trial.sandbox.decide("deal-2-won", recent);
    trial.sandbox.decide("deal-3-won", internal);
    let id = request_id(&trial, &request).await;
    let count = |reason: &str| (reason.to_owned(), "1".to_owned());
    let expected = [
        ("PARTIAL_SUCCESS".to_owned(), vec![count(internal), count(recent)]),
        ("FAILED".to_owned(), vec![count(recent)]),
    ];
    assert_eq!(statuses(&trial, &id).await, expected);
    assert_eq!(counted(&trial), [("deal-1-won".to_owned(), 1)]);
    assert_eq!(trial.sandbox.events().len(), 4);

    // What was refused stays refused until it comes again.
    trial.sandbox.undecide("deal-2-won");
    assert_eq!(statuses(&trial, &id).await, expected);
    assert_eq!(counted(&trial).len(), 1);
    let again = request_id(&trial, &events(&["deal-2-won"])).await;
    assert_eq!(statuses(&trial, &again).await, [("SUCCESS".to_owned(), vec![])]);
    assert_eq!(counted(&trial)[1], ("deal-2-won".to_owned(), 1));
}

#[tokio::test]
async fn refused_records_are_named_by_their_places_unless_that_is_switched_off() {
    let trial = Trial::start().await;
    for id in ["deal-2-won", "deal-4-won", "deal-5-won"] {
        trial.sandbox.decide(id, "PROCESSING_ERROR_REASON_INVALID_EVENT");
    }
    let request = events(&["deal-1-won", "deal-2-won", "deal-3-won", "deal-4-won", "deal-5-won"]);
    let id = request_id(&trial, &request).await;
    let token = trial.token().await;
    for (most, expected) in
        [(Some(usize::MAX), json!(["1", "3", "4"])), (Some(2), json!(["1", "3"])), (None, json!(null))]
    {
        trial.sandbox.name_refused(most);
        let (_, body) = trial.status(&token, &id).await;
        let counts = &body["requestStatusPerDestination"][0]["errorInfo"]["errorCounts"];
        assert_eq!((&counts[0]["recordCount"], &counts[0]["recordIndices"]), (&json!("3"), &expected));
    }
}

#[tokio::test]
async fn a_verdict_can_be_decided_until_it_is_given() {
    let trial = Trial::start().await;
    let reason = "PROCESSING_ERROR_REASON_CLICK_NOT_FOUND";
    let open = request_id(&trial, &events(&["deal-1-won"])).await;
    let given = request_id(&trial, &events(&["deal-2-won"])).await;
    let processing = FaultKind::Verdict(Verdict { status: RequestStatus::Processing, ..Verdict::default() });
    trial.next(Endpoint::Status, processing);
    assert_eq!(statuses(&trial, &open).await[0].0, "PROCESSING");
    assert_eq!(statuses(&trial, &given).await[0].0, "SUCCESS");
    for id in ["deal-1-won", "deal-2-won"] {
        trial.sandbox.decide(id, reason);
    }
    assert_eq!(statuses(&trial, &open).await[0].0, "FAILED");
    assert_eq!(statuses(&trial, &given).await[0].0, "SUCCESS");
    assert_eq!(counted(&trial), [("deal-2-won".to_owned(), 1)]);
    let missing = adjustments::retraction("deal-1-won");
    let request = json!({"partialFailure": true, "conversionAdjustments": [missing]});
    let (_, body) = trial.ads(&trial.token().await, "uploadConversionAdjustments", &request).await;
    assert!(row_errors(&body)[0].ends_with(".CONVERSION_NOT_FOUND"));
}

#[tokio::test]
async fn what_a_scripted_verdict_fails_is_not_counted() {
    let trial = Trial::start().await;
    let id = request_id(&trial, &events(&["deal-1-won", "deal-2-won"])).await;
    trial.next(Endpoint::Status, FaultKind::Verdict(Verdict { status: RequestStatus::Failed, ..Verdict::default() }));
    assert_eq!(statuses(&trial, &id).await[0].0, "FAILED");
    assert_eq!(counted(&trial), []);
}

#[tokio::test]
async fn a_known_click_takes_no_conversion_before_it_or_of_another_account() {
    let trial = Trial::start().await;
    let own = GoogleAccount::dev().customer_id;
    let hour = TimeDelta::hours(1);
    for (id, precedes, customer_id, reason, error) in [
        ("deal-1-won", false, own.clone(), None, None),
        ("deal-2-won", true, own, Some("CONVERSION_PRECEDES_CLICK"), Some("CONVERSION_PRECEDES_EVENT")),
        (
            "deal-3-won",
            false,
            "9999999999".to_owned(),
            Some("INVALID_OPERATING_ACCOUNT_FOR_CLICK"),
            Some("INVALID_CUSTOMER_FOR_CLICK"),
        ),
    ] {
        let (mut event, mut row) = (event(id), conversion(id));
        event["adIdentifiers"]["gclid"] = json!(id);
        row["gclid"] = json!(id);
        let occurred_at: DateTime<Utc> = event["eventTimestamp"].as_str().expect("a time").parse().expect("a time");
        let at = if precedes { occurred_at + hour } else { occurred_at - hour };
        trial.sandbox.add_click(id, Click { at, customer_id });

        let error = error.map(|error| format!("conversions[0].gclid conversionUploadError.{error}"));
        assert_eq!(row_errors(&upload(&trial, &[row]).await), error.into_iter().collect::<Vec<_>>(), "{id}");
        let mut request = request();
        request["events"] = json!([event]);
        let request_id = request_id(&trial, &request).await;
        let reason = reason.map(|reason| (format!("PROCESSING_ERROR_REASON_{reason}"), "1".to_owned()));
        assert_eq!(statuses(&trial, &request_id).await[0].1, reason.into_iter().collect::<Vec<_>>(), "{id}");
    }
}

#[tokio::test]
async fn a_minute_s_calls_are_limited_and_measured() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    trial.sandbox.limit_per_minute(Some(2));
    assert_eq!(read(trial.ingest(&token, &request()).await).await.0, 200);
    trial.status(&token, "any").await;
    let (status, body) = read(trial.ingest(&token, &request()).await).await;
    assert_eq!((status, body["error"]["status"].as_str()), (429, Some("RESOURCE_EXHAUSTED")));
    assert_eq!(trial.status(&token, "any").await.0, 429);
    trial.clock.advance(TimeDelta::minutes(1));
    assert_eq!(read(trial.ingest(&token, &request()).await).await.0, 200);
    assert_eq!(trial.sandbox.requests().busiest_minute, 4);
    trial.sandbox.limit_per_minute(None);
    for _ in 0..4 {
        assert_eq!(read(trial.ingest(&token, &request()).await).await.0, 200);
    }
    assert_eq!(trial.sandbox.requests().busiest_minute, 5);
}

#[tokio::test]
async fn revoked_tokens_open_nothing() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    trial.sandbox.revoke_tokens();
    assert_eq!(read(trial.ingest(&token, &request()).await).await.0, 401);
    let rows = json!({"partialFailure": true, "conversions": [conversion("deal-1-won")]});
    assert_eq!(trial.ads(&token, "uploadClickConversions", &rows).await.0, 401);
    request_id(&trial, &request()).await;
}

#[tokio::test]
async fn without_bodies_everything_is_still_counted() {
    let trial = Trial::start().await;
    trial.sandbox.keep_bodies(false);
    let id = request_id(&trial, &request()).await;
    upload(&trial, &[conversion("deal-1-won")]).await;
    let requests = trial.sandbox.requests();
    assert_eq!((requests.ingest_calls, requests.click_conversion_calls), (1, 1));
    assert!(requests.ingest.is_empty() && requests.click_conversions.is_empty());
    assert_eq!(trial.sandbox.events()[0].event, Value::Null);
    assert_eq!(trial.sandbox.events()[0].transaction_id, "deal-9182-won");
    assert_eq!(counted(&trial).len(), 2);
    let (_, body) = trial.status(&trial.token().await, &id).await;
    let destination = &body["requestStatusPerDestination"][0]["destination"];
    assert_eq!(destination["productDestinationId"], "987654321");
}
