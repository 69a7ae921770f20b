//! `uploadClickConversions`.

use super::*;

const METHOD: &str = "uploadClickConversions";
const ACTION: &str = "customers/1234567890/conversionActions/987654321";

pub(super) fn conversion(order_id: &str) -> Value {
    json!({
        "gclid": "EAIaIQobChMI_fake",
        "conversionAction": ACTION,
        "conversionDateTime": "2026-11-20 14:03:11+02:00",
        "conversionValue": 1499.5,
        "currencyCode": "UAH",
        "orderId": order_id,
        "conversionEnvironment": "WEB",
        "userIdentifiers": [{"userIdentifierSource": "FIRST_PARTY", "hashedEmail": HASH}],
        "consent": {"adUserData": "GRANTED"},
    })
}

/// Uploads these rows, and checks the answer against Google's descriptor.
pub(super) async fn upload(trial: &Trial, conversions: &[Value]) -> Value {
    let request = json!({"partialFailure": true, "conversions": conversions});
    let (status, body) = trial.ads(&trial.token().await, METHOD, &request).await;
    assert_eq!(status, 200, "{body}");
    let message = "google.ads.googleads.v26.services.UploadClickConversionsResponse";
    schema::parse(message, &body.to_string()).expect("Google's answer");
    body
}

/// The errors of the rows, each as `conversions[0].gclid fieldError.REQUIRED`.
pub(super) fn row_errors(body: &Value) -> Vec<String> {
    let details = body["partialFailureError"]["details"].as_array().cloned().unwrap_or_default();
    assert!(details.len() <= 1, "one GoogleAdsFailure for all rows: {body}");
    details.first().map(errors).unwrap_or_default()
}

/// The error of a whole request, such as `quotaError.RESOURCE_EXHAUSTED`.
pub(super) fn request_error(body: &Value) -> String {
    let failure = &body["error"]["details"][0];
    assert!(failure["@type"].as_str().is_some_and(|name| name.ends_with(".errors.GoogleAdsFailure")), "{body}");
    errors(failure).remove(0)
}

fn errors(failure: &Value) -> Vec<String> {
    failure["errors"].as_array().expect("errors").iter().map(shown).collect()
}

fn shown(error: &Value) -> String {
    let elements = error["location"]["fieldPathElements"].as_array().cloned().unwrap_or_default();
    let place: Vec<String> = elements
        .iter()
        .map(|element| {
            let name = element["fieldName"].as_str().expect("a name");
            element["index"].as_u64().map_or_else(|| name.to_owned(), |index| format!("{name}[{index}]"))
        })
        .collect();
    let (category, name) = error["errorCode"].as_object().and_then(|code| code.iter().next()).expect("a code");
    let shown = format!("{} {category}.{}", place.join("."), name.as_str().expect("a name"));
    shown.trim_start().to_owned()
}

#[tokio::test]
async fn a_conversion_is_answered_by_its_result_and_counted() {
    let trial = Trial::start().await;
    let body = upload(&trial, &[conversion("deal-1-won")]).await;
    assert!(body.get("partialFailureError").is_none());
    let result = &body["results"][0];
    assert_eq!(result["conversionDateTime"], "2026-11-20 14:03:11+02:00");
    assert_eq!(result["conversionAction"], ACTION);
    let job_id: u64 = body["jobId"].as_str().and_then(|id| id.parse().ok()).expect("an int64 as a string");
    assert!(job_id >= 1 << 31);

    let counted = &trial.sandbox.conversions()[0];
    assert_eq!((counted.conversion_action.as_str(), counted.id.as_str()), ("987654321", "deal-1-won"));
    assert_eq!((counted.value, counted.currency.as_deref()), (Some(1499.5), Some("UAH")));
    assert_eq!((counted.received, counted.retracted), (1, false));
    assert_eq!(counted.transports, [Transport::GoogleAds].into());

    let shown = trial.client.get(format!("{}/sandbox/google/conversions", trial.url)).send().await;
    let (_, shown) = read(shown).await;
    assert_eq!(shown[0]["conversionAction"], "987654321");
    assert_eq!(shown[0]["transports"], json!(["google_ads"]));
    assert!(trial.sandbox.events().is_empty());
    assert_eq!(trial.sandbox.requests().click_conversion_calls, 1);
}

/// Uploads a good row with one field changed, and checks the only error.
async fn assert_refused(trial: &Trial, field: &str, value: Value, error: &str) {
    let mut row = conversion("deal-1-won");
    row[field] = value;
    let body = upload(trial, std::slice::from_ref(&row)).await;
    assert_eq!(row_errors(&body), [format!("conversions[0].{error}")], "{row}");
    assert_eq!(body["results"], json!([{}]));
    assert_eq!(trial.sandbox.conversions(), []);
}

#[tokio::test]
async fn what_is_wrong_with_a_row_is_named() {
    let trial = Trial::start().await;
    let unknown_action = json!("customers/1234567890/conversionActions/55");
    for (field, value, error) in [
        ("conversionAction", unknown_action, "conversion_action conversionUploadError.NO_CONVERSION_ACTION_FOUND"),
        ("conversionAction", json!("987654321"), "conversion_action requestError.RESOURCE_NAME_MALFORMED"),
        ("conversionAction", Value::Null, "conversion_action fieldError.REQUIRED"),
        ("orderId", json!(""), "order_id stringLengthError.EMPTY"),
        ("orderId", json!("x".repeat(65)), "order_id stringLengthError.TOO_LONG"),
        ("orderId", json!("jane@example.com"), "order_id conversionUploadError.ORDER_ID_CONTAINS_PII"),
        ("gclid", json!("EAIa IQ"), "gclid conversionUploadError.UNPARSEABLE_GCLID"),
        ("currencyCode", json!("uah"), "currency_code currencyCodeError.UNSUPPORTED"),
        ("conversionValue", json!(-0.01), "conversion_value rangeError.TOO_LOW"),
        ("conversionValue", json!("NaN"), "conversion_value fieldError.INVALID_VALUE"),
    ] {
        assert_refused(&trial, field, value, error).await;
    }
}

#[tokio::test]
async fn up_to_five_hashes_of_addresses_and_numbers_identify_a_user() {
    let trial = Trial::start().await;
    let six = vec![json!({"hashedEmail": HASH}); 6];
    assert_refused(&trial, "userIdentifiers", json!(six), "user_identifiers collectionSizeError.TOO_MANY").await;
    for (identifier, error) in [
        (json!({}), "user_identifiers[0] conversionUploadError.INVALID_USER_IDENTIFIER"),
        (
            json!({"hashedEmail": "jane@example.com"}),
            "user_identifiers[0].hashed_email conversionUploadError.INVALID_USER_IDENTIFIER",
        ),
        (
            json!({"hashedPhoneNumber": HASH.to_uppercase()}),
            "user_identifiers[0].hashed_phone_number conversionUploadError.INVALID_USER_IDENTIFIER",
        ),
        (
            json!({"addressInfo": {"city": "x"}}),
            "user_identifiers[0] conversionUploadError.UNSUPPORTED_USER_IDENTIFIER",
        ),
        (json!({"mobileId": "x"}), "user_identifiers[0] conversionUploadError.UNSUPPORTED_USER_IDENTIFIER"),
    ] {
        assert_refused(&trial, "userIdentifiers", json!([identifier]), error).await;
    }
}

#[tokio::test]
async fn fields_for_others_are_refused() {
    let trial = Trial::start().await;
    let pairs = json!({"keyValuePairs": [{"sessionAttributeKey": "a", "sessionAttributeValue": "b"}]});
    for (field, value, place) in [
        ("userIpAddress", json!("192.0.2.1"), "user_ip_address"),
        ("sessionAttributesEncoded", json!("YQ=="), "session_attributes_encoded"),
        ("sessionAttributesKeyValuePairs", pairs, "session_attributes_key_value_pairs"),
    ] {
        let error = format!("{place} notAllowlistedError.CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE");
        assert_refused(&trial, field, value, &error).await;
    }
    for (consent, error) in [
        (json!({"adPersonalization": "DENIED"}), "consent.ad_personalization fieldError.VALUE_MUST_BE_UNSET"),
        (json!({"adUserData": "UNKNOWN"}), "consent.ad_user_data enumError.ENUM_VALUE_NOT_PERMITTED"),
    ] {
        assert_refused(&trial, "consent", consent, error).await;
    }
}

#[tokio::test]
async fn a_time_has_one_format_and_is_in_the_last_90_days() {
    let trial = Trial::start().await;
    let misspelt = "dateError.INVALID_STRING_DATE_TIME_SECONDS_WITH_OFFSET";
    for (time, error) in [
        ("2026-11-20T14:03:11+02:00", misspelt),
        ("2026-11-20 14:03:11", misspelt),
        ("2026-11-20 14:03:11Z", misspelt),
        ("2026-11-20 14:03:11+0200", misspelt),
        ("2026-11-20 14:03:11.5+02:00", misspelt),
        ("2026-11-20 4:03:11+02:00", misspelt),
        ("2026-02-30 14:03:11+02:00", misspelt),
        ("", "fieldError.REQUIRED"),
        ("2026-11-22 12:00:01+00:00", "dateError.LATER_THAN_MAXIMUM_DATE"),
        ("2026-08-24 11:59:59+00:00", "conversionUploadError.EXPIRED_EVENT"),
    ] {
        let error = format!("conversion_date_time {error}");
        assert_refused(&trial, "conversionDateTime", json!(time), &error).await;
    }
}

#[tokio::test]
async fn every_row_identifies_a_person() {
    let trial = Trial::start().await;
    let with = |ids: Value| {
        let mut row = conversion(&ids.to_string().len().to_string());
        row.as_object_mut().expect("a row").retain(|name, _| name != "gclid" && name != "userIdentifiers");
        for (name, id) in ids.as_object().expect("ids") {
            row[name] = id.clone();
        }
        row
    };
    let user = json!([{"hashedPhoneNumber": HASH}]);
    let good = [json!({"gbraid": "a"}), json!({"wbraid": "ab"}), json!({ "userIdentifiers": user })].map(with);
    assert_eq!(row_errors(&upload(&trial, &good).await).len(), 0);

    let bad = [json!({}), json!({"gbraid": "a", "wbraid": "b"})].map(with);
    let errors = [
        "conversions[0].gclid fieldError.REQUIRED",
        "conversions[1].gbraid conversionUploadError.GBRAID_WBRAID_BOTH_SET",
    ];
    assert_eq!(row_errors(&upload(&trial, &bad).await), errors);
}

#[tokio::test]
async fn rows_fail_one_by_one_each_under_its_index() {
    let trial = Trial::start().await;
    let mut worthless = conversion("deal-2-won");
    worthless["currencyCode"] = json!("XXX");
    worthless["conversionValue"] = json!(-1);
    let body = upload(&trial, &[conversion("deal-1-won"), worthless, conversion("deal-3-won")]).await;
    let errors = [
        "conversions[1].currency_code currencyCodeError.UNSUPPORTED",
        "conversions[1].conversion_value rangeError.TOO_LOW",
    ];
    assert_eq!(row_errors(&body), errors);
    assert_eq!(body["partialFailureError"]["code"], 3);
    let message = body["partialFailureError"]["message"].as_str().expect("a message");
    assert!(message.starts_with("Multiple errors") && message.ends_with("conversions[1].currency_code"), "{message}");
    assert_eq!(body["results"][1], json!({}));
    let counted: Vec<String> = trial.sandbox.conversions().into_iter().map(|conversion| conversion.id).collect();
    assert_eq!(counted, ["deal-1-won", "deal-3-won"]);
}

#[tokio::test]
async fn an_order_id_is_used_once_at_an_action() {
    let trial = Trial::start().await;
    let twice = [conversion("deal-1-won"), conversion("deal-2-won"), conversion("deal-1-won")];
    let errors = ["conversions[0]", "conversions[2]"]
        .map(|row| format!("{row}.order_id conversionUploadError.DUPLICATE_ORDER_ID"));
    assert_eq!(row_errors(&upload(&trial, &twice).await), errors);

    // Data Manager's transaction ids are the same ids.
    let mut event_request = request();
    event_request["events"][0]["transactionId"] = json!("deal-3-won");
    read(trial.ingest(&trial.token().await, &event_request).await).await;
    let body = upload(&trial, &[conversion("deal-1-won"), conversion("deal-2-won"), conversion("deal-3-won")]).await;
    let errors = ["conversions[1]", "conversions[2]"]
        .map(|row| format!("{row}.order_id conversionUploadError.ORDER_ID_ALREADY_IN_USE"));
    assert_eq!(row_errors(&body), errors);

    let mut elsewhere = conversion("deal-1-won");
    elsewhere["conversionAction"] = json!("customers/1234567890/conversionActions/987654320");
    assert_eq!(row_errors(&upload(&trial, &[elsewhere]).await).len(), 0);
}

#[tokio::test]
async fn without_an_order_id_click_and_time_tell_conversions_apart() {
    let trial = Trial::start().await;
    let mut row = conversion("");
    row.as_object_mut().expect("a row").remove("orderId");
    let errors = ["conversions[0]", "conversions[2]"]
        .map(|row| format!("{row}.gclid conversionUploadError.DUPLICATE_CLICK_CONVERSION_IN_REQUEST"));
    let twice = [row.clone(), conversion("deal-1-won"), row.clone()];
    assert_eq!(row_errors(&upload(&trial, &twice).await), errors);
    assert_eq!(row_errors(&upload(&trial, std::slice::from_ref(&row)).await).len(), 0);
    let again = upload(&trial, &[row]).await;
    assert_eq!(row_errors(&again), ["conversions[0].gclid conversionUploadError.CLICK_CONVERSION_ALREADY_EXISTS"]);
}

#[tokio::test]
async fn validating_only_counts_nothing_and_has_no_results() {
    let trial = Trial::start().await;
    let mut bad = conversion("deal-2-won");
    bad["currencyCode"] = json!("XXX");
    let request = json!({"partialFailure": true, "validateOnly": true, "conversions": [conversion("deal-1-won"), bad]});
    let (status, body) = trial.ads(&trial.token().await, METHOD, &request).await;
    assert_eq!(status, 200);
    assert_eq!(row_errors(&body).len(), 1);
    assert!(body.get("results").is_none());
    assert_eq!(trial.sandbox.conversions(), []);
}

#[tokio::test]
async fn a_whole_request_is_refused_by_a_failure() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let rows = |count: usize| json!({"partialFailure": true, "conversions": vec![conversion("deal-1-won"); count]});
    for (customer, body, code, error) in [
        ("1234567890", json!({}), 400, "partial_failure partialFailureError.PARTIAL_FAILURE_MODE_REQUIRED"),
        ("1234567890", rows(0), 400, "conversions fieldError.REQUIRED_NONEMPTY_LIST"),
        ("1234567890", rows(2001), 400, "conversions conversionUploadError.TOO_MANY_CONVERSIONS_IN_REQUEST"),
        ("1234567890", json!({"partialFailure": true, "jobId": 0}), 400, "job_id conversionUploadError.INVALID_JOB_ID"),
        ("123-456-7890", rows(1), 400, "requestError.INVALID_CUSTOMER_ID"),
        ("1111111111", rows(1), 403, "authorizationError.USER_PERMISSION_DENIED"),
    ] {
        let url = format!("{}/v26/customers/{customer}:{METHOD}", trial.url);
        let (status, body) = read(trial.client.post(url).bearer_auth(&token).json(&body).send().await).await;
        assert_eq!((status, request_error(&body).as_str()), (code, error));
    }

    let unknown = json!({"partialFailure": true, "conversions": [{"transactionId": "deal-1-won"}]});
    let (status, body) = trial.ads(&token, METHOD, &unknown).await;
    assert_eq!(status, 400);
    assert_eq!(detail(&body, "BadRequest")["fieldViolations"][0]["field"], "conversions[0]");
    assert!(!body.to_string().contains("GoogleAdsFailure"));
    let mut with_customer = rows(1);
    with_customer["customerId"] = json!("1234567890");
    let (_, body) = trial.ads(&token, METHOD, &with_customer).await;
    assert_eq!(detail(&body, "BadRequest")["fieldViolations"][0]["field"], "customer_id");
    let (status, _) = trial.ads(&token, "uploadCallConversions", &rows(1)).await;
    assert_eq!(status, 404);
    let (status, body) = trial.ads("invented", METHOD, &rows(1)).await;
    assert_eq!(status, 401);
    assert_eq!(detail(&body, "ErrorInfo")["metadata"]["service"], "googleads.googleapis.com");
    assert_eq!(trial.sandbox.conversions(), []);
}

#[tokio::test]
async fn four_versions_are_served_and_older_ones_are_not() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    for (version, served) in
        [("v22", false), ("v23", true), ("v24", true), ("v25", true), ("v26", true), ("v27", false)]
    {
        let url = format!("{}/{version}/customers/1234567890:{METHOD}", trial.url);
        let request = json!({"partialFailure": true, "conversions": [conversion("deal-1-won")]});
        let call = trial.client.post(url).bearer_auth(&token).header("developer-token", "old").json(&request);
        let answer = call.send().await.expect("an answer");
        assert_eq!(answer.status() == 200, served, "{version}");
        if version == "v27" {
            // There never was one, so no API answers.
            let page = (answer.status().as_u16(), answer.text().await.expect("a text"));
            assert!(page.0 == 404 && page.1.starts_with('<'), "{page:?}");
        } else if !served {
            // Only the newest version's failures have descriptors here.
            let body: Value = serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON");
            assert_eq!(request_error(&body), "requestError.UNSUPPORTED_VERSION");
        }
    }
    assert_eq!(trial.sandbox.requests().developer_tokens, 5);
}

#[tokio::test]
async fn a_manager_is_named_by_the_login_customer_id() {
    let mut account = GoogleAccount::dev();
    account.login_customer_id = Some("9876543210".to_owned());
    let through_manager = Trial::with(account).await;
    let directly = Trial::start().await;
    for (trial, login, code) in [
        (&through_manager, Some("9876543210"), 200),
        (&through_manager, None, 403),
        (&through_manager, Some("1234567890"), 403),
        (&directly, None, 200),
        (&directly, Some("1234567890"), 200),
        (&directly, Some("9876543210"), 403),
        (&directly, Some("123-456-7890"), 400),
    ] {
        let url = format!("{}/v26/customers/1234567890:{METHOD}", trial.url);
        let request = json!({"partialFailure": true, "conversions": [conversion("deal-1-won")]});
        let mut call = trial.client.post(url).bearer_auth(trial.token().await).json(&request);
        if let Some(login) = login {
            call = call.header("login-customer-id", login);
        }
        let (status, body) = read(call.send().await).await;
        assert_eq!(status, code, "{login:?}: {body}");
    }
}

#[tokio::test]
async fn only_old_customers_upload_clicks_but_everybody_adjusts() {
    let mut account = GoogleAccount::dev();
    account.allow_listed_for_click_uploads = false;
    let trial = Trial::with(account).await;
    let token = trial.token().await;
    for validate_only in [false, true] {
        let request =
            json!({"partialFailure": true, "validateOnly": validate_only, "conversions": [conversion("deal-1-won")]});
        let (status, body) = trial.ads(&token, METHOD, &request).await;
        let closed = "notAllowlistedError.CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE";
        assert_eq!((status, request_error(&body).as_str()), (403, closed));
    }
    let request = json!({"partialFailure": true, "conversionAdjustments": [adjustments::retraction("deal-1-won")]});
    let (status, body) = trial.ads(&token, "uploadConversionAdjustments", &request).await;
    let missing = "conversion_adjustments[0].order_id conversionAdjustmentUploadError.CONVERSION_NOT_FOUND";
    assert_eq!((status, row_errors(&body)[0].as_str()), (200, missing));
}

#[tokio::test]
async fn faults_happen_here_too() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let request = json!({"partialFailure": true, "conversions": [conversion("deal-1-won")]});
    let url = format!("{}/v26/customers/1234567890:{METHOD}", trial.url);
    let call = async || trial.client.post(&url).bearer_auth(&token).json(&request).send().await;

    let error = ErrorCode::new("quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED");
    let failure = FaultKind::GoogleAdsFailure { status: 429, error, retry_delay: Some(30) };
    trial.next(Endpoint::ClickConversions, failure);
    let (status, body) = read(call().await).await;
    assert_eq!((status, body["error"]["status"].as_str()), (429, Some("RESOURCE_EXHAUSTED")));
    assert_eq!(request_error(&body), "quotaError.RESOURCE_TEMPORARILY_EXHAUSTED");
    let error = &body["error"]["details"][0]["errors"][0];
    assert_eq!(error["details"]["quotaErrorDetails"]["retryDelay"], "30s");

    let unavailable = FaultKind::Http { status: 503, retry_after: None, reason: None, body: None };
    trial.next(Endpoint::ClickConversions, unavailable);
    let (status, body) = read(call().await).await;
    assert_eq!((status, detail(&body, "ErrorInfo")["domain"].as_str()), (503, Some("googleads.googleapis.com")));
    assert_eq!(trial.sandbox.conversions(), []);

    trial.next(Endpoint::ClickConversions, FaultKind::ReplyLost {});
    call().await.expect_err("no answer");
    let (_, body) = read(call().await).await;
    assert!(row_errors(&body)[0].ends_with(".ORDER_ID_ALREADY_IN_USE"));
    assert_eq!(trial.sandbox.requests().click_conversions, [(); 4].map(|()| request.to_string()));
}
