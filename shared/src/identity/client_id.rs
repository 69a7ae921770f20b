//! How Google Analytics recognises a browser and its session, as its tag keeps both in cookies.

use serde::{Deserialize, Serialize};

use super::Hash;

/// A browser's id in Google Analytics: two numbers with a dot between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(try_from = "String")]
#[sqlx(transparent)]
pub struct ClientId(String);

impl ClientId {
    /// The cookie of Google's tag that has it.
    pub const COOKIE: &str = "_ga";

    /// From the value of the cookie `_ga`, such as `GA1.1.1234567890.1700000000`: its last two fields.
    #[must_use]
    pub fn from_cookie(value: &str) -> Option<Self> {
        let mut fields = value.strip_prefix("GA")?.rsplitn(3, '.');
        let (second, first) = (fields.next()?, fields.next()?);
        // What stands before is the version and the depth of the domain.
        fields.next()?;
        Self::try_from(format!("{first}.{second}")).ok()
    }

    /// Always the same one for this text, such as a visitor's id. Google Analytics counts it as a browser of its own.
    #[must_use]
    pub fn derived_from(text: &str) -> Self {
        let hash = Hash::of(format!("client id of {text}"));
        let number = |digits: &str| u32::from_str_radix(digits, 16).unwrap_or_default();
        Self(format!("{}.{}", number(&hash.as_str()[..8]), number(&hash.as_str()[8..16])))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClientId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_number = |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
        let is_id = text.split_once('.').is_some_and(|(first, second)| is_number(first) && is_number(second));
        if is_id { Ok(Self(text)) } else { Err("must be two numbers with a dot between them, as in the cookie _ga") }
    }
}

/// The session that the cookie `_ga_<stream>` of Google's tag is about: the second it began.
#[must_use]
pub fn session_id(cookie: &str) -> Option<i64> {
    let after = |prefix: &str| cookie.strip_prefix(prefix)?.split_once('.').map(|(_depth, rest)| rest);
    let id = match (after("GS1."), after("GS2.")) {
        // GS1.1.1700000000.5.1.1700000123.60.0.0
        (Some(fields), _) => fields.split('.').next()?,
        // GS2.1.s1700000000$o5$g1$t1700000123$j60$l0$h0
        (_, Some(fields)) => fields.split('$').find_map(|field| field.strip_prefix('s'))?,
        _ => return None,
    };
    let is_number = (1..=12).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_digit());
    is_number.then(|| id.parse().ok()).flatten().filter(|id| *id > 0)
}

/// The cookie that has the session of a stream, of which this is the measurement id: `G-ABC` has `_ga_ABC`.
#[must_use]
pub fn session_cookie(measurement_id: &str) -> String {
    format!("_ga_{}", measurement_id.strip_prefix("G-").unwrap_or(measurement_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(cookie: &str) -> Option<String> {
        ClientId::from_cookie(cookie).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn the_client_is_the_last_two_fields() {
        assert_eq!(client("GA1.1.1234567890.1700000000").as_deref(), Some("1234567890.1700000000"));
        assert_eq!(client("GA1.2-3.1234567890.1700000000").as_deref(), Some("1234567890.1700000000"));
        for none in [
            "",
            "GA1",
            "GA1.1",
            "1234567890.1700000000",
            "GA1.1.abc.1700000000",
            "GA1.1.1234567890.",
            "GA1.1.1234567890.-1",
            "GA1.1.1234567890.1 ",
            "GA1.1.123456789012345678901.1",
            "XX1.1.1234567890.1700000000",
        ] {
            assert_eq!(client(none), None, "{none}");
        }
    }

    #[test]
    fn a_derived_client_stays_and_differs_from_others() {
        let one = ClientId::derived_from("6f9619ff-8b86-4d01-b42d-00cf4fc964ff");
        assert_eq!(one, ClientId::derived_from("6f9619ff-8b86-4d01-b42d-00cf4fc964ff"));
        assert_ne!(one, ClientId::derived_from("6f9619ff-8b86-4d01-b42d-00cf4fc964fe"));
        assert!(ClientId::try_from(one.as_str().to_owned()).is_ok(), "{one:?}");
    }

    #[test]
    fn the_session_is_read_in_both_formats() {
        assert_eq!(session_id("GS1.1.1700000000.5.1.1700000123.60.0.0"), Some(1_700_000_000));
        assert_eq!(session_id("GS2.1.s1700000000$o5$g1$t1700000123$j60$l0$h0"), Some(1_700_000_000));
        assert_eq!(session_id("GS2.1.o5$s1700000000$g1"), Some(1_700_000_000), "fields may be moved");
        for none in
            ["", "GS1", "GS1.1", "GS1.1.", "GS2.1.o5$g1", "GS2.1.s", "GS3.1.s17", "GS1.1.-5", "GS2.1.s1e9", "GS1.1.0"]
        {
            assert_eq!(session_id(none), None, "{none}");
        }
        assert_eq!(session_cookie("G-ABC123"), "_ga_ABC123");
    }
}
