//! Several Google Ads accounts of one advertiser.

use super::click_conversions::{conversion, request_error, row_errors};
use super::*;

pub(super) const FIRST: &str = "1234567890";
pub(super) const SECOND: &str = "2223334444";
pub(super) const CLICKS: &str = "uploadClickConversions";
pub(super) const ADJUSTMENTS: &str = "uploadConversionAdjustments";

pub(super) async fn two_accounts() -> Trial {
    let trial = Trial::start().await;
    trial.sandbox.add_account(AdsAccount::second_dev());
    trial
}

/// A Data Manager request with one event for this action of this account.
pub(super) fn request_for(customer_id: &str, action: &str, id: &str) -> Value {
    let mut request = request();
    request["destinations"][0]["operatingAccount"]["accountId"] = json!(customer_id);
    request["destinations"][0]["productDestinationId"] = json!(action);
    request["events"] = json!([event(id)]);
    request
}

/// The same row for this action of this account.
pub(super) fn at(mut row: Value, customer_id: &str, action: &str) -> Value {
    row["conversionAction"] = json!(format!("customers/{customer_id}/conversionActions/{action}"));
    row
}

pub(super) fn clicks(rows: &[Value]) -> Value {
    json!({"partialFailure": true, "conversions": rows})
}

pub(super) fn adjustments(rows: &[Value]) -> Value {
    json!({"partialFailure": true, "conversionAdjustments": rows})
}

impl Trial {
    /// Sends this to Data Manager. Returns the id of an accepted request.
    pub(super) async fn accepted(&self, request: &Value) -> String {
        let (status, body) = read(self.ingest(&self.token().await, request).await).await;
        assert_eq!(status, 200, "{body}");
        body["requestId"].as_str().expect("a request id").to_owned()
    }

    /// Calls the Google Ads API for this account. Returns the errors of the rows.
    pub(super) async fn row_errors(&self, customer_id: &str, method: &str, request: &Value) -> Vec<String> {
        let (status, body) = self.ads_of(customer_id, &self.token().await, method, request).await;
        assert_eq!(status, 200, "{body}");
        row_errors(&body)
    }

    /// What Google counts: account, action, id and whether it was retracted.
    fn counted(&self) -> Vec<(String, String, String, bool)> {
        let conversions = self.sandbox.conversions().into_iter();
        conversions.map(|it| (it.customer_id, it.conversion_action, it.id, it.retracted)).collect()
    }
}

fn counts(customer_id: &str, action: &str, id: &str) -> (String, String, String, bool) {
    (customer_id.to_owned(), action.to_owned(), id.to_owned(), false)
}

#[tokio::test]
async fn data_manager_takes_events_for_the_actions_of_every_account() {
    let trial = two_accounts().await;
    let token = trial.token().await;
    for (customer_id, action, status) in [
        (FIRST, "987654321", 200),
        (SECOND, "111", 200),
        (SECOND, "987654321", 400),
        (FIRST, "111", 400),
        ("1111111111", "111", 403),
    ] {
        let request = request_for(customer_id, action, "deal-1-won");
        let (seen, body) = read(trial.ingest(&token, &request).await).await;
        assert_eq!(seen, status, "{customer_id} {action}: {body}");
        if status == 400 {
            let violation = &detail(&body, "BadRequest")["fieldViolations"][0];
            assert_eq!(violation["field"], "events.events[0].destination_references");
            assert_eq!(violation["reason"], "NOT_FOUND");
        }
    }
    assert_eq!(trial.counted(), [counts(FIRST, "987654321", "deal-1-won"), counts(SECOND, "111", "deal-1-won")]);
}

#[tokio::test]
async fn one_request_can_be_for_two_accounts_and_each_event_goes_where_it_says() {
    let trial = two_accounts().await;
    let mut request = request_for(FIRST, "987654321", "deal-1-won");
    let mut second = request_for(SECOND, "112", "any")["destinations"][0].clone();
    second["reference"] = json!("second");
    request["destinations"].as_array_mut().expect("destinations").push(second);
    let mut elsewhere = event("deal-2-won");
    elsewhere["destinationReferences"] = json!(["second"]);
    let mut everywhere = event("deal-3-won");
    everywhere["destinationReferences"] = json!([]);
    request["events"].as_array_mut().expect("events").extend([elsewhere, everywhere]);
    trial.accepted(&request).await;

    let expected = [
        counts(FIRST, "987654321", "deal-1-won"),
        counts(SECOND, "112", "deal-2-won"),
        counts(FIRST, "987654321", "deal-3-won"),
        counts(SECOND, "112", "deal-3-won"),
    ];
    assert_eq!(trial.counted(), expected);
    let events = trial.sandbox.events().into_iter();
    let received: Vec<_> = events.map(|it| (it.customer_id, it.conversion_action, it.transaction_id)).collect();
    assert_eq!(received, expected.map(|(customer_id, action, id, _)| (customer_id, action, id)));

    // A request for an account that is closed is refused as a whole.
    request["destinations"][1]["operatingAccount"]["accountId"] = json!("1111111111");
    assert_eq!(read(trial.ingest(&trial.token().await, &request).await).await.0, 403);
    assert!(trial.sandbox.events().iter().all(|event| event.received == 1));
}

#[tokio::test]
async fn the_google_ads_api_takes_rows_for_the_actions_of_the_account_that_is_called() {
    let trial = two_accounts().await;
    let missing = "conversion_action conversionUploadError.NO_CONVERSION_ACTION_FOUND";
    for (customer_id, named, action, is_taken) in [
        (FIRST, FIRST, "987654321", true),
        (SECOND, SECOND, "111", true),
        (SECOND, SECOND, "987654321", false),
        (FIRST, FIRST, "111", false),
        // The name and the call disagree.
        (SECOND, FIRST, "112", false),
        (FIRST, SECOND, "987654320", false),
        (FIRST, SECOND, "112", false),
    ] {
        let row = at(conversion("deal-1-won"), named, action);
        let errors = trial.row_errors(customer_id, CLICKS, &clicks(&[row])).await;
        let expected = if is_taken { vec![] } else { vec![format!("conversions[0].{missing}")] };
        assert_eq!(errors, expected, "{customer_id} {named} {action}");
    }
    let row = at(conversion("deal-1-won"), "1111111111", "111");
    let (status, body) = trial.ads_of("1111111111", &trial.token().await, CLICKS, &clicks(&[row])).await;
    assert_eq!((status, request_error(&body).as_str()), (403, "authorizationError.USER_PERMISSION_DENIED"));
    assert_eq!(trial.counted(), [counts(FIRST, "987654321", "deal-1-won"), counts(SECOND, "111", "deal-1-won")]);
}

#[tokio::test]
async fn every_account_is_reached_directly_unless_it_has_a_manager() {
    const MANAGER: &str = "9876543210";
    let mut first = GoogleAccount::dev();
    first.login_customer_id = Some(MANAGER.to_owned());
    let trial = Trial::with(first).await;
    trial.sandbox.add_account(AdsAccount::second_dev());
    let managed = AdsAccount { login_customer_id: Some(MANAGER.to_owned()), ..AdsAccount::new("3334445555", ["211"]) };
    trial.sandbox.add_account(managed);
    let token = trial.token().await;
    for (customer_id, action, through_manager) in
        [(FIRST, "987654321", true), (SECOND, "111", false), ("3334445555", "211", true)]
    {
        for login in [None, Some(customer_id), Some(MANAGER)] {
            let is_open = (login == Some(MANAGER)) == through_manager;
            let status = if is_open { 200 } else { 403 };
            let mut request = request_for(customer_id, action, "deal-1-won");
            if let Some(id) = login {
                request["destinations"][0]["loginAccount"] = json!({"accountType": "GOOGLE_ADS", "accountId": id});
            }
            let (seen, body) = read(trial.ingest(&token, &request).await).await;
            assert_eq!(seen, status, "{customer_id} {login:?}: {body}");

            let url = format!("{}/v26/customers/{customer_id}:{CLICKS}", trial.url);
            let row = at(conversion("deal-2-won"), customer_id, action);
            let mut call = trial.client.post(url).bearer_auth(&token).json(&clicks(&[row]));
            if let Some(id) = login {
                call = call.header("login-customer-id", id);
            }
            let (seen, body) = read(call.send().await).await;
            assert_eq!(seen, status, "{customer_id} {login:?}: {body}");
        }
    }
}

#[tokio::test]
async fn each_account_is_open_for_click_uploads_or_not() {
    let trial = Trial::start().await;
    trial.sandbox.add_account(AdsAccount { allow_listed_for_click_uploads: false, ..AdsAccount::second_dev() });
    let token = trial.token().await;
    for (customer_id, action, status) in [(FIRST, "987654321", 200), (SECOND, "111", 403)] {
        let rows = clicks(&[at(conversion("deal-1-won"), customer_id, action)]);
        assert_eq!(trial.ads_of(customer_id, &token, CLICKS, &rows).await.0, status, "{customer_id}");
    }
}

#[tokio::test]
async fn an_id_is_one_conversion_in_each_account_even_where_actions_have_the_same_number() {
    let trial = Trial::start().await;
    trial.sandbox.add_account(AdsAccount::new(SECOND, ["987654321"]));
    for customer_id in [FIRST, SECOND, FIRST] {
        trial.accepted(&request_for(customer_id, "987654321", "deal-1-won")).await;
    }
    let received: Vec<_> =
        trial.sandbox.events().into_iter().map(|event| (event.customer_id, event.received)).collect();
    assert_eq!(received, [(FIRST.to_owned(), 2), (SECOND.to_owned(), 1)]);

    // The Google Ads API refuses an id that the account has, not one that another account has.
    trial.accepted(&request_for(FIRST, "987654321", "deal-2-won")).await;
    for (customer_id, is_used) in [(FIRST, true), (SECOND, false), (SECOND, true)] {
        let row = at(conversion("deal-2-won"), customer_id, "987654321");
        let errors = trial.row_errors(customer_id, CLICKS, &clicks(&[row])).await;
        let in_use = "conversions[0].order_id conversionUploadError.ORDER_ID_ALREADY_IN_USE".to_owned();
        assert_eq!(errors, if is_used { vec![in_use] } else { vec![] }, "{customer_id}");
    }
    let expected = [(FIRST, "deal-1-won"), (SECOND, "deal-1-won"), (FIRST, "deal-2-won"), (SECOND, "deal-2-won")]
        .map(|(customer_id, id)| counts(customer_id, "987654321", id));
    assert_eq!(trial.counted(), expected);
}

#[tokio::test]
async fn an_adjustment_finds_its_conversion_in_its_own_account_and_action_only() {
    let trial = two_accounts().await;
    let retraction = |customer_id, action| at(super::adjustments::retraction("deal-1-won"), customer_id, action);
    trial.accepted(&request_for(FIRST, "987654321", "deal-1-won")).await;
    let missing = "conversion_adjustments[0].order_id conversionAdjustmentUploadError.CONVERSION_NOT_FOUND";
    for (customer_id, action) in [(SECOND, "111"), (FIRST, "987654320")] {
        let rows = adjustments(&[retraction(customer_id, action)]);
        assert_eq!(trial.row_errors(customer_id, ADJUSTMENTS, &rows).await, [missing], "{customer_id}");
    }
    let unknown = "conversion_adjustments[0].conversion_action \
                   conversionAdjustmentUploadError.NO_CONVERSION_ACTION_FOUND";
    for (customer_id, named, action) in [(SECOND, SECOND, "987654321"), (SECOND, FIRST, "987654321")] {
        let rows = adjustments(&[retraction(named, action)]);
        assert_eq!(trial.row_errors(customer_id, ADJUSTMENTS, &rows).await, [unknown], "{named}");
    }
    assert_eq!(trial.sandbox.adjustments(), []);

    // Both accounts have it now, by different APIs; one loses it, and then the other.
    let row = at(conversion("deal-1-won"), SECOND, "111");
    assert!(trial.row_errors(SECOND, CLICKS, &clicks(&[row])).await.is_empty());
    let retracted = || trial.counted().into_iter().map(|(.., retracted)| retracted).collect::<Vec<_>>();
    for (customer_id, action, expected) in [(SECOND, "111", [false, true]), (FIRST, "987654321", [true, true])] {
        let rows = adjustments(&[retraction(customer_id, action)]);
        assert!(trial.row_errors(customer_id, ADJUSTMENTS, &rows).await.is_empty(), "{customer_id}");
        assert_eq!(retracted(), expected);
    }
    let carried_out: Vec<_> = trial
        .sandbox
        .adjustments()
        .into_iter()
        .map(|it| (it.customer_id, it.conversion_action, it.order_id, it.received))
        .collect();
    let expected = [(SECOND, "111"), (FIRST, "987654321")]
        .map(|(customer_id, action)| (customer_id.to_owned(), action.to_owned(), "deal-1-won".to_owned(), 1));
    assert_eq!(carried_out, expected);
}

#[tokio::test]
async fn a_known_click_takes_conversions_of_its_own_account_only() {
    let trial = two_accounts().await;
    let clicked = now() - TimeDelta::days(9);
    trial.sandbox.add_click("Click-1", Click { at: clicked, customer_id: SECOND.to_owned() });
    for (customer_id, action, reason, error) in [
        (
            FIRST,
            "987654321",
            Some("PROCESSING_ERROR_REASON_INVALID_OPERATING_ACCOUNT_FOR_CLICK"),
            Some("conversions[0].gclid conversionUploadError.INVALID_CUSTOMER_FOR_CLICK"),
        ),
        (SECOND, "111", None, None),
    ] {
        let mut request = request_for(customer_id, action, "deal-1-won");
        request["events"][0]["adIdentifiers"]["gclid"] = json!("Click-1");
        let request_id = trial.accepted(&request).await;
        let (_, body) = trial.status(&trial.token().await, &request_id).await;
        let verdict = &body["requestStatusPerDestination"][0];
        assert_eq!(verdict["errorInfo"]["errorCounts"][0]["reason"].as_str(), reason, "{customer_id}");

        let mut row = at(conversion("deal-2-won"), customer_id, action);
        row["gclid"] = json!("Click-1");
        let errors = trial.row_errors(customer_id, CLICKS, &clicks(&[row])).await;
        assert_eq!(errors.first().map(String::as_str), error, "{customer_id}");
    }
    assert_eq!(trial.counted(), [counts(SECOND, "111", "deal-1-won"), counts(SECOND, "111", "deal-2-won")]);
}

#[tokio::test]
async fn the_control_routes_say_the_account_but_not_the_body() {
    let trial = two_accounts().await;
    trial.accepted(&request_for(SECOND, "111", "deal-1-won")).await;
    let row = at(super::adjustments::retraction("deal-1-won"), SECOND, "111");
    trial.row_errors(SECOND, ADJUSTMENTS, &adjustments(&[row])).await;
    for path in ["events", "conversions", "adjustments"] {
        let shown = trial.client.get(format!("{}/sandbox/google/{path}", trial.url)).send().await;
        let (_, shown) = read(shown).await;
        assert_eq!((&shown[0]["customerId"], &shown[0]["conversionAction"]), (&json!(SECOND), &json!("111")), "{path}");
        assert!(shown[0].get("body").is_none(), "{path}: {shown}");
    }
}
