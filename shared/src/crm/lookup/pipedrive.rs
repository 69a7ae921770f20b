//! Pipedrive: the deal's person.
//!
//! Follows Pipedrive's API v2 (Persons). Its answer for a deleted person isn't documented: if it has data, the data is
//! used; a 404 means that the person doesn't exist.

use serde_json::{Value, json};

use super::api::CrmApi;
use super::{LookupError, Reachable, id};

pub(super) async fn fetch(api: &CrmApi, item: &Value) -> Result<Value, LookupError> {
    let person = match &item["data"]["person_id"] {
        Value::Null => Value::Null,
        // API v1, and webhooks in its format, wrap the id.
        link => {
            let link = link.get("value").unwrap_or(link);
            let person_id = id(link).ok_or_else(|| api.no_id("/data/person_id"))?;
            let answer = api.get(&format!("/api/v2/persons/{person_id}"), &format!("person {person_id}")).await?;
            person(answer).ok_or_else(|| api.unreadable())?
        }
    };
    Ok(fetched(&person))
}

fn person(mut answer: Value) -> Option<Value> {
    answer.get_mut("data").map(Value::take).filter(Value::is_object)
}

fn fetched(person: &Value) -> Value {
    json!({ "person": person, "emails": reachable(&person["emails"]), "phones": reachable(&person["phones"]) })
}

/// The one marked as primary first, then the others in their order.
fn reachable(list: &Value) -> Reachable {
    let mut entries: Vec<_> = list.as_array().into_iter().flatten().collect();
    entries.sort_by_key(|entry| entry["primary"] != true);
    let mut reachable = Reachable::default();
    reachable.add(entries.iter().filter_map(|entry| entry["value"].as_str()));
    reachable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_address_comes_first() {
        let answer = json!({"success": true, "data": {
            "id": 42,
            "name": "Ada Example",
            "emails": [
                {"label": "home", "value": "home@example.com", "primary": false},
                {"label": "work", "value": "work@example.com", "primary": true},
                {"label": "other", "value": "", "primary": false},
            ],
            "phones": [{"label": "work", "value": "+34 600 000 001", "primary": true}],
            "custom_fields": {},
        }});
        let fetched = fetched(&person(answer).unwrap());
        assert_eq!(fetched["emails"], json!(["work@example.com", "home@example.com"]));
        assert_eq!(fetched["phones"], json!(["+34 600 000 001"]));
        assert_eq!(fetched["person"]["id"], 42);
    }

    #[test]
    fn a_person_may_have_neither() {
        let answer = json!({"success": true, "data": {"id": 42, "name": "Ada Example"}});
        let fetched = fetched(&person(answer).unwrap());
        assert_eq!((&fetched["emails"], &fetched["phones"]), (&json!([]), &json!([])));
        for other in [json!({}), json!([]), json!({"success": true, "data": null}), json!("person")] {
            assert_eq!(person(other), None);
        }
    }
}
