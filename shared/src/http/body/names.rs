//! Our names of fields, however a script or a form builder writes them.

use crate::attribution::networks::NETWORKS;

/// Our fields besides the networks' parameters.
const OURS: &[&str] = &[
    "email",
    "phone",
    "name",
    "message",
    "transaction_id",
    "consent",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "session_attributes",
    "fill_ms",
];
/// Other usual names of them, in small letters without anything between.
const ALIASES: &[(&str, &str)] = &[
    ("mail", "email"),
    ("emailaddress", "email"),
    ("mailaddress", "email"),
    ("useremail", "email"),
    ("workemail", "email"),
    ("contactemail", "email"),
    ("tel", "phone"),
    ("telephone", "phone"),
    ("phonenumber", "phone"),
    ("telephonenumber", "phone"),
    ("mobile", "phone"),
    ("mobilephone", "phone"),
    ("contactphone", "phone"),
    ("fullname", "name"),
];

/// Our name of a field that is called so: `Your-Email`, `emailAddress`, `utmSource`. Else it in small letters, with `_`
/// between its words.
pub(super) fn ours(written: &str) -> String {
    let name = written.trim().to_lowercase().replace(['-', ' '], "_");
    let name = name.strip_prefix("your_").unwrap_or(&name);
    let plain = name.replace('_', "");
    let plain = plain.strip_prefix("your").unwrap_or(&plain);
    let parameters = NETWORKS.iter().flat_map(|network| network.parameters).map(|it| it.name);
    let ours = OURS.iter().copied().chain(parameters).find(|ours| ours.replace('_', "") == plain);
    let ours = ours.or_else(|| ALIASES.iter().find(|(alias, _)| *alias == plain).map(|(_, ours)| *ours));
    ours.unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_ours_however_it_is_spelled() {
        for (written, name) in [
            ("email", "email"),
            (" E-Mail ", "email"),
            ("emailAddress", "email"),
            ("email_address", "email"),
            ("Your-Email", "email"),
            ("yourEmail", "email"),
            ("Tel", "phone"),
            ("phoneNumber", "phone"),
            ("fullName", "name"),
            ("utmSource", "utm_source"),
            ("transactionId", "transaction_id"),
            ("GCLID", "gclid"),
            ("li-fat-id", "li_fat_id"),
            ("liFatId", "li_fat_id"),
            ("Page URL", "page_url"),
            ("pageUrl", "pageurl"),
            ("_gl", "_gl"),
            ("_wpnonce", "_wpnonce"),
        ] {
            assert_eq!(ours(written), name, "{written}");
        }
    }
}
