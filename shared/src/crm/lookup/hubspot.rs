//! HubSpot: the deal with the ids of its contacts, then the contacts.
//!
//! Follows HubSpot's CRM API v3 (Deals; Contacts: batch read). The documentation doesn't say whether a deal's main
//! contact is listed first, or whether a batch is answered in order: contacts keep the deal's order.

use serde_json::{Value, json};

use super::api::CrmApi;
use super::asked::Asked;
use super::{LookupError, MOST, Reachable, id, in_url};

/// The last one is a custom property, if the operator created it; HubSpot ignores unknown names.
const DEAL_PROPERTIES: [&str; 7] = [
    "amount",
    "deal_currency_code",
    "dealstage",
    "pipeline",
    "closedate",
    "hs_deal_stage_probability",
    "adtrail_lead_id",
];

const CONTACT_PROPERTIES: [&str; 6] =
    ["email", "hs_additional_emails", "phone", "mobilephone", "hs_google_click_id", "hs_facebook_click_id"];

/// The longest list of properties in a URL. Servers and proxies in between accept URLs of 8,000 characters.
const LONGEST_LIST: usize = 6_000;

/// # Errors
/// If more properties are asked for than a URL can name.
pub(super) fn check(asked: &Asked) -> Result<(), String> {
    let length = deal_properties(asked).len();
    if length <= LONGEST_LIST {
        return Ok(());
    }
    Err(format!(
        "the deal properties under /fetched/deal/properties take {length} characters of a URL, which may have \
         {LONGEST_LIST} for them: point at fewer"
    ))
}

/// The usual properties and those that are asked for, with commas between them.
fn deal_properties(asked: &Asked) -> String {
    let names: Vec<_> = all(&DEAL_PROPERTIES, &asked.deal).into_iter().map(in_url).collect();
    names.join(",")
}

fn all<'a>(usual: &'a [&'a str], asked: &'a [String]) -> Vec<&'a str> {
    let further = asked.iter().map(String::as_str).filter(|name| !usual.contains(name));
    usual.iter().copied().chain(further).collect()
}

pub(super) async fn fetch(api: &CrmApi, asked: &Asked, item: &Value) -> Result<Value, LookupError> {
    let deal_id = id(&item["objectId"]).ok_or_else(|| api.no_id("/objectId"))?;
    let path = format!("/crm/v3/objects/deals/{deal_id}?properties={}&associations=contacts", deal_properties(asked));
    let deal = api.get(&path, &format!("deal {deal_id}")).await?;
    let ids = contact_ids(&deal).ok_or_else(|| api.unreadable())?;
    let contacts = if ids.is_empty() {
        Vec::new()
    } else {
        let inputs: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
        let body = json!({ "properties": all(&CONTACT_PROPERTIES, &asked.contact), "inputs": inputs });
        let answer = api.post("/crm/v3/objects/contacts/batch/read", &body).await?;
        in_order(&answer, &ids).ok_or_else(|| api.unreadable())?
    };
    Ok(fetched(&deal, &contacts))
}

/// The deal's contacts, at most [`MOST`]. HubSpot lists a contact once per label, so duplicates are removed.
fn contact_ids(deal: &Value) -> Option<Vec<String>> {
    deal["properties"].as_object()?;
    let mut ids = Vec::new();
    // Without contacts, `associations` may be absent.
    for association in deal["associations"]["contacts"]["results"].as_array().into_iter().flatten() {
        let id = id(&association["id"])?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.truncate(MOST);
    Some(ids)
}

/// The contacts that were found, in the order of the deal.
fn in_order(answer: &Value, ids: &[String]) -> Option<Vec<Value>> {
    let found = answer["results"].as_array()?;
    let contact = |wanted: &String| found.iter().find(|contact| id(&contact["id"]).as_ref() == Some(wanted)).cloned();
    Some(ids.iter().filter_map(contact).collect())
}

fn fetched(deal: &Value, contacts: &[Value]) -> Value {
    let (mut emails, mut phones) = (Reachable::default(), Reachable::default());
    for contact in contacts {
        let property = |name: &str| contact["properties"][name].as_str();
        emails.add(property("email"));
        emails.add(property("hs_additional_emails").into_iter().flat_map(|list| list.split(';')));
        phones.add(property("phone"));
        phones.add(property("mobilephone"));
    }
    json!({ "deal": deal, "contacts": contacts, "emails": emails, "phones": phones })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(associations: &Value) -> Value {
        json!({
            "id": "9876543210",
            "properties": {"amount": "1500.00", "dealstage": "closedwon", "hs_object_id": "9876543210"},
            "createdAt": "2026-10-30T03:30:17.883Z",
            "updatedAt": "2026-12-07T16:50:06.678Z",
            "archived": false,
            "associations": associations,
        })
    }

    #[test]
    fn what_is_asked_for_beside_the_usual_is_named_once_and_escaped() {
        let asked =
            |names: &[&str]| Asked { deal: names.iter().map(|&name| name.into()).collect(), ..Asked::default() };
        let usual = DEAL_PROPERTIES.join(",");
        for (names, list) in [
            (&[][..], String::new()),
            (&["hs_is_closed_won"], ",hs_is_closed_won".into()),
            (&["amount", "hs_tcv", "pipeline"], ",hs_tcv".into()),
            (&["a b", "ü"], ",a%20b,%C3%BC".into()),
            (&["x&associations=y", "a,b", "#"], ",x%26associations%3Dy,a%2Cb,%23".into()),
        ] {
            assert_eq!(deal_properties(&asked(names)), format!("{usual}{list}"));
        }
        let many: Vec<_> = (0..1_000).map(|n| format!("property_{n}")).collect();
        let asked = |count: usize| Asked { deal: many[..count].to_vec(), ..Asked::default() };
        assert_eq!(check(&asked(400)), Ok(()));
        assert!(check(&asked(1_000)).unwrap_err().contains("point at fewer"));
    }

    #[test]
    fn each_contact_is_requested_once_and_their_number_is_limited() {
        let several = json!({"contacts": {"results": [
            {"id": "201", "type": "deal_to_contact"},
            {"id": "201", "type": "deal_to_contact_unlabeled"},
            {"id": "101", "type": "deal_to_contact"},
        ]}});
        assert_eq!(contact_ids(&deal(&several)), Some(vec!["201".into(), "101".into()]));
        let many: Vec<_> = (0..100).map(|id| json!({"id": id.to_string()})).collect();
        assert_eq!(contact_ids(&deal(&json!({"contacts": {"results": many}}))).map(|ids| ids.len()), Some(MOST));
    }

    #[test]
    fn a_deal_may_have_no_contact_but_must_have_properties() {
        assert_eq!(contact_ids(&deal(&Value::Null)), Some(vec![]));
        assert_eq!(contact_ids(&deal(&json!({}))), Some(vec![]));
        assert_eq!(contact_ids(&json!({})), None);
        assert_eq!(contact_ids(&json!("deal")), None);
        assert_eq!(contact_ids(&deal(&json!({"contacts": {"results": [{"id": "../x"}]}}))), None);
    }

    #[test]
    fn contacts_keep_the_deals_order_and_missing_ones_are_left_out() {
        let answer = json!({
            "status": "COMPLETE",
            "results": [
                {"id": "101", "properties": {"email": "second@example.com", "phone": "+34 600 000 002"}},
                {"id": "201", "properties": {
                    "email": "first@example.com",
                    "hs_additional_emails": "old@example.com;First@example.com; older@example.com",
                    "phone": null,
                    "mobilephone": "+34 600 000 001",
                }},
            ],
            "numErrors": 1,
            "errors": [{"status": "error", "category": "OBJECT_NOT_FOUND"}],
        });
        let contacts = in_order(&answer, &["201".into(), "301".into(), "101".into()]).unwrap();
        let fetched = fetched(&deal(&Value::Null), &contacts);
        let emails = ["first@example.com", "old@example.com", "older@example.com", "second@example.com"];
        assert_eq!(fetched["emails"], json!(emails));
        assert_eq!(fetched["phones"], json!(["+34 600 000 001", "+34 600 000 002"]));
        assert_eq!(fetched["deal"]["properties"]["amount"], "1500.00");
        assert_eq!(fetched["contacts"][0]["id"], "201");
        assert_eq!(in_order(&json!({"status": "error"}), &[]), None);
    }
}
