//! What each advertising network calls a click: its parameters, in URLs, in bodies and in the database.

use chrono::{DateTime, Utc};

use super::{ClickId, UTM_LIMIT, is_one_of_up_to};

/// An advertising network whose clicks are kept.
#[derive(Debug)]
pub struct Network {
    /// Its name in `clicks`.
    pub id: &'static str,
    /// Is a form with a wrong click id refused? The visitor didn't write the others, so a wrong one is ignored.
    pub refuses_wrong_ids: bool,
    pub parameters: &'static [Parameter],
}

/// One value that a network passes.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in the URL, in a body and in `clicks`.
    pub name: &'static str,
    pub kind: Kind,
    /// Does the network add it to the URL of the landing page?
    pub is_in_url: bool,
    /// The cookie of the site in which the network's own tag keeps it.
    pub cookie: Option<&'static str>,
    /// Can the value be one?
    pub is_valid: fn(&str) -> bool,
    /// The click that the value is about, if it says so itself.
    pub names: Option<fn(&str) -> Option<Named>>,
}

/// What a value has to do with a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It says which click it is.
    Id,
    /// It belongs to one click.
    Detail,
    /// It is the browser's, whatever was clicked.
    Browser,
}

/// A click that a value names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub parameter: &'static str,
    pub id: String,
    pub at: DateTime<Utc>,
}

/// Google's id.
pub const GOOGLE: &str = "google";

/// Every network, the one whose click matters most first.
pub const NETWORKS: &[Network] = &[
    Network {
        id: GOOGLE,
        refuses_wrong_ids: true,
        parameters: &[
            Parameter { is_valid: is_google_id, ..click("gclid") },
            // From the web into an app.
            Parameter { is_valid: is_google_id, ..click("gbraid") },
            // From an app into the web.
            Parameter { is_valid: is_google_id, ..click("wbraid") },
            // Which of Google's networks showed the ad, and the campaign.
            Parameter { kind: Kind::Detail, is_valid: is_text, ..click("gad_source") },
            Parameter { kind: Kind::Detail, is_valid: is_text, ..click("gad_campaignid") },
        ],
    },
    Network {
        id: "meta",
        refuses_wrong_ids: false,
        parameters: &[
            click("fbclid"),
            // Meta's cookie of the last click, fb.1.{milliseconds}.{fbclid}, with or without a version behind it.
            Parameter {
                is_valid: |text| fbc(text).is_some(),
                names: Some(fbc),
                ..in_cookie("fbc", Kind::Detail, "_fbc")
            },
            in_cookie("fbp", Kind::Browser, "_fbp"),
        ],
    },
    Network { id: "microsoft", refuses_wrong_ids: false, parameters: &[click("msclkid")] },
    Network {
        id: "linkedin",
        refuses_wrong_ids: false,
        parameters: &[Parameter { cookie: Some("li_fat_id"), ..click("li_fat_id") }],
    },
    Network {
        id: "tiktok",
        refuses_wrong_ids: false,
        parameters: &[click("ttclid"), in_cookie("ttp", Kind::Browser, "_ttp")],
    },
];

const fn click(name: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Id, is_in_url: true, cookie: None, is_valid: is_id, names: None }
}

const fn in_cookie(name: &'static str, kind: Kind, cookie: &'static str) -> Parameter {
    Parameter { name, kind, is_in_url: false, cookie: Some(cookie), is_valid: is_id, names: None }
}

/// What the parameter of this name has to do with a click. No two networks share a name.
pub(super) fn kind(name: &str) -> Option<Kind> {
    let mut parameters = NETWORKS.iter().flat_map(|network| network.parameters);
    parameters.find(|it| it.name == name).map(|it| it.kind)
}

/// Which names belong to one click and say nothing of another; for SQL.
#[must_use]
pub fn of_a_click() -> Vec<String> {
    names(|kind| kind != Kind::Browser)
}

/// Which names don't say which click it is; for SQL.
#[must_use]
pub fn beside_ids() -> Vec<String> {
    names(|kind| kind != Kind::Id)
}

/// The click ids of these networks; for SQL.
#[must_use]
pub fn ids_of(is_meant: impl Fn(&Network) -> bool) -> Vec<String> {
    let parameters = NETWORKS.iter().filter(|network| is_meant(network)).flat_map(|network| network.parameters);
    parameters.filter(|it| it.kind == Kind::Id).map(|it| it.name.into()).collect()
}

fn names(of: impl Fn(Kind) -> bool) -> Vec<String> {
    let parameters = NETWORKS.iter().flat_map(|network| network.parameters);
    let names = parameters.filter(|it| of(it.kind)).map(|it| it.name);
    names.chain(["at"]).map(String::from).collect()
}

fn is_google_id(text: &str) -> bool {
    ClickId::parse(text).is_ok()
}

/// An id of any network: what base64, a UUID and dots consist of.
fn is_id(text: &str) -> bool {
    is_one_of_up_to(text, ClickId::LIMIT, |c| c.is_ascii_alphanumeric() || b"._-=+/".contains(&c))
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= UTM_LIMIT && !text.chars().any(char::is_control)
}

fn fbc(text: &str) -> Option<Named> {
    let mut parts = text.split('.');
    let (prefix, index, at, id) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_whole = is_id(text) && prefix == "fb" && index.parse::<u8>().is_ok() && !id.is_empty() && parts.count() <= 1;
    let at = DateTime::from_timestamp_millis(at.parse().ok()?).filter(|at| *at >= DateTime::UNIX_EPOCH)?;
    is_whole.then(|| Named { parameter: "fbclid", id: id.to_owned(), at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_thing() {
        let mut all = names(|_| true);
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "{all:?}");
    }

    #[test]
    fn metas_cookie_names_its_click() {
        let named = fbc("fb.1.1763632800000.IwAR2F4-dbP0l7Mn1IawQQ").unwrap();
        assert_eq!((named.parameter, named.id.as_str()), ("fbclid", "IwAR2F4-dbP0l7Mn1IawQQ"));
        assert_eq!(named.at.to_rfc3339(), "2025-11-20T10:00:00+00:00");
        assert_eq!(fbc("fb.2.1763632800000.IwAR2F4-dbP0l7Mn1IawQQ.AQ"), Some(named));
        for text in ["", "fb.1", "fb.1.1763632800000", "fb.1.1763632800000.", "fb.x.1763632800000.a", "ga.1.1.a"] {
            assert_eq!(fbc(text), None, "{text}");
        }
        for text in ["fb.1.99999999999999999999.a", "fb.1.-1.a", "fb.1.1.a.b.c"] {
            assert_eq!(fbc(text), None, "{text}");
        }
    }
}
