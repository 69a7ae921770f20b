//! What a command has to say.

use serde_json::Value;

/// The same thing twice: for machines and for people.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) document: Value,
    pub(crate) text: String,
    /// Why the command fails after all.
    pub(crate) problem: Option<String>,
}

impl Answer {
    /// For a terminal: what was sent to us may hold control characters.
    pub(crate) fn new(document: Value, text: &str) -> Self {
        let harmless = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
        Self::verbatim(document, text.chars().map(harmless).collect())
    }

    /// Of a text that has to arrive as it is.
    pub(crate) fn verbatim(document: Value, text: String) -> Self {
        Self { document, text, problem: None }
    }

    pub(crate) fn failing(mut self, problem: Option<String>) -> Self {
        self.problem = problem;
        self
    }
}
