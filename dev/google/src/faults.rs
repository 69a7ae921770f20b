//! Scripted failures: what goes wrong, where, and how many times.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ads::failure::ErrorCode;
use crate::bad_answer::BadAnswer;
use crate::endpoint::Endpoint;
use crate::status::Verdict;

/// A scripted failure. The faults of one endpoint are used one after another, in the order in which
/// they were scripted.
///
/// As JSON: `{"on": "ingest", "times": 2, "after": 1, "fault": {"kind": "http", "status": 503}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Where it happens.
    pub on: Endpoint,
    /// How many requests it hits: at least 1, which is the default.
    #[serde(default = "one")]
    pub times: u32,
    /// How many requests pass first, 0 by default, counted from the moment when it is this fault's
    /// turn.
    #[serde(default)]
    pub after: u32,
    #[serde(rename = "fault")]
    pub kind: FaultKind,
}

/// What goes wrong. With `Http`, `RejectEvent`, `OAuth`, `GoogleAdsFailure`, `Drop` and `Html`
/// nothing is processed. With the others the request is handled as usual, and only its answer is faulty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// An error answer, by default shaped as Google's for this status.
    Http {
        /// 400 to 599.
        status: u16,
        /// The Retry-After header, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
        /// The reason of the `ErrorInfo`, instead of the usual one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The whole body, instead of Google's shape.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
    },
    /// Ingest only: the fast failure of the whole request because of one event.
    RejectEvent {
        /// The event's index in the request.
        #[serde(default)]
        index: usize,
        /// A name of the Data Manager API's `ErrorReason`.
        reason: String,
        /// How the event is pointed at.
        #[serde(default)]
        field_style: FieldStyle,
    },
    /// Token and security tokens only: an error of a token endpoint.
    #[serde(rename = "oauth")]
    OAuth {
        /// Such as `invalid_grant`. `invalid_client` is answered with 401, others with 400.
        error: String,
        #[serde(default)]
        description: String,
    },
    /// The request is handled, then the connection breaks without an answer.
    ReplyLost {},
    /// The request is handled and never answered.
    NoReply {},
    /// The request is handled at once, and answered when the faults are cleared.
    Held {},
    /// The connection breaks before the request is handled.
    Drop {},
    /// 200 with an HTML page, as from a proxy in between. The request is not handled.
    Html {},
    /// The request is handled and answered with 200 and an empty body.
    Empty {},
    /// The request is handled, and the second half of its JSON answer is missing.
    Truncated {},
    /// The request is handled at once and answered late.
    Slow {
        /// The delay of the answer, up to 600.
        seconds: u32,
    },
    /// The request is handled at once, and the answer's body arrives slowly in small pieces.
    Drip {
        /// How long the body takes, up to 600.
        seconds: u32,
    },
    /// Click conversions and adjustments only: the refusal of the whole request by a `GoogleAdsFailure`.
    GoogleAdsFailure {
        /// 400 to 599.
        status: u16,
        /// Such as `{"quotaError": "RESOURCE_EXHAUSTED"}`. Neither of the names has to exist.
        error: ErrorCode,
        /// The `retryDelay` of `quotaErrorDetails`, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_delay: Option<u32>,
    },
    /// The request is handled, and its answer is broken: `{"kind": "bad_answer", "answer": "endless"}`.
    BadAnswer(BadAnswer),
    /// Status only: another verdict than the sandbox's own.
    Verdict(Verdict),
}

/// How a rejected event is pointed at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldStyle {
    /// `events.events[0]`.
    #[default]
    #[serde(rename = "events.events")]
    EventsEvents,
    /// `events[0]`.
    #[serde(rename = "events")]
    Events,
    /// Not at all: the answer has no field violation.
    #[serde(rename = "none")]
    None,
}

fn one() -> u32 {
    1
}

impl Fault {
    /// A fault for the next request that reaches `on`.
    #[must_use]
    pub fn once(on: Endpoint, kind: FaultKind) -> Self {
        Self { on, times: one(), after: 0, kind }
    }

    /// The same fault for `times` requests in a row.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// The same fault, letting `after` requests pass first.
    #[must_use]
    pub fn after(self, after: u32) -> Self {
        Self { after, ..self }
    }

    /// Reads a fault document.
    pub(crate) fn from_json(document: &str) -> Result<Self, FaultRefused> {
        serde_json::from_str(document).map_err(|error| FaultRefused(error.to_string()))
    }

    fn check(&self) -> Result<(), FaultRefused> {
        let exists_there = match &self.kind {
            FaultKind::RejectEvent { .. } => self.on == Endpoint::Ingest,
            FaultKind::OAuth { .. } => matches!(self.on, Endpoint::Token | Endpoint::SecurityTokens),
            FaultKind::Verdict(_) => self.on == Endpoint::Status,
            FaultKind::GoogleAdsFailure { .. } => self.on.is_google_ads(),
            _ => true,
        };
        let problem = match &self.kind {
            _ if self.times == 0 => "times is 1 or more",
            _ if !exists_there => "this kind of fault does not exist there",
            FaultKind::Http { status, .. } | FaultKind::GoogleAdsFailure { status, .. }
                if !(400..600).contains(status) =>
            {
                "status is 400 to 599"
            }
            FaultKind::Slow { seconds } | FaultKind::Drip { seconds } if *seconds > 600 => "seconds is at most 600",
            FaultKind::BadAnswer(answer) => match answer.check() {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            },
            _ => return Ok(()),
        };
        Err(FaultRefused::because(problem.to_owned()))
    }
}

/// A fault that the sandbox doesn't support.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRefused(String);

impl std::fmt::Display for FaultRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the fault is refused: {}", self.0)
    }
}

impl std::error::Error for FaultRefused {}

impl FaultRefused {
    pub(crate) fn because(problem: String) -> Self {
        Self(problem)
    }

    /// What is wrong, and all valid values.
    pub(crate) fn json(&self) -> Value {
        json!({
            "error": self.to_string(),
            "allowed": {
                "on": [
                    "token", "security_tokens", "iam_credentials", "ingest", "status", "collect", "click_conversions",
                    "adjustments",
                ],
                "times": "1 or more, 1 by default",
                "after": "0 or more, 0 by default",
                "fault": [
                    {"kind": "http", "status": "400 to 599", "retry_after": "seconds, optional",
                     "reason": "optional", "body": "any JSON, optional"},
                    {"kind": "reject_event", "on": "ingest", "index": "0 by default",
                     "reason": "an ErrorReason", "field_style": ["events.events", "events", "none"]},
                    {"kind": "oauth", "on": ["token", "security_tokens"], "error": "such as invalid_grant",
                     "description": "optional"},
                    {"kind": "google_ads_failure", "on": ["click_conversions", "adjustments"],
                     "status": "400 to 599", "error": {"quotaError": "RESOURCE_EXHAUSTED"},
                     "retry_delay": "seconds, optional"},
                    {"kind": "reply_lost"},
                    {"kind": "no_reply"},
                    {"kind": "held"},
                    {"kind": "drop"},
                    {"kind": "html"},
                    {"kind": "empty"},
                    {"kind": "truncated"},
                    {"kind": "slow", "seconds": "0 to 600"},
                    {"kind": "drip", "seconds": "0 to 600"},
                    {"kind": "bad_answer", "as": BadAnswer::allowed()},
                    {"kind": "verdict", "on": "status",
                     "status": ["PROCESSING", "SUCCESS", "FAILED", "PARTIAL_SUCCESS"],
                     "reason": "a ProcessingErrorReason, optional",
                     "record_count": "optional"},
                ],
            },
        })
    }
}

/// The faults that have not all happened yet.
#[derive(Debug, Default)]
pub(crate) struct Script(Vec<Fault>);

impl Script {
    pub(crate) fn arm(&mut self, fault: Fault) -> Result<(), FaultRefused> {
        fault.check()?;
        self.0.push(fault);
        Ok(())
    }

    /// What is to happen to the request that just reached `endpoint`.
    pub(crate) fn next(&mut self, endpoint: Endpoint) -> Option<FaultKind> {
        let index = self.0.iter().position(|fault| fault.on == endpoint)?;
        let fault = &mut self.0[index];
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times -= 1;
        let kind = fault.kind.clone();
        if fault.times == 0 {
            self.0.remove(index);
        }
        Some(kind)
    }

    pub(crate) fn armed(&self) -> &[Fault] {
        &self.0
    }

    pub(crate) fn disarm(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_an_endpoint_come_in_order_each_after_its_wait() {
        let mut script = Script::default();
        let fault = Fault::once(Endpoint::Ingest, FaultKind::Drop {});
        script.arm(fault.after(1).times(2)).expect("armed");
        let fault = Fault::once(Endpoint::Ingest, FaultKind::Html {});
        script.arm(fault).expect("armed");

        assert_eq!(script.next(Endpoint::Token), None);
        let seen: Vec<_> = (0..5).map(|_| script.next(Endpoint::Ingest)).collect();
        let drop = || Some(FaultKind::Drop {});
        assert_eq!(seen, [None, drop(), drop(), Some(FaultKind::Html {}), None]);
        assert_eq!(script.armed(), []);
    }

    #[test]
    fn every_kind_can_be_written_as_json() {
        for (on, fault) in [
            ("token", r#"{"kind":"http","status":503,"retry_after":2,"reason":"X","body":{}}"#),
            ("ingest", r#"{"kind":"http","status":429}"#),
            ("ingest", r#"{"kind":"reject_event","reason":"INVALID_EVENT"}"#),
            ("ingest", r#"{"kind":"reject_event","index":1,"reason":"X","field_style":"none"}"#),
            ("token", r#"{"kind":"oauth","error":"invalid_grant","description":"gone"}"#),
            ("adjustments", r#"{"kind":"google_ads_failure","status":429,"error":{"quotaError":"X"},"retry_delay":9}"#),
            ("click_conversions", r#"{"kind":"google_ads_failure","status":500,"error":{"internalError":"X"}}"#),
            ("click_conversions", r#"{"kind":"reply_lost"}"#),
            ("security_tokens", r#"{"kind":"oauth","error":"invalid_target"}"#),
            ("iam_credentials", r#"{"kind":"http","status":403}"#),
            ("ingest", r#"{"kind":"reply_lost"}"#),
            ("collect", r#"{"kind":"reply_lost"}"#),
            ("status", r#"{"kind":"no_reply"}"#),
            ("ingest", r#"{"kind":"held"}"#),
            ("status", r#"{"kind":"drop"}"#),
            ("token", r#"{"kind":"html"}"#),
            ("ingest", r#"{"kind":"empty"}"#),
            ("ingest", r#"{"kind":"truncated"}"#),
            ("ingest", r#"{"kind":"slow","seconds":3}"#),
            ("ingest", r#"{"kind":"drip","seconds":3}"#),
            ("ingest", r#"{"kind":"bad_answer","answer":"endless"}"#),
            ("token", r#"{"kind":"bad_answer","answer":"padded","megabytes":50}"#),
            ("status", r#"{"kind":"bad_answer","answer":"texts","followed_by":"\u0000","times":1}"#),
            ("adjustments", r#"{"kind":"bad_answer","answer":"invalid_utf8"}"#),
            ("ingest", r#"{"kind":"bad_answer","answer":"wrong_length","by":-3}"#),
            ("ingest", r#"{"kind":"bad_answer","answer":"dated","date":"Thu, 01 Jan 1970 00:00:00 GMT"}"#),
            ("status", r#"{"kind":"verdict","status":"PROCESSING"}"#),
            ("status", r#"{"kind":"verdict","status":"FAILED","reason":"NEW","record_count":2}"#),
        ] {
            let document = format!(r#"{{"on":"{on}","fault":{fault}}}"#);
            let read = Fault::from_json(&document).expect(&document);
            let written = serde_json::to_string(&read).expect("JSON");
            assert_eq!(Fault::from_json(&written), Ok(read), "{document}");
        }
    }

    #[test]
    fn a_wrong_document_is_refused_by_naming_what_is_allowed() {
        for (document, hint) in [
            (r#"{"fault":{"kind":"drop"}}"#, "`on`"),
            (r#"{"on":"ads","fault":{"kind":"drop"}}"#, "`ingest`"),
            (r#"{"on":"token","fault":{"kind":"explode"}}"#, "`reply_lost`"),
            (r#"{"on":"token","fault":{"status":503}}"#, "`kind`"),
            (r#"{"on":"token","time":2,"fault":{"kind":"drop"}}"#, "`times`"),
            (r#"{"on":"token","times":0,"fault":{"kind":"drop"}}"#, "1 or more"),
            (r#"{"on":"token","fault":{"kind":"http","status":200}}"#, "400 to 599"),
            (r#"{"on":"token","fault":{"kind":"http","code":500}}"#, "`status`"),
            (r#"{"on":"token","fault":{"kind":"drop","status":1}}"#, "status"),
            (r#"{"on":"status","fault":{"kind":"slow","seconds":601}}"#, "at most 600"),
            (r#"{"on":"token","fault":{"kind":"bad_answer","answer":"padded","megabytes":201}}"#, "at most 200"),
            (r#"{"on":"token","fault":{"kind":"bad_answer","answer":"rude"}}"#, "`endless`"),
            (r#"{"on":"token","fault":{"kind":"bad_answer","answer":"endless","for":1}}"#, "`for`"),
            (r#"{"on":"ingest","fault":{"kind":"oauth","error":"x"}}"#, "does not exist there"),
            (r#"{"on":"ingest","fault":{"kind":"google_ads_failure","status":429,"error":{"a":"B"}}}"#, "there"),
            (r#"{"on":"adjustments","fault":{"kind":"google_ads_failure","status":200,"error":{"a":"B"}}}"#, "599"),
            (r#"{"on":"adjustments","fault":{"kind":"google_ads_failure","status":429,"error":{}}}"#, "one entry"),
            (r#"{"on":"status","fault":{"kind":"verdict","status":"DONE"}}"#, "`PARTIAL_SUCCESS`"),
            (r#"{"on":"status","fault":{"kind":"verdict","status":"FAILED","why":1}}"#, "`record_count`"),
        ] {
            let refused =
                Fault::from_json(document).and_then(|fault| Script::default().arm(fault)).expect_err(document).json();
            let error = refused["error"].to_string();
            assert!(error.contains(hint), "{document}: {error}");
            assert_eq!(refused["allowed"]["on"][3], "ingest");
        }
    }
}
