//! AWS, as the SDK reaches it.

use std::error::Error;

use aws_config::SdkConfig;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_smithy_http_client::{Builder, tls};

/// Region and credentials from the SDK's default chain, and HTTPS over the same rustls and ring as everything else.
pub async fn sdk_config() -> SdkConfig {
    let https =
        Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https();
    aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(https).load().await
}

/// Why a call failed, in a few words for a log: the code that AWS answered, else what went wrong on the way.
#[must_use]
pub fn cause<E: ProvideErrorMetadata + Error>(error: &E) -> String {
    if let Some(code) = error.code() {
        return code.to_owned();
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let (outer, inner) = (error.to_string(), innermost.to_string());
    // Of missing credentials there is a list of all places where the SDK has looked.
    let inner = inner.split_once(". ").map_or(inner.as_str(), |(first, _)| first).lines().next().unwrap_or_default();
    if inner.is_empty() || inner == outer { outer } else { format!("{outer}: {inner}") }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use aws_sdk_sqs::error::ErrorMetadata;

    use super::*;

    #[derive(Debug)]
    struct Failed {
        said: &'static str,
        by: Option<Box<Failed>>,
        meta: ErrorMetadata,
    }

    impl Failed {
        fn new(said: &'static str) -> Self {
            Self { said, by: None, meta: ErrorMetadata::builder().build() }
        }
    }

    impl fmt::Display for Failed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.said)
        }
    }

    impl Error for Failed {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.by.as_deref().map(|by| by as _)
        }
    }

    impl ProvideErrorMetadata for Failed {
        fn meta(&self) -> &ErrorMetadata {
            &self.meta
        }
    }

    #[test]
    fn a_cause_is_a_few_words() {
        let meta = ErrorMetadata::builder().code("AccessDenied").message("User: … is not authorized").build();
        assert_eq!(cause(&Failed { meta, ..Failed::new("service error") }), "AccessDenied");
        for (innermost, said) in [
            ("Connection refused (os error 111)", "dispatch failure: Connection refused (os error 111)"),
            (
                "no credentials found in chain. Attempted:\n  Environment: …",
                "dispatch failure: no credentials found in chain",
            ),
        ] {
            let between = Failed { by: Some(Box::new(Failed::new(innermost))), ..Failed::new("io error") };
            let error = Failed { by: Some(Box::new(between)), ..Failed::new("dispatch failure") };
            assert_eq!(cause(&error), said);
        }
    }
}
