//! One of several values in a header, such as the time in `t=1795176000,v1=5257a869…`.

use serde::Deserialize;

/// The name of a part: `t` and `v1` in the example.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PartName(String);

impl PartName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The values of the parts with this name, in their order. Commas and semicolons separate parts; what has another
    /// name is passed over, because senders add further ones.
    pub(super) fn values<'h>(&self, header: &'h str) -> impl Iterator<Item = &'h str> {
        let parts = header.split([',', ';']).filter_map(|part| part.trim().split_once('='));
        parts.filter(move |(name, _)| *name == self.0).map(|(_, value)| value)
    }
}

impl TryFrom<String> for PartName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=40).contains(&name.len()) && name.chars().all(known) {
            Ok(Self(name))
        } else {
            Err("a part of a header is named by what stands before its =, such as t and v1 for t=…,v1=…")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_by_its_name_among_others() {
        for (header, name, values) in [
            ("t=1,v1=aa", "t", vec!["1"]),
            ("t=1,v1=aa", "v1", vec!["aa"]),
            ("ts=1;h1=aa", "h1", vec!["aa"]),
            ("t=1, v1=aa, v1=bb, v0=cc", "v1", vec!["aa", "bb"]),
            ("t=1;v1=YWE=", "v1", vec!["YWE="]),
            ("v1=", "v1", vec![""]),
            ("t=1,v1", "v1", vec![]),
            ("T=1", "t", vec![]),
            ("xt=1,t =2,st=3", "t", vec![]),
            ("", "t", vec![]),
        ] {
            let part = PartName::try_from(name.to_owned()).unwrap();
            assert_eq!(part.values(header).collect::<Vec<_>>(), values, "{header}");
        }
    }
}
