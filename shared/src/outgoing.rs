//! How we call others: which addresses are allowed, with which client, and what limits their answers have.

mod reach;

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};

pub use reach::{Reach, Unreachable};

/// Where a service is: https, or plain http on this machine.
pub fn endpoint(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|_| "must be a URL")?;
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    if secure { Ok(text.trim_end_matches('/').to_owned()) } else { Err("must start with https://".to_owned()) }
}

/// The same at this host only, on its own port and without a login; or plain http on this machine, for tests.
pub fn endpoint_at(text: &str, host: &str) -> Result<String, String> {
    let is_there = |url: url::Url| {
        url.host_str() == Some(host) && url.port().is_none() && url.username().is_empty() && url.password().is_none()
    };
    let problem = || format!("must start with https://{host}/");
    let url = endpoint(text).map_err(|_| problem())?;
    let is_allowed = url.starts_with("http://") || url::Url::parse(&url).is_ok_and(is_there);
    if is_allowed { Ok(url) } else { Err(problem()) }
}

/// A client for calls to platforms: our one TLS stack, Mozilla's roots, no redirects, and an end to waiting.
///
/// # Errors
/// When TLS can't be set up.
pub fn http_client() -> Result<reqwest::Client, String> {
    http_client_connecting_within(Duration::from_secs(5))
}

/// The same for callers that have little time: whoever gives up while it connects can't tell whether anything arrived.
///
/// # Errors
/// When TLS can't be set up.
pub fn http_client_connecting_within(time: Duration) -> Result<reqwest::Client, String> {
    client(time)?.build().map_err(|error| error.to_string())
}

/// The same for a host that an operator declares. No proxy stands in between: it would resolve the name itself.
///
/// # Errors
/// When TLS can't be set up.
pub fn http_client_to(reach: Reach) -> Result<reqwest::Client, String> {
    let client = client(Duration::from_secs(5))?.no_proxy().dns_resolver(std::sync::Arc::new(reach));
    client.build().map_err(|error| error.to_string())
}

fn client(time: Duration) -> Result<reqwest::ClientBuilder, String> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(time)
        .timeout(Duration::from_secs(30))
        .user_agent(concat!("adtrail/", env!("CARGO_PKG_VERSION"))))
}

/// The longest delay that an answer may ask for: until a daily quota is reset.
pub const LONGEST_WAIT: TimeDelta = TimeDelta::days(1);

/// The delay that an answer asks for, in seconds. A date is ignored, and so is a delay above [`LONGEST_WAIT`].
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<TimeDelta> {
    let seconds: u32 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(TimeDelta::seconds(seconds.into())).filter(|wait| *wait <= LONGEST_WAIT)
}

/// The delay that an answer asks for as a `google.protobuf.Duration`, such as `40591s` or `1.5s`. One above
/// [`LONGEST_WAIT`] is ignored.
#[must_use]
pub fn duration(text: &str) -> Option<TimeDelta> {
    let seconds: f64 = text.trim().strip_suffix('s')?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "it is small")]
    let wait = (0.0..=1e6).contains(&seconds).then(|| TimeDelta::milliseconds((seconds * 1000.0) as i64));
    wait.filter(|wait| *wait <= LONGEST_WAIT)
}

/// How much of an answer is read. Its JSON values are counted too: parsed, small ones take a hundred times the memory
/// of their text.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    bytes: usize,
    values: usize,
}

impl Limit {
    /// For an answer about one conversion or one record. Expected ones have a few thousand bytes.
    pub const ONE: Self = Self { bytes: 1024 * 1024, values: 20_000 };
    /// For an answer about a batch. One error for each of 2,000 conversions takes 1.2 MB and 28,000 values.
    const MANY: Self = Self { bytes: 8 * 1024 * 1024, values: 100_000 };

    /// For an answer about this number of conversions.
    #[must_use]
    pub fn of(conversions: usize) -> Self {
        if conversions > 1 { Self::MANY } else { Self::ONE }
    }
}

/// Reads an answer's body. If it exceeds the limit or isn't UTF-8, the result is empty, which no parser accepts.
///
/// # Errors
/// If the connection breaks or times out before the end of the body.
pub async fn body(mut response: Response, limit: Limit) -> Result<Vec<u8>, reqwest::Error> {
    let (mut body, mut values) = (Vec::new(), 0);
    while let Some(chunk) = response.chunk().await? {
        // Each value of a JSON text but the first follows one of these.
        values += chunk.iter().filter(|byte| b",[{".contains(byte)).count();
        if body.len() + chunk.len() > limit.bytes || values > limit.values {
            let Limit { bytes, values } = limit;
            tracing::warn!(bytes, values, status = response.status().as_u16(), "an answer exceeds the limit");
            return Ok(Vec::new());
        }
        body.extend_from_slice(&chunk);
    }
    // Parsers skip fields they don't need without checking the encoding.
    Ok(if std::str::from_utf8(&body).is_ok() { body } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_delay_is_read_as_google_writes_it() {
        for (text, milliseconds) in [
            ("40591s", Some(40_591_000)),
            ("1.5s", Some(1_500)),
            ("0s", Some(0)),
            (" 30s ", Some(30_000)),
            ("3600.000000001s", Some(3_600_000)),
            ("86400s", Some(86_400_000)),
            ("86401s", None),
            ("-1s", None),
            ("40591", None),
            ("1e300s", None),
            ("NaNs", None),
            ("s", None),
            ("", None),
        ] {
            let expected = milliseconds.map(TimeDelta::milliseconds);
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    /// Reads an answer with this head and these pieces as its body.
    async fn read<I>(head: &str, pieces: I, limit: Limit) -> Result<Vec<u8>, reqwest::Error>
    where
        I: Iterator<Item = Vec<u8>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
        std::thread::spawn(move || {
            let mut connection = listener.accept().unwrap().0;
            let _ = connection.read(&mut [0; 4096]);
            // The reader may have closed the connection.
            let _ = connection.write_all(head.as_bytes());
            for piece in pieces {
                if connection.write_all(&piece).is_err() {
                    break;
                }
            }
        });
        body(http_client().unwrap().get(url).send().await.unwrap(), limit).await
    }

    async fn sent(text: String, limit: Limit) -> usize {
        let head = format!("Content-Length: {}", text.len());
        read(&head, std::iter::once(text.into_bytes()), limit).await.unwrap().len()
    }

    #[tokio::test]
    async fn an_answer_up_to_its_limit_is_read() {
        for limit in [Limit::ONE, Limit::MANY] {
            let Limit { bytes, values } = limit;
            assert_eq!(sent("x".repeat(bytes), limit).await, bytes);
            assert_eq!(sent("x".repeat(bytes + 1), limit).await, 0);
            assert_eq!(sent("{},".repeat(values / 2), limit).await, values / 2 * 3);
            assert_eq!(sent("{},".repeat(values / 2 + 1), limit).await, 0);
        }
    }

    #[tokio::test]
    async fn an_endless_answer_is_read_up_to_the_limit() {
        let endless = std::iter::repeat_with(|| vec![b'x'; 65_536]);
        assert!(read("Connection: close", endless, Limit::ONE).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_answer_that_is_not_utf_8_is_empty() {
        let read = async |body: &[u8]| read("Connection: close", std::iter::once(body.to_vec()), Limit::ONE).await;
        assert_eq!(read("ü".as_bytes()).await.unwrap(), "ü".as_bytes());
        assert!(read(b"{\"a\":\"\xff\"}").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_body_shorter_than_its_content_length_is_an_error() {
        assert!(read("Content-Length: 9", std::iter::once(b"12345678".to_vec()), Limit::ONE).await.is_err());
    }

    #[test]
    fn an_absurd_retry_after_is_ignored() {
        let wait = |text: &'static str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]))
                .map(|wait| wait.num_seconds())
        };
        assert_eq!([wait("0"), wait("30"), wait(" 86400 ")], [Some(0), Some(30), Some(86_400)]);
        for none in
            ["", "-1", "1.5", "soon", "86401", "4294967295", "18446744073709551615", "Sun, 22 Nov 2026 12:00:00 GMT"]
        {
            assert_eq!(wait(none), None, "{none}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
