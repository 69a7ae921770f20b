//! How big a test is.

/// The full size in `make test-long`, and in `make test` a smaller one that can fail for the same reasons.
#[must_use]
pub fn scaled<T>(full: T, small: T) -> T {
    if std::env::var_os("ADTRAIL_TEST_LONG").is_some() { full } else { small }
}
