//! The answer of a command.

use serde_json::Value;

use crate::visible;

/// The same answer as JSON and as text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) document: Value,
    pub(crate) text: String,
    /// Why the command fails although it has an answer.
    pub(crate) problem: Option<String>,
}

impl Answer {
    /// Safe to print on a terminal, whatever CRMs sent.
    pub(crate) fn new(document: Value, text: &str) -> Self {
        Self::verbatim(document, visible::text(text))
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
