//! Google's click as Google's own tag keeps it: in cookies of the site, and in `_gl`, by which it hands them on to
//! another site (Google Ads Help, "About the conversion linker tag").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use super::networks::Named;

/// The cookies, and what each of them names. Of two clicks at the same time the first one counts.
pub const COOKIES: [(&str, &str); 2] = [("_gcl_aw", "gclid"), ("_gcl_gb", "wbraid")];

/// Is this parameter named by one of the cookies?
pub(super) fn names(parameter: &str) -> bool {
    COOKIES.iter().any(|(_, named)| *named == parameter)
}

/// An id, and when its click was.
pub(super) struct Kept {
    pub id: String,
    at: DateTime<Utc>,
}

/// A cookie: `GCL.<seconds>.<id>`, with or without labels behind it.
pub(super) fn cookie(text: &str) -> Option<Kept> {
    let mut parts = text.split('.');
    let (prefix, seconds, id) = (parts.next()?, parts.next()?, parts.next()?);
    let at = DateTime::from_timestamp(seconds.parse().ok()?, 0).filter(|at| *at >= DateTime::UNIX_EPOCH)?;
    let is_id = super::ClickId::parse(id).is_ok() && !crate::absent::is_nothing(id);
    (prefix == "GCL" && is_id).then(|| Kept { id: id.to_owned(), at })
}

/// The newest click of these cookies, each with its name.
pub fn newest<'a>(cookies: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Named> {
    let mut newest: Option<Named> = None;
    for (name, value) in cookies {
        let parameter = COOKIES.iter().find(|(cookie, _)| *cookie == name).map(|(_, parameter)| *parameter);
        let Some((parameter, Kept { id, at })) = parameter.zip(cookie(value)) else { continue };
        if newest.as_ref().is_none_or(|known| at > known.at) {
            newest = Some(Named { parameter, id, at });
        }
    }
    newest
}

/// The click in a `_gl`: `1*<checksum>*_gcl_aw*<base64 of the cookie>*…`. The checksum is of the browser, and not ours
/// to check.
pub(super) fn handed_on(gl: &str) -> Option<Named> {
    let parts: Vec<_> = gl.split('*').collect();
    let decoded = |text: &str| {
        let text = text.trim_end_matches(['.', '=']).replace('+', "-").replace('/', "_");
        String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    };
    let cookies: Vec<_> = COOKIES
        .iter()
        .filter_map(|(name, _)| {
            let at = parts.iter().position(|part| part == name)?;
            Some((*name, decoded(parts.get(at + 1)?)?))
        })
        .collect();
    newest(cookies.iter().map(|(name, value)| (*name, value.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gl(parts: &[(&str, &str)]) -> Option<(&'static str, String, i64)> {
        let parts = parts.iter().map(|(name, value)| ["*", name, "*", value].concat()).collect::<Vec<_>>().concat();
        handed_on(&format!("1*1abcdef{parts}")).map(|it| (it.parameter, it.id, it.at.timestamp()))
    }

    fn encoded(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    #[test]
    fn the_click_is_in_the_part_of_its_cookie() {
        let aw = encoded("GCL.1763632800.EAIa-Q_1");
        let expected = Some(("gclid", "EAIa-Q_1".to_owned(), 1_763_632_800));
        assert_eq!(gl(&[("_gcl_aw", &aw)]), expected);
        assert_eq!(gl(&[("_ga", "MTIzLjQ1Ng.."), ("_gcl_aw", &format!("{aw}..")), ("_gcl_au", "x")]), expected);
        let labelled = encoded("GCL.1763632800.EAIa-Q_1.label.other");
        assert_eq!(gl(&[("_gcl_aw", &labelled)]), expected);
        let braid = encoded("GCL.1763632900.Braid-1");
        assert_eq!(gl(&[("_gcl_gb", &braid)]), Some(("wbraid", "Braid-1".to_owned(), 1_763_632_900)));
        assert_eq!(gl(&[("_gcl_aw", &aw), ("_gcl_gb", &braid)]).unwrap().0, "wbraid", "the newer one");
        let same = encoded("GCL.1763632800.Braid-1");
        assert_eq!(gl(&[("_gcl_gb", &same), ("_gcl_aw", &aw)]), expected, "at the same time gclid");
    }

    #[test]
    fn what_is_no_cookie_of_googles_names_no_click() {
        for text in [
            "",
            "GCL",
            "GCL.1",
            "GCL.x.id",
            "GCL.1.",
            "GCL.1.a b",
            "GCL.-5.id",
            "gcl.1.id",
            "1.GCL.1.id",
            "GCL.1.undefined",
        ] {
            assert_eq!(gl(&[("_gcl_aw", &encoded(text))]), None, "{text}");
        }
        for other in ["", "1", "1*x", "1*x*_gcl_aw", "1*x*_gcl_aw*%%%", "_gcl_aw*R0NM", "*****"] {
            assert!(handed_on(other).is_none(), "{other}");
        }
    }
}
