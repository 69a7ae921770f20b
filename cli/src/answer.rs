//! The answer of a command.

use serde_json::Value;

/// The same answer as JSON and as text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) document: Value,
    pub(crate) text: String,
    /// Why the command fails although it has an answer.
    pub(crate) problem: Option<String>,
}

impl Answer {
    /// Safe to print on a terminal: what CRMs sent may hold control characters.
    pub(crate) fn new(document: Value, text: &str) -> Self {
        let printable = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
        Self::verbatim(document, text.chars().map(printable).collect())
    }

    /// With a text that must stay as it is.
    pub(crate) fn verbatim(document: Value, text: String) -> Self {
        Self { document, text, problem: None }
    }

    pub(crate) fn failing(mut self, problem: Option<String>) -> Self {
        self.problem = problem;
        self
    }
}
