//! The mark that an id follows in a longer text.

/// What stands before an id, such as the `/` in a URI. What follows the last one is the id.
#[derive(Debug, serde::Deserialize)]
#[serde(try_from = "String")]
pub(in crate::crm) struct Mark(String);

impl TryFrom<String> for Mark {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() { Err("after is the text before the id, such as \"/\"") } else { Ok(Self(text)) }
    }
}

impl Mark {
    /// The id at the end. A text without the mark is an id already, and a mark at the very end has none behind it.
    pub fn id_in<'a>(&self, text: &'a str) -> &'a str {
        let text = text.trim_end_matches(&self.0);
        text.rsplit_once(&self.0).map_or(text, |(_, id)| id)
    }
}
