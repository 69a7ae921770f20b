//! Whom an event is about: the rules on `adIdentifiers` and `userData`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::Violation;
use crate::request::{AdIdentifiers, AddressInfo, EnumValue, Event, UserIdentifier};

const MOST_USER_IDENTIFIERS: usize = 10;

/// How the request says that its hashes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashEncoding {
    Hex,
    Base64,
}

impl HashEncoding {
    /// `None` for an encoding that Google does not have.
    pub(crate) fn named(encoding: &EnumValue) -> Option<Self> {
        match encoding {
            EnumValue::Name(name) if name == "HEX" => Some(Self::Hex),
            EnumValue::Name(name) if name == "BASE64" => Some(Self::Base64),
            _ => None,
        }
    }

    /// The reason why `text` is not a SHA-256 in this encoding.
    fn flaw_of(self, text: &str) -> Option<(&'static str, &'static str)> {
        let length = match self {
            Self::Hex => {
                let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                (is_hex && text.len().is_multiple_of(2)).then_some(text.len() / 2)
            }
            Self::Base64 => STANDARD.decode(text).ok().map(|bytes| bytes.len()),
        };
        match (length, self) {
            (Some(32), _) => None,
            (Some(_), _) => Some(("INVALID_SHA256_FORMAT", "The value is not a SHA-256 digest.")),
            (None, Self::Hex) => Some(("INVALID_HEX_ENCODING", "The HEX encoded value is malformed.")),
            (None, Self::Base64) => Some(("INVALID_BASE64_ENCODING", "The BASE64 encoded value is malformed.")),
        }
    }
}

/// What Google rejects in the identifiers of `event`, which is at `path`. Without an `encoding`
/// the hashes go unread: its absence is the request's own violation.
pub(crate) fn check(event: &Event, encoding: Option<HashEncoding>, path: &str, found: &mut Vec<Violation>) {
    check_click_ids(&event.ad_identifiers, path, found);
    let Some(user_data) = &event.user_data else {
        if !has_any(&event.ad_identifiers) {
            let problem = "The event has no identifiers.";
            found.push(Violation::new(path, "NO_IDENTIFIERS_PROVIDED", problem));
        }
        return;
    };
    let path = format!("{path}.user_data.user_identifiers");
    let identifiers = &user_data.user_identifiers;
    if identifiers.is_empty() {
        let problem = "User data needs at least one user identifier.";
        found.push(Violation::new(&path, "REQUIRED_FIELD_MISSING", problem));
    }
    if identifiers.len() > MOST_USER_IDENTIFIERS {
        let problem = "An event takes at most 10 user identifiers.";
        found.push(Violation::new(&path, "TOO_MANY_USER_IDENTIFIERS", problem));
    }
    for (index, identifier) in identifiers.iter().enumerate() {
        check_identifier(identifier, encoding, &format!("{path}[{index}]"), found);
    }
}

fn check_click_ids(ids: &AdIdentifiers, path: &str, found: &mut Vec<Violation>) {
    let path = format!("{path}.ad_identifiers");
    let click_ids = [("gclid", &ids.gclid), ("gbraid", &ids.gbraid), ("wbraid", &ids.wbraid)];
    for (name, id) in click_ids {
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            let problem = "A click id has only letters, digits, '_' and '-'.";
            found.push(Violation::new(format!("{path}.{name}"), "INVALID_FORMAT", problem));
        }
    }
    if !ids.gbraid.is_empty() && !ids.wbraid.is_empty() {
        let problem = "Only one of gbraid and wbraid can be set.";
        found.push(Violation::new(path, "INVALID_EVENT", problem));
    }
}

fn has_any(ids: &AdIdentifiers) -> bool {
    [
        &ids.gclid,
        &ids.gbraid,
        &ids.wbraid,
        &ids.dclid,
        &ids.session_attributes,
        &ids.mobile_device_id,
        &ids.impression_id,
        &ids.match_id,
    ]
    .iter()
    .any(|id| !id.is_empty())
}

fn check_identifier(
    identifier: &UserIdentifier,
    encoding: Option<HashEncoding>,
    path: &str,
    found: &mut Vec<Violation>,
) {
    let hashed = identifier.email_address.as_ref().or(identifier.phone_number.as_ref());
    match (hashed, &identifier.address) {
        (Some(hash), _) => check_hash(hash, encoding, path, found),
        (None, Some(address)) => check_address(address, encoding, path, found),
        (None, None) => {
            let problem = "The user identifier is empty.";
            found.push(Violation::new(path, "REQUIRED_FIELD_MISSING", problem));
        }
    }
}

fn check_hash(hash: &str, encoding: Option<HashEncoding>, path: &str, found: &mut Vec<Violation>) {
    if let Some((reason, problem)) = encoding.and_then(|encoding| encoding.flaw_of(hash)) {
        found.push(Violation::new(path, reason, problem));
    }
}

fn check_address(address: &AddressInfo, encoding: Option<HashEncoding>, path: &str, found: &mut Vec<Violation>) {
    let path = format!("{path}.address");
    for (field, value) in [
        ("given_name", &address.given_name),
        ("family_name", &address.family_name),
        ("region_code", &address.region_code),
        ("postal_code", &address.postal_code),
    ] {
        let field_path = format!("{path}.{field}");
        if value.is_empty() {
            let problem = "An address needs this field.";
            found.push(Violation::new(field_path, "REQUIRED_FIELD_MISSING", problem));
        } else if field.ends_with("name") {
            check_hash(value, encoding, &field_path, found);
        } else if field == "region_code" && !is_region(value) {
            let problem = "A region code has two capital letters (ISO 3166-1).";
            found.push(Violation::new(field_path, "INVALID_REGION_CODE", problem));
        }
    }
}

fn is_region(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HEX: &str = "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a";
    const BASE64: &str = "UJ6TMBm7KFoTSpM0uLtnnf950M4CPVKa9L10TUe0/Yo=";

    fn found(event: Value, encoding: HashEncoding) -> Vec<(String, String)> {
        let event: Event = serde_json::from_value(event).expect("an event");
        let mut found = Vec::new();
        check(&event, Some(encoding), "event", &mut found);
        found.into_iter().map(|violation| (violation.field, violation.reason)).collect()
    }

    fn one(field: &str, reason: &str) -> Vec<(String, String)> {
        vec![(field.to_owned(), reason.to_owned())]
    }

    fn with_email(email: &str) -> Value {
        json!({"userData": {"userIdentifiers": [{"emailAddress": email}]}})
    }

    #[test]
    fn a_click_id_or_user_data_alone_is_enough() {
        assert_eq!(found(json!({"adIdentifiers": {"gclid": "EAIaIQ_-9"}}), HashEncoding::Hex), []);
        assert_eq!(found(with_email(HEX), HashEncoding::Hex), []);
        assert_eq!(found(with_email(BASE64), HashEncoding::Base64), []);
        assert_eq!(found(json!({}), HashEncoding::Hex), one("event", "NO_IDENTIFIERS_PROVIDED"));
    }

    #[test]
    fn click_ids_are_checked() {
        let spoiled = json!({"adIdentifiers": {"gclid": "EAIaIQ obChMI"}});
        let expected = one("event.ad_identifiers.gclid", "INVALID_FORMAT");
        assert_eq!(found(spoiled, HashEncoding::Hex), expected);
        let both = json!({"adIdentifiers": {"gbraid": "a", "wbraid": "b"}});
        let expected = one("event.ad_identifiers", "INVALID_EVENT");
        assert_eq!(found(both, HashEncoding::Hex), expected);
    }

    #[test]
    fn a_hash_is_a_sha256_in_the_declared_encoding() {
        let place = "event.user_data.user_identifiers[0]";
        for (encoding, text, reason) in [
            (HashEncoding::Hex, "alexz@example.com", "INVALID_HEX_ENCODING"),
            (HashEncoding::Hex, &HEX.to_uppercase(), "INVALID_HEX_ENCODING"),
            (HashEncoding::Hex, &HEX[..63], "INVALID_HEX_ENCODING"),
            (HashEncoding::Hex, &HEX[..62], "INVALID_SHA256_FORMAT"),
            (HashEncoding::Hex, "", "INVALID_SHA256_FORMAT"),
            (HashEncoding::Base64, "alexz@example.com", "INVALID_BASE64_ENCODING"),
            (HashEncoding::Base64, HEX, "INVALID_SHA256_FORMAT"),
        ] {
            assert_eq!(found(with_email(text), encoding), one(place, reason), "{text}");
        }
    }

    #[test]
    fn user_data_has_one_to_ten_identifiers() {
        let with = |count: usize| {
            let identifiers = vec![json!({"phoneNumber": HEX}); count];
            found(json!({"userData": {"userIdentifiers": identifiers}}), HashEncoding::Hex)
        };
        let place = "event.user_data.user_identifiers";
        assert_eq!(with(0), one(place, "REQUIRED_FIELD_MISSING"));
        assert_eq!(with(10), []);
        assert_eq!(with(11), one(place, "TOO_MANY_USER_IDENTIFIERS"));
        let empty = json!({"userData": {"userIdentifiers": [{}]}});
        let expected = one("event.user_data.user_identifiers[0]", "REQUIRED_FIELD_MISSING");
        assert_eq!(found(empty, HashEncoding::Hex), expected);
    }

    #[test]
    fn an_address_is_complete_and_only_its_names_are_hashed() {
        let with = |address: Value| {
            let user_data = json!({"userIdentifiers": [{"address": address}]});
            found(json!({"userData": user_data}), HashEncoding::Hex)
        };
        let good = json!({"givenName": HEX, "familyName": HEX, "regionCode": "UA", "postalCode": "1"});
        assert_eq!(with(good), []);
        let bad = json!({"givenName": "Alex", "familyName": HEX, "regionCode": "UKR"});
        let reasons: Vec<String> = with(bad).into_iter().map(|(_, reason)| reason).collect();
        let expected = ["INVALID_HEX_ENCODING", "INVALID_REGION_CODE", "REQUIRED_FIELD_MISSING"];
        assert_eq!(reasons, expected);
    }
}
