//! The bodies of accepted requests.

use std::fmt;
use std::sync::Arc;

/// The body of an accepted request, exactly as it arrived. All that one request brought share it.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestBody(Arc<str>);

impl RequestBody {
    /// An accepted body parsed as JSON, so it is UTF-8 and nothing of it is lost.
    pub(crate) fn new(body: &[u8]) -> Self {
        Self(String::from_utf8_lossy(body).into())
    }

    /// What was sent, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Its length only: a body of 2000 events would be shown 2000 times.
impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestBody({} bytes)", self.0.len())
    }
}
