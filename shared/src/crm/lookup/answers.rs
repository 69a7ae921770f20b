//! What the answer of a known CRM can have. A pointer at anything else would find nothing, and nobody would notice.

use super::DeclaredLookup;
use crate::crm::fields::Pointer;
use crate::json_pointer;

/// What HubSpot's records have beside their properties, as they are asked for.
const HUBSPOT_RECORD: [&str; 8] =
    ["id", "properties", "createdAt", "updatedAt", "archived", "archivedAt", "associations", "url"];

impl DeclaredLookup {
    /// Why this pointer at `/fetched` can never find anything, with the fix.
    pub(in crate::crm) fn never_has(&self, pointer: &Pointer) -> Option<String> {
        let (crm, parts): (_, &[&str]) = match self {
            Self::Hubspot(_) => ("HubSpot", &["emails", "phones", "deal", "contacts"]),
            Self::Pipedrive(_) => ("Pipedrive", &["emails", "phones", "person"]),
            Self::Close(_) => ("Close", &["emails", "phones", "lead"]),
            Self::Get(_) | Self::Post(_) => return None,
        };
        let names: Vec<_> = json_pointer::names(pointer.as_str()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let ["fetched", part, ref rest @ ..] = names[..] else { return None };
        // A choice such as contacts[id=7] is of contacts.
        let known = part.split_once('[').map_or(part, |(list, _)| list);
        if !parts.contains(&known) {
            let all = parts.iter().map(|part| format!("/fetched/{part}")).collect::<Vec<_>>().join(", ");
            return Some(format!("nothing is ever at {}: what {crm} is asked for is at {all}", pointer.as_str()));
        }
        let record = match (self, part, rest) {
            (Self::Hubspot(_), "deal", [name, ..]) => Some((String::from("deal"), *name)),
            (Self::Hubspot(_), "contacts", [which, name, ..]) => Some((format!("contacts/{which}"), *name)),
            _ => None,
        };
        let (record, name) = record.filter(|(_, name)| !HUBSPOT_RECORD.contains(name))?;
        Some(format!(
            "nothing is ever at {}: HubSpot's properties are at /fetched/{record}/properties, such as \
             /fetched/{record}/properties/{name}",
            pointer.as_str()
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn never_has(crm: &str, pointer: &str) -> Option<String> {
        let lookup: DeclaredLookup = serde_json::from_value(json!({ (crm): { "token": "CRM_TOKEN" } })).unwrap();
        lookup.never_has(&Pointer::parse(pointer).unwrap())
    }

    #[test]
    fn a_pointer_that_can_never_find_anything_says_where_it_would() {
        for (crm, pointer, fix) in [
            ("hubspot", "/fetched/person/email", "/fetched/emails, /fetched/phones, /fetched/deal, /fetched/contacts"),
            ("hubspot", "/fetched/email", "/fetched/emails"),
            ("hubspot", "/fetched/deal/hs_tcv", "/fetched/deal/properties/hs_tcv"),
            ("hubspot", "/fetched/deal/propertiesWithHistory/x", "/fetched/deal/properties"),
            ("hubspot", "/fetched/contacts/0/email", "/fetched/contacts/0/properties/email"),
            ("pipedrive", "/fetched/deal/value", "/fetched/person"),
            ("pipedrive", "/fetched/data/email", "/fetched/person"),
            ("close", "/fetched/contacts/0/name", "/fetched/lead"),
            ("close", "/fetched/opportunity/value", "/fetched/lead"),
        ] {
            let never = never_has(crm, pointer).unwrap_or_else(|| panic!("{crm} {pointer}"));
            assert!(never.contains(pointer) && never.contains(fix), "{never}");
        }
    }

    #[test]
    fn a_pointer_that_may_find_something_is_left_alone() {
        for (crm, pointer) in [
            ("hubspot", "/fetched"),
            ("hubspot", "/fetched/emails"),
            ("hubspot", "/fetched/deal"),
            ("hubspot", "/fetched/deal/id"),
            ("hubspot", "/fetched/deal/properties/my_own"),
            ("hubspot", "/fetched/contacts"),
            ("hubspot", "/fetched/contacts/0"),
            ("hubspot", "/fetched/contacts/0/properties/country"),
            ("hubspot", "/fetched/contacts/*/properties/country"),
            ("hubspot", "/fetched/contacts[id=7]/properties/country"),
            ("hubspot", "/objectId"),
            ("hubspot", "/fetchedx/person"),
            ("pipedrive", "/fetched/person/custom_fields/abc"),
            ("close", "/fetched/lead/custom.cf_1"),
        ] {
            assert_eq!(never_has(crm, pointer), None, "{crm} {pointer}");
        }
        let get = json!({ "get": { "url": "https://api.example.com/{/id}" } });
        let get: DeclaredLookup = serde_json::from_value(get).unwrap();
        assert_eq!(get.never_has(&Pointer::parse("/fetched/anything").unwrap()), None);
    }
}
