//! Requests as CRMs make them.

use chrono::{DateTime, Utc};
use lambda_http::Body;
use lambda_http::http::uri::{Scheme as UrlScheme, Uri};
use lambda_http::http::{HeaderName, HeaderValue, header};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::crm::authentication::{Sample, Signed};
use shared::crm::{Source, ready};
use shared::http::Request;
use shared::settings::Values;
use uuid::Uuid;

use super::{Named, curl, local_url, read};
use crate::answer::Answer;
use crate::arguments::{Call, Sign};
use crate::{Failure, setting};

/// What a shell's command line surely takes; Linux ends one argument at 128 KB.
const LONGEST_ARGUMENT: usize = 100_000;

/// Where a webhook goes and when.
pub(super) struct Delivery {
    pub(super) url: String,
    pub(super) at: DateTime<Utc>,
}

impl Delivery {
    pub(super) fn of(call: &Call, source: &Source, clock: &Clock) -> Self {
        Self { url: call.url.clone().unwrap_or_else(|| local_url(source)), at: call.at.unwrap_or_else(|| clock.now()) }
    }

    /// As the CRM signs it, with a new name for the event.
    pub(super) fn signed(&self, source: &Source, body: &[u8]) -> Option<Signed> {
        let id = Uuid::new_v4().to_string();
        let sample = Sample { method: "POST", url: &self.url, body, id: &id, at: self.at };
        source.sign(&sample)
    }
}

/// The request as it arrives. Headers are never quoted in an error: they may hold a secret.
pub(super) fn request(url: &str, headers: &[(String, String)], body: &[u8]) -> Result<Request, Failure> {
    let no_url = || {
        Failure::Said(
            "The URL is none: name the whole URL that the CRM calls, as https://example.com/api/webhooks/acme.".into(),
        )
    };
    let uri: Uri = url.parse().map_err(|_| no_url())?;
    let is_http = [UrlScheme::HTTP, UrlScheme::HTTPS].iter().any(|scheme| uri.scheme() == Some(scheme));
    let (Some(authority), Some(path)) = (uri.authority(), uri.path_and_query()) else { return Err(no_url()) };
    if !is_http {
        return Err(no_url());
    }
    let mut request = lambda_http::http::Request::post(path.as_str()).body(Body::from(body)).map_err(|_| no_url())?;
    for (nth, (name, value)) in headers.iter().enumerate() {
        let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (name, value) = pair.ok_or_else(|| no_header(nth))?;
        request.headers_mut().append(name, value);
    }
    if !request.headers().contains_key(header::HOST) {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| no_url())?;
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(request)
}

/// Headers as curl takes them.
pub(super) fn headers(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |(nth, text): (usize, &String)| {
        let (name, value) = text.split_once(':').ok_or_else(|| no_header(nth))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    given.iter().enumerate().map(pair).collect()
}

fn no_header(nth: usize) -> Failure {
    Failure::Said(format!("Header {} is none: write each as -H 'Name: value'.", nth + 1))
}

pub(crate) fn sign(values: &Values, sign: &Sign) -> Result<Answer, Failure> {
    let (app, _) = setting::app_anyway(values, Clock::system())?;
    let named = Named::find(&app.config, values, &sign.source)?;
    let source = named.source();
    let sample = ready::sample(source.ready.as_deref().unwrap_or(&source.name));
    let (bytes, file) = match (&sign.file, sample) {
        (Some(file), _) => (read(file)?, file.to_str().filter(|name| *name != "-")),
        (None, Some(sample)) => (sample.body.as_bytes().to_vec(), None),
        (None, None) => {
            let name = &source.name;
            return Err(Failure::Said(format!(
                "{name} starts from no ready declaration, so there is no sample: name a file, as adtrail crm sign {name} deal.json."
            )));
        }
    };
    let body = match file {
        Some(file) => curl::Body::File(file),
        None => curl::Body::Text(pasteable(&bytes)?),
    };
    let delivery = Delivery::of(&sign.call, source, &app.clock);
    let Some(signed) = delivery.signed(source, &bytes) else { return Err(unsigned(source)) };
    // Refuses what curl would send otherwise than it was signed.
    request(&signed.url, &signed.headers, &bytes)?;
    let mut headers = vec![("content-type".to_owned(), source.content_type().to_owned())];
    headers.extend(signed.headers);
    let command = curl::command(&signed.url, &headers, &body);
    let headers: Vec<_> = headers.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let document = json!({
        "method": "POST",
        "url": signed.url,
        "headers": headers,
        "file": file,
        "body": file.is_none().then(|| String::from_utf8_lossy(&bytes)),
        "command": command,
    });
    Ok(Answer::verbatim(document, command))
}

/// Why a source's webhooks can't be signed here, with the fix.
pub(super) fn unsigned(source: &Source) -> Failure {
    let why = match source.missing.first() {
        Some(missing) if source.schemes.is_empty() => missing.problem.clone(),
        _ => format!("{} is declared with a public key, and only the CRM has the other half", source.name),
    };
    Failure::Said(format!("It can't be signed here. {why}."))
}

/// A body that survives being pasted into a terminal.
fn pasteable(bytes: &[u8]) -> Result<&str, Failure> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST_ARGUMENT);
    let text = text.filter(|text| !text.contains(|c: char| c.is_control() && c != '\n'));
    text.ok_or_else(|| {
        Failure::Said(
            "The body is too long for a command line or no plain text: save it in a file and name that.".into(),
        )
    })
}

/// What verification came to.
pub(super) enum Proof {
    /// The headers that were given, or a signature made here, verify.
    Good { scheme: &'static str, secret: String, is_own: bool },
    /// They don't.
    Bad { why: String, is_own: bool },
    /// There is nothing to check them with, and why.
    Unchecked(String),
}

impl Proof {
    pub(super) fn document(&self) -> Value {
        match self {
            Self::Good { scheme, secret, is_own } => {
                json!({ "verified": true, "signed_here": is_own, "scheme": scheme, "setting": secret })
            }
            Self::Bad { why, is_own } => json!({ "verified": false, "signed_here": is_own, "reason": why }),
            Self::Unchecked(why) => json!({ "verified": null, "signed_here": false, "reason": why }),
        }
    }

    pub(super) fn said(&self) -> String {
        let made = |is_own: &bool| if *is_own { "signed here; " } else { "" };
        match self {
            Self::Good { scheme, secret, is_own } => format!("{}verifies by {scheme} with {secret}", made(is_own)),
            Self::Bad { why, is_own } => format!("{}REFUSED: {why}", made(is_own)),
            Self::Unchecked(why) => format!("not checked: {why}"),
        }
    }
}
