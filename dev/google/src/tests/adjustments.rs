//! `uploadConversionAdjustments`.

use super::click_conversions::{conversion, request_error, row_errors, upload as upload_clicks};
use super::*;

const METHOD: &str = "uploadConversionAdjustments";

pub(super) fn retraction(order_id: &str) -> Value {
    json!({
        "conversionAction": "customers/1234567890/conversionActions/987654321",
        "adjustmentType": "RETRACTION",
        "adjustmentDateTime": "2026-11-22 14:00:00+02:00",
        "orderId": order_id,
    })
}

fn restatement(order_id: &str, value: f64, time: &str) -> Value {
    let mut adjustment = retraction(order_id);
    adjustment["adjustmentType"] = json!("RESTATEMENT");
    adjustment["adjustmentDateTime"] = json!(time);
    adjustment["restatementValue"] = json!({"adjustedValue": value, "currencyCode": "EUR"});
    adjustment
}

/// Uploads these rows, and checks the answer against Google's descriptor.
async fn upload(trial: &Trial, adjustments: &[Value]) -> Value {
    let request = json!({"partialFailure": true, "conversionAdjustments": adjustments});
    let (status, body) = trial.ads(&trial.token().await, METHOD, &request).await;
    assert_eq!(status, 200, "{body}");
    let message = "google.ads.googleads.v26.services.UploadConversionAdjustmentsResponse";
    schema::parse(message, &body.to_string()).expect("Google's answer");
    body
}

async fn error_of(trial: &Trial, adjustment: Value) -> Option<String> {
    let error = row_errors(&upload(trial, &[adjustment]).await).pop()?;
    Some(error.rsplit_once('.')?.1.to_owned())
}

#[tokio::test]
async fn conversions_of_both_apis_are_retracted_once() {
    let trial = Trial::start().await;
    upload_clicks(&trial, &[conversion("deal-1-won")]).await;
    read(trial.ingest(&trial.token().await, &request()).await).await;
    let retractions = ["deal-1-won", "deal-9182-won", "deal-404-won"].map(retraction);
    let body = upload(&trial, &retractions).await;
    let missing = "conversion_adjustments[2].order_id conversionAdjustmentUploadError.CONVERSION_NOT_FOUND";
    assert_eq!(row_errors(&body), [missing]);
    assert_eq!(body["results"][0]["orderId"], "deal-1-won");
    assert_eq!(body["results"][0]["adjustmentType"], "RETRACTION");
    assert_eq!(body["results"][2], json!({}));
    let retracted: Vec<bool> = trial.sandbox.conversions().iter().map(|conversion| conversion.retracted).collect();
    assert_eq!(retracted, [true; 2]);

    let mut later = retraction("deal-1-won");
    later["adjustmentDateTime"] = json!("2026-11-22 14:00:01+02:00");
    assert_eq!(error_of(&trial, later).await.as_deref(), Some("CONVERSION_ALREADY_RETRACTED"));
    let restated = restatement("deal-1-won", 1.0, "2026-11-22 15:00:00+02:00");
    assert_eq!(error_of(&trial, restated).await.as_deref(), Some("CONVERSION_ALREADY_RETRACTED"));

    // What comes again is the same conversion, and stays taken back.
    read(trial.ingest(&trial.token().await, &request()).await).await;
    assert!(trial.sandbox.conversions()[1].retracted);

    let adjustments = trial.sandbox.adjustments();
    assert_eq!(adjustments.len(), 2);
    assert_eq!(adjustments[0].adjustment_type, AdjustmentType::Retraction);
    assert_eq!((adjustments[0].order_id.as_str(), adjustments[0].received), ("deal-1-won", 2));
    assert_eq!((adjustments[1].order_id.as_str(), adjustments[1].received), ("deal-9182-won", 1));
    let shown = trial.client.get(format!("{}/sandbox/google/adjustments", trial.url)).send().await;
    let (_, shown) = read(shown).await;
    assert_eq!((&shown[0]["adjustmentType"], &shown[0]["received"]), (&json!("RETRACTION"), &json!(2)));
}

#[tokio::test]
async fn the_last_value_that_was_sent_or_restated_stands() {
    let trial = Trial::start().await;
    let stands = || {
        let conversion = trial.sandbox.conversions().remove(0);
        (conversion.value, conversion.currency.expect("a currency"), conversion.received)
    };
    let token = trial.token().await;
    let mut event_request = request();
    read(trial.ingest(&token, &event_request).await).await;
    assert_eq!(stands(), (Some(1499.5), "UAH".to_owned(), 1));

    let id = "deal-9182-won";
    for (value, time, error) in [
        (900.0, "2026-11-21 10:00:00+00:00", None),
        (800.0, "2026-11-21 12:00:00+02:00", Some("RESTATEMENT_ALREADY_EXISTS")),
        (700.0, "2026-11-21 09:59:59+00:00", Some("MORE_RECENT_RESTATEMENT_FOUND")),
        (600.0, "2026-11-21 10:00:01+00:00", None),
    ] {
        assert_eq!(error_of(&trial, restatement(id, value, time)).await.as_deref(), error, "{time}");
    }
    assert_eq!(stands(), (Some(600.0), "EUR".to_owned(), 1));
    let received: Vec<_> =
        trial.sandbox.adjustments().into_iter().map(|adjustment| (adjustment.value, adjustment.received)).collect();
    assert_eq!(received, [(Some(900.0), 2), (Some(600.0), 1)]);

    event_request["events"][0]["conversionValue"] = json!(500);
    read(trial.ingest(&token, &event_request).await).await;
    assert_eq!(stands(), (Some(500.0), "UAH".to_owned(), 2));
    event_request["events"][0].as_object_mut().expect("an event").remove("conversionValue");
    read(trial.ingest(&token, &event_request).await).await;
    assert_eq!(stands(), (Some(500.0), "UAH".to_owned(), 3));
}

#[tokio::test]
async fn what_is_wrong_with_an_adjustment_is_named() {
    let trial = Trial::start().await;
    upload_clicks(&trial, &[conversion("deal-1-won")]).await;
    let pair = json!({"gclid": "EAIaIQobChMI_fake", "conversionDateTime": "2026-11-20 14:03:11+02:00"});
    let change = |kind: &str, field: &str, value: Value| {
        let mut adjustment = restatement("deal-1-won", 1.0, "2026-11-22 12:00:00+00:00");
        adjustment["adjustmentType"] = json!(kind);
        adjustment[field] = value;
        adjustment
    };
    let restate = |field, value| change("RESTATEMENT", field, value);
    let restated = |value| restate("restatementValue", value);
    let mut by_click = restate("gclidDateTimePair", pair.clone());
    by_click["orderId"] = Value::Null;
    let other_action = json!("customers/1234567890/conversionActions/987654320");
    let unknown_action = json!("customers/1234567890/conversionActions/55");
    for (adjustment, error) in [
        (restate("orderId", Value::Null), "order_id fieldError.REQUIRED"),
        (restate("gclidDateTimePair", pair), "order_id own.GCLID_DATE_TIME_PAIR_AND_ORDER_ID_BOTH_SET"),
        // A conversion with an order id is adjusted by it.
        (by_click, "gclid_date_time_pair own.CONVERSION_NOT_FOUND"),
        (restate("conversionAction", unknown_action), "conversion_action own.NO_CONVERSION_ACTION_FOUND"),
        (restate("conversionAction", other_action), "order_id own.CONVERSION_NOT_FOUND"),
        (restate("adjustmentDateTime", Value::Null), "adjustment_date_time fieldError.REQUIRED"),
        (
            restate("adjustmentDateTime", json!("2026-11-22T12:00:00Z")),
            "adjustment_date_time dateError.INVALID_STRING_DATE_TIME_SECONDS_WITH_OFFSET",
        ),
        (
            restate("adjustmentDateTime", json!("2026-11-20 14:03:10+02:00")),
            "adjustment_date_time own.ADJUSTMENT_PRECEDES_CONVERSION",
        ),
        (restate("restatementValue", Value::Null), "restatement_value.adjusted_value fieldError.REQUIRED"),
        (restated(json!({"currencyCode": "EUR"})), "restatement_value.adjusted_value fieldError.REQUIRED"),
        (restated(json!({"adjustedValue": -1})), "restatement_value.adjusted_value rangeError.TOO_LOW"),
        (
            restated(json!({"adjustedValue": 1, "currencyCode": "eur"})),
            "restatement_value.currency_code currencyCodeError.UNSUPPORTED",
        ),
        (change("RETRACTION", "userAgent", Value::Null), "restatement_value fieldError.VALUE_MUST_BE_UNSET"),
        (restate("adjustmentType", Value::Null), "adjustment_type fieldError.REQUIRED"),
        (restate("adjustmentType", json!("UNKNOWN")), "adjustment_type enumError.ENUM_VALUE_NOT_PERMITTED"),
        (change("ENHANCEMENT", "userAgent", Value::Null), "conversion_action own.INVALID_CONVERSION_ACTION_TYPE"),
        (restate("userIdentifiers", json!([{"mobileId": "x"}])), "user_identifiers[0] own.UNSUPPORTED_USER_IDENTIFIER"),
    ] {
        let body = upload(&trial, std::slice::from_ref(&adjustment)).await;
        let error = error.replace(" own.", " conversionAdjustmentUploadError.");
        assert_eq!(row_errors(&body), [format!("conversion_adjustments[0].{error}")], "{adjustment}");
    }
    assert_eq!(trial.sandbox.adjustments(), []);
    assert_eq!(trial.sandbox.conversions()[0].value, Some(1499.5));
}

#[tokio::test]
async fn a_conversion_without_an_order_id_is_named_by_click_and_time() {
    let trial = Trial::start().await;
    let mut anonymous = conversion("");
    anonymous.as_object_mut().expect("a row").remove("orderId");
    upload_clicks(&trial, &[anonymous]).await;
    let mut by_click = retraction("");
    by_click["orderId"] = Value::Null;
    by_click["gclidDateTimePair"] =
        json!({"gclid": "EAIaIQobChMI_fake", "conversionDateTime": "2026-11-20 12:03:11+00:00"});
    let body = upload(&trial, &[by_click]).await;
    assert_eq!(row_errors(&body).len(), 0);
    assert_eq!(body["results"][0]["gclidDateTimePair"]["gclid"], "EAIaIQobChMI_fake");
    assert!(trial.sandbox.conversions()[0].retracted);
}

#[tokio::test]
async fn a_conversion_can_be_adjusted_for_54_days() {
    let trial = Trial::start().await;
    let mut row = conversion("deal-1-won");
    row["conversionDateTime"] = json!("2026-11-22 12:00:00+00:00");
    upload_clicks(&trial, &[row]).await;
    trial.clock.advance(TimeDelta::days(54));
    let last = restatement("deal-1-won", 1.0, "2027-01-15 12:00:00+00:00");
    assert_eq!(error_of(&trial, last).await, None);
    trial.clock.advance(TimeDelta::seconds(1));
    assert_eq!(error_of(&trial, retraction("deal-1-won")).await.as_deref(), Some("CONVERSION_EXPIRED"));
}

#[tokio::test]
async fn requests_of_adjustments_have_limits_too() {
    let trial = Trial::start().await;
    upload_clicks(&trial, &[conversion("deal-1-won")]).await;
    let twice = upload(&trial, &[retraction("deal-1-won"), retraction("deal-1-won")]).await;
    let duplicates = [0, 1].map(|row| {
        format!(
            "conversion_adjustments[{row}].order_id conversionAdjustmentUploadError.DUPLICATE_ADJUSTMENT_IN_REQUEST"
        )
    });
    assert_eq!(row_errors(&twice), duplicates);

    let token = trial.token().await;
    let many = vec![retraction("deal-1-won"); 2001];
    for (request, name) in [
        (json!({"partialFailure": true, "conversionAdjustments": many}), "TOO_MANY_ADJUSTMENTS_IN_REQUEST"),
        (json!({"conversionAdjustments": [retraction("deal-1-won")]}), "PARTIAL_FAILURE_MODE_REQUIRED"),
    ] {
        let (status, body) = trial.ads(&token, METHOD, &request).await;
        assert_eq!(status, 400);
        assert!(request_error(&body).ends_with(name), "{body}");
    }
    let validating =
        json!({"partialFailure": true, "validateOnly": true, "conversionAdjustments": [retraction("deal-1-won")]});
    let (status, body) = trial.ads(&token, METHOD, &validating).await;
    assert_eq!((status, body.get("partialFailureError")), (200, None));
    assert!(!trial.sandbox.conversions()[0].retracted);
    assert_eq!(trial.sandbox.requests().adjustment_calls, 4);
}
