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
    if inner.is_empty() || inner == outer { outer } else { format!("{outer}: {inner}") }
}
