//! Broken and hostile answers, as from a defect, a proxy or an attacker.

use std::io;
use std::iter::repeat_n;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::HeaderValue;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const MEGABYTE: usize = 1024 * 1024;

/// How an answer is changed before it is sent. Its status stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum BadAnswer {
    /// The body never ends.
    Endless {},
    /// White space follows the body. It is still valid JSON.
    Padded {
        /// Up to 200.
        megabytes: u32,
    },
    /// This is appended to each string in its JSON.
    Texts {
        /// Such as `"\u0000"`.
        followed_by: String,
        /// How many times, up to 10,000,000.
        times: u32,
    },
    /// The first string in its JSON isn't valid UTF-8.
    InvalidUtf8 {},
    /// Its Content-Length is wrong.
    WrongLength {
        /// By this number of bytes.
        by: i32,
    },
    /// It has this Date header.
    Dated {
        /// Such as `Thu, 01 Jan 1970 00:00:00 GMT`.
        date: String,
    },
}

impl BadAnswer {
    /// The kinds, each as JSON with its allowed values.
    pub(crate) fn allowed() -> [Value; 6] {
        [
            serde_json::json!({"answer": "endless"}),
            serde_json::json!({"answer": "padded", "megabytes": "0 to 200"}),
            serde_json::json!({"answer": "texts", "followed_by": "a text", "times": "0 to 10000000"}),
            serde_json::json!({"answer": "invalid_utf8"}),
            serde_json::json!({"answer": "wrong_length", "by": "bytes, may be negative"}),
            serde_json::json!({"answer": "dated", "date": "the Date header"}),
        ]
    }

    /// Is a value out of range?
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Padded { megabytes } if *megabytes > 200 => Err("megabytes is at most 200"),
            Self::Texts { times, .. } if *times > 10_000_000 => Err("times is at most 10000000"),
            Self::Dated { date } if HeaderValue::from_str(date).is_err() => Err("date is not a valid header"),
            _ => Ok(()),
        }
    }

    /// Changes an answer accordingly.
    pub async fn spoil(&self, response: Response) -> Response {
        let (mut head, body) = response.into_parts();
        if let Self::Dated { date } = self {
            head.headers.extend(HeaderValue::from_str(date).ok().map(|date| (DATE, date)));
            return Response::from_parts(head, body);
        }
        head.headers.remove(CONTENT_LENGTH);
        let text = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let body = match self {
            Self::Endless {} => {
                let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
                Body::from_stream(stream::repeat_with(move || Ok::<_, io::Error>(chunk.clone())))
            }
            Self::Padded { megabytes } => {
                let blanks = Bytes::from(vec![b' '; MEGABYTE]);
                let padding = repeat_n(blanks, usize::try_from(*megabytes).unwrap_or_default());
                in_pieces(std::iter::once(text).chain(padding).collect())
            }
            Self::Texts { followed_by, times } => {
                let more = followed_by.repeat(usize::try_from(*times).unwrap_or_default());
                let mut value: Value = serde_json::from_slice(&text).unwrap_or_default();
                lengthen(&mut value, &more);
                value.to_string().into()
            }
            Self::InvalidUtf8 {} => {
                // After the opening quote of the first value that is a string.
                let at = text.windows(2).position(|pair| pair == b":\"").map_or(text.len(), |at| at + 2);
                [&text[..at], b"\xff", &text[at..]].concat().into()
            }
            Self::WrongLength { by } => {
                let length = i64::try_from(text.len()).unwrap_or_default() + i64::from(*by);
                head.headers.insert(CONTENT_LENGTH, length.max(0).unsigned_abs().into());
                // Otherwise the next answer on this connection would be read as the rest of this one.
                head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
                in_pieces(vec![text])
            }
            Self::Dated { .. } => text.into(),
        };
        Response::from_parts(head, body)
    }
}

/// A body of unknown length.
fn in_pieces(pieces: Vec<Bytes>) -> Body {
    // The server sends what it has while it waits for the end.
    let end = stream::once(tokio::task::yield_now()).map(|()| Ok(Bytes::new()));
    Body::from_stream(stream::iter(pieces).map(Ok::<_, io::Error>).chain(end))
}

fn lengthen(value: &mut Value, more: &str) {
    match value {
        Value::String(text) => text.push_str(more),
        Value::Array(elements) => elements.iter_mut().for_each(|element| lengthen(element, more)),
        Value::Object(fields) => {
            // A detail of an unknown type would be skipped as a whole.
            fields.iter_mut().filter(|(name, _)| *name != "@type").for_each(|(_, field)| lengthen(field, more));
        }
        _ => {}
    }
}
