//! How we call others: where they may be, and with which client.

use std::time::Duration;

/// Where a service is: https, or plain http on this machine.
pub fn endpoint(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|_| "must be a URL")?;
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    if secure { Ok(text.trim_end_matches('/').to_owned()) } else { Err("must start with https://".to_owned()) }
}

/// A client for calls to platforms: our one TLS stack, Mozilla's roots, no redirects, and an end to waiting.
///
/// # Errors
/// When TLS can't be set up.
pub fn http_client() -> Result<reqwest::Client, String> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(30))
        .user_agent(concat!("adtrail/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}
