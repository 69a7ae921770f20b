//! Close: the opportunity's lead with its contacts.
//!
//! Follows Close's API v1 (Leads; Specifying Fields). No contact is marked as the main one, so they keep Close's order.
//! Close also returns the seconds to wait as `rate_reset` in the body; only the Retry-After header is read here.

use serde_json::{Value, json};

use super::api::CrmApi;
use super::asked::Asked;
use super::{LookupError, Reachable, id, in_url};

pub(super) async fn fetch(api: &CrmApi, asked: &Asked, item: &Value) -> Result<Value, LookupError> {
    let event = &item["event"];
    let lead_id = id(&event["data"]["lead_id"]).or_else(|| id(&event["lead_id"]));
    let lead_id = lead_id.ok_or_else(|| api.no_id("/event/lead_id"))?;
    let path = format!("/api/v1/lead/{lead_id}/?_fields={}", fields(asked));
    let lead = api.get(&path, &format!("lead {lead_id}")).await?;
    fetched(&lead).ok_or_else(|| api.unreadable())
}

/// The names of the lead's fields with commas between them.
fn fields(asked: &Asked) -> String {
    let further = asked.lead.iter().map(String::as_str).filter(|name| !["id", "contacts"].contains(name));
    let names: Vec<_> = ["id", "contacts"].into_iter().chain(further).map(in_url).collect();
    names.join(",")
}

fn fetched(lead: &Value) -> Option<Value> {
    let (mut emails, mut phones) = (Reachable::default(), Reachable::default());
    for contact in lead["contacts"].as_array()? {
        let entries = |list: &'static str| contact[list].as_array().into_iter().flatten();
        emails.add(entries("emails").filter_map(|entry| entry["email"].as_str()));
        phones.add(entries("phones").filter_map(|entry| entry["phone"].as_str()));
    }
    Some(json!({ "lead": lead, "emails": emails, "phones": phones }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contact_of_the_lead_is_read() {
        let lead = json!({"id": "lead_1", "contacts": [
            {
                "id": "cont_1",
                "name": "Ada Example",
                "emails": [
                    {"type": "office", "email": "ada@example.com"},
                    {"type": "home", "email": "ada.home@example.com"},
                ],
                "phones": [{"type": "office", "phone": "+34600000001", "phone_formatted": "+34 600 00 00 01"}],
            },
            {"id": "cont_2", "emails": [{"type": "office", "email": "ADA@example.com"}], "phones": []},
            {"id": "cont_3"},
        ]});
        let fetched = fetched(&lead).unwrap();
        assert_eq!(fetched["emails"], json!(["ada@example.com", "ada.home@example.com"]));
        assert_eq!(fetched["phones"], json!(["+34600000001"]));
        assert_eq!(fetched["lead"]["id"], "lead_1");
    }

    #[test]
    fn a_lead_may_have_no_contact_but_must_have_the_list() {
        assert_eq!(fetched(&json!({"id": "lead_1", "contacts": []})).unwrap()["emails"], json!([]));
        assert_eq!(fetched(&json!({"id": "lead_1"})), None);
        assert_eq!(fetched(&json!("lead")), None);
    }
}
