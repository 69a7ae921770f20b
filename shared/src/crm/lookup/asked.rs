//! What the pointers of a declaration want of a record beyond what a lookup always asks for.

use crate::crm::fields::Pointer;
use crate::json_pointer;

/// Names of fields, each once, by the record they are of.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// Properties of HubSpot's deal.
    pub deal: Vec<String>,
    /// Properties of its contacts.
    pub contact: Vec<String>,
    /// Fields of Close's lead.
    pub lead: Vec<String>,
}

impl Asked {
    pub fn by<'a>(pointers: impl IntoIterator<Item = &'a Pointer>) -> Self {
        let mut asked = Self::default();
        for pointer in pointers {
            let names: Vec<_> = json_pointer::names(pointer.as_str()).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let (list, name) = match names[..] {
                ["fetched", "deal", "properties", name, ..] => (&mut asked.deal, name),
                // Any choice of contacts: the first, all of them, or those with some value.
                ["fetched", "contacts", _, "properties", name, ..] => (&mut asked.contact, name),
                ["fetched", chosen, "properties", name, ..] if chosen.starts_with("contacts[") => {
                    (&mut asked.contact, name)
                }
                ["fetched", "lead", name, ..] => (&mut asked.lead, name),
                _ => continue,
            };
            if !name.is_empty() && !list.iter().any(|known| known == name) {
                list.push(name.to_owned());
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_property_that_a_pointer_names_is_asked_for_once() {
        let pointers = [
            "/fetched/deal/properties/hs_is_closed_won",
            "/fetched/deal/properties/hs_tcv",
            "/fetched/deal/properties/hs_tcv",
            "/fetched/deal/properties/my~1own",
            "/fetched/contacts/0/properties/lifecyclestage",
            "/fetched/contacts/*/properties/email",
            "/fetched/contacts[id=7]/properties/country",
            "/fetched/lead/custom.cf_1",
            "/fetched/lead/contacts/0/name",
            "/fetched/deal/properties",
            "/fetched/emails",
            "/deal/properties/x",
            "/fetchedx/deal/properties/y",
        ];
        let pointers: Vec<_> = pointers.into_iter().map(|it| Pointer::parse(it).unwrap()).collect();
        let asked = Asked::by(&pointers);
        assert_eq!(asked.deal, ["hs_is_closed_won", "hs_tcv", "my/own"]);
        assert_eq!(asked.contact, ["lifecyclestage", "email", "country"]);
        assert_eq!(asked.lead, ["custom.cf_1", "contacts"]);
    }
}
