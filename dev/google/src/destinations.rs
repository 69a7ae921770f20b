//! Where a request may send its events: the rules on `destinations`.

use std::collections::HashSet;

use axum::http::StatusCode;

use crate::ads_account::AdsAccounts;
use crate::analytics::Properties;
use crate::answer::{Refusal, Violation};
use crate::request::{Destination, ProductAccount};

const MOST_DESTINATIONS: usize = 10;

/// What Google rejects in the destinations, for every caller.
pub(crate) fn violations(destinations: &[Destination]) -> Vec<Violation> {
    let mut found = Vec::new();
    if destinations.is_empty() {
        let problem = "At least one destination is required.";
        found.push(Violation::new("destinations", "REQUIRED_FIELD_MISSING", problem));
    }
    if destinations.len() > MOST_DESTINATIONS {
        let problem = "A request takes at most 10 destinations.";
        found.push(Violation::new("destinations", "TOO_MANY_DESTINATIONS", problem));
    }
    let mut references = HashSet::new();
    for (index, destination) in destinations.iter().enumerate() {
        let path = format!("destinations[{index}]");
        let reference = destination.reference.as_str();
        if !reference.is_empty() && !references.insert(reference) {
            found.push(Violation::new(
                format!("{path}.reference"),
                "DUPLICATE_DESTINATION_REFERENCE",
                "Another destination has this reference.",
            ));
        }
        check_accounts(destination, &path, &mut found);
        if destination.is_analytics() {
            check_stream(&destination.product_destination_id, &path, &mut found);
        } else {
            check_action(&destination.product_destination_id, &path, &mut found);
        }
    }
    if destinations.len() > 1 && destinations.iter().any(Destination::is_analytics) {
        let problem = "Events for Google Analytics go to one destination.";
        found.push(Violation::new("destinations", "MULTIPLE_DESTINATIONS_FOR_GOOGLE_ANALYTICS_EVENT", problem));
    }
    found
}

fn check_accounts(destination: &Destination, path: &str, found: &mut Vec<Violation>) {
    match &destination.operating_account {
        Some(account) => check_account(account, &format!("{path}.operating_account"), found),
        None => found.push(Violation::new(
            format!("{path}.operating_account"),
            "REQUIRED_FIELD_MISSING",
            "The operating account is required.",
        )),
    }
    if let Some(account) = &destination.login_account {
        check_account(account, &format!("{path}.login_account"), found);
        let operating = destination.operating_account.as_ref();
        if destination.is_analytics() && operating.is_some_and(|it| it.account_id != account.account_id) {
            let problem = "The login account of a property is the property.";
            let field = format!("{path}.login_account");
            found.push(Violation::new(field, "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH", problem));
        }
    }
    if destination.linked_account.is_some() {
        found.push(Violation::new(
            format!("{path}.linked_account"),
            "LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT",
            "A linked account needs a data partner as login account.",
        ));
    }
}

fn check_account(account: &ProductAccount, path: &str, found: &mut Vec<Violation>) {
    let field = format!("{path}.account_type");
    match &account.account_type {
        Some(account_type) if account_type.is("GOOGLE_ADS") => {}
        Some(account_type) if account_type.is("GOOGLE_ANALYTICS_PROPERTY") => {
            if account.account_id.is_empty() || !is_digits(&account.account_id) {
                let field = format!("{path}.account_id");
                found.push(Violation::new(field, "INVALID_DESTINATION", "The id of a property is a number."));
            }
            return;
        }
        Some(account_type) if account_type.is_defined() => found.push(Violation::new(
            field,
            "INVALID_DESTINATION",
            "The sandbox has accounts of type GOOGLE_ADS and properties of Google Analytics only.",
        )),
        Some(_) => found.push(Violation::new(field, "INVALID_ENUM_VALUE", "Not an account type.")),
        None => found.push(Violation::new(field, "REQUIRED_FIELD_MISSING", "The account type is required.")),
    }
    let id = account.account_id.as_str();
    if id.len() != 10 || !is_digits(id) {
        found.push(Violation::new(
            format!("{path}.account_id"),
            "INVALID_DESTINATION",
            "A Google Ads customer id has ten digits and no hyphens.",
        ));
    }
}

fn check_action(id: &str, path: &str, found: &mut Vec<Violation>) {
    let field = format!("{path}.product_destination_id");
    if id.is_empty() {
        let problem = "The conversion action's id is required.";
        found.push(Violation::new(field, "REQUIRED_FIELD_MISSING", problem));
    } else if !is_digits(id) {
        let problem = "A conversion action's id is a number, not a resource name.";
        found.push(Violation::new(field, "INVALID_CONVERSION_ACTION_ID", problem));
    }
}

fn check_stream(id: &str, path: &str, found: &mut Vec<Violation>) {
    let field = format!("{path}.product_destination_id");
    if id.is_empty() {
        found.push(Violation::new(field, "REQUIRED_FIELD_MISSING", "The measurement id is required."));
    } else if !id.starts_with("G-") {
        found.push(Violation::new(field, "INVALID_STREAM_TYPE", "The sandbox has web streams only: G-…."));
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the caller, who holds the credentials, may write to every destination. The login account defaults to the
/// operating account.
pub(crate) fn check_access(
    accounts: &AdsAccounts,
    properties: &Properties,
    destinations: &[Destination],
) -> Result<(), Refusal> {
    let may_write = destinations.iter().all(|destination| {
        if destination.is_analytics() {
            return properties.get(destination.customer_id()).is_some();
        }
        let login = destination.login_account.as_ref().map(|login| login.account_id.as_str());
        accounts.open_to(login, destination.customer_id()).is_some()
    });
    if may_write { Ok(()) } else { Err(Refusal::usual(StatusCode::FORBIDDEN, None)) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ads_account::AdsAccount;

    fn destination() -> Value {
        json!({
            "reference": "won",
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
            "productDestinationId": "987654321",
        })
    }

    fn parsed(destinations: &Value) -> Vec<Destination> {
        serde_json::from_value(destinations.clone()).expect("destinations")
    }

    /// Changes one place of a good destination and returns the only violation.
    #[track_caller]
    fn violation(pointer: &str, value: Value) -> (String, String) {
        let mut destinations = json!([destination()]);
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = destinations.pointer_mut(parent).expect("a parent");
        parent[name] = value;
        let found = violations(&parsed(&destinations));
        let [only] = &found[..] else {
            panic!("{pointer}: {found:?}");
        };
        (only.field.clone(), only.reason.clone())
    }

    #[test]
    fn a_good_destination_passes() {
        assert_eq!(violations(&parsed(&json!([destination()]))), []);
    }

    #[test]
    fn a_bad_destination_is_named() {
        for (pointer, value, field, reason) in [
            ("/0/operatingAccount", Value::Null, "operating_account", "REQUIRED_FIELD_MISSING"),
            (
                "/0/operatingAccount/accountType",
                Value::Null,
                "operating_account.account_type",
                "REQUIRED_FIELD_MISSING",
            ),
            (
                "/0/operatingAccount/accountType",
                json!("DATA_PARTNER"),
                "operating_account.account_type",
                "INVALID_DESTINATION",
            ),
            (
                "/0/operatingAccount/accountId",
                json!("123-456-7890"),
                "operating_account.account_id",
                "INVALID_DESTINATION",
            ),
            (
                "/0/productDestinationId",
                json!("customers/1234567890/conversionActions/987654321"),
                "product_destination_id",
                "INVALID_CONVERSION_ACTION_ID",
            ),
            ("/0/productDestinationId", json!(""), "product_destination_id", "REQUIRED_FIELD_MISSING"),
        ] {
            let expected = (format!("destinations[0].{field}"), reason.to_owned());
            assert_eq!(violation(pointer, value), expected);
        }
    }

    #[test]
    fn references_are_unique_and_destinations_are_one_to_ten() {
        let reason = |count: usize| {
            let destinations = vec![destination(); count];
            let found = violations(&parsed(&json!(destinations)));
            found.last().map(|violation| violation.reason.clone())
        };
        assert_eq!(reason(0).as_deref(), Some("REQUIRED_FIELD_MISSING"));
        assert_eq!(reason(1), None);
        assert_eq!(reason(2).as_deref(), Some("DUPLICATE_DESTINATION_REFERENCE"));
        let eleven: Vec<Value> = (0..11)
            .map(|index| {
                let mut destination = destination();
                destination["reference"] = json!(format!("action-{index}"));
                destination
            })
            .collect();
        let found = violations(&parsed(&json!(eleven)));
        assert_eq!(found[0].reason, "TOO_MANY_DESTINATIONS");
    }

    #[test]
    fn the_caller_needs_access_to_every_destination() {
        let mut accounts = AdsAccounts::default();
        accounts.add(AdsAccount::new("1234567890", ["987654321"]));
        let manager = Some("9876543210".to_owned());
        accounts.add(AdsAccount { login_customer_id: manager, ..AdsAccount::new("2223334444", ["111"]) });
        let is_open =
            |destinations: &Value| check_access(&accounts, &Properties::default(), &parsed(destinations)).is_ok();

        let direct = destination();
        let mut through_manager = destination();
        through_manager["operatingAccount"]["accountId"] = json!("2223334444");
        assert!(is_open(&json!([direct])));
        assert!(!is_open(&json!([through_manager])));
        through_manager["loginAccount"] = json!({"accountType": "GOOGLE_ADS", "accountId": "9876543210"});
        assert!(is_open(&json!([direct, through_manager])));

        let mut with_login = destination();
        with_login["loginAccount"] = through_manager["loginAccount"].clone();
        assert!(!is_open(&json!([through_manager, with_login])));
        let mut unknown = destination();
        unknown["operatingAccount"]["accountId"] = json!("1111111111");
        assert!(!is_open(&json!([direct, unknown])));
    }
}
