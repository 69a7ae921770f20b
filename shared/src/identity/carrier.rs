//! What a text came in.

/// What a text came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// JSON, or anything else that keeps every character.
    #[default]
    Json,
    /// application/x-www-form-urlencoded: a plus that the sender didn't escape arrives as a space.
    Form,
}
