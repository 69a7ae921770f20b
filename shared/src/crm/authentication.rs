//! Does a webhook come from who it says it does?
