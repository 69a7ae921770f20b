//! A stand-in for SQS: the protocol of the SDK over HTTP, and queues whose time only a test moves. The test is the
//! event source, too: it receives a batch for the function, and deletes what the function wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

/// Where requests wait.
pub const SPOOL: &str = "adtrail-spool";
/// What can't be stored.
pub const DEAD: &str = "adtrail-spool-dead";

/// SQS's limit, in bytes.
const LARGEST: usize = 1024 * 1024;
/// Seconds for which a received message is hidden, and how often it may be received: as in template.yaml.
const HIDDEN: i64 = 360;
const MOST_RECEIVES: u32 = 1_000;

/// SQS on this machine.
pub struct Sqs {
    address: String,
    state: Arc<Mutex<Account>>,
}

struct Account {
    now: DateTime<Utc>,
    is_away: bool,
    queues: BTreeMap<String, Vec<Message>>,
    /// Whose key called what.
    calls: BTreeSet<(String, String)>,
}

struct Message {
    id: String,
    body: String,
    attributes: Value,
    sent_at: DateTime<Utc>,
    visible_at: DateTime<Utc>,
    receives: u32,
    receipt: String,
}

impl Sqs {
    /// Listens on a free port of this machine. Its time begins now.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let queues = [SPOOL, DEAD].map(|name| (name.to_owned(), Vec::new())).into();
        let account = Account { now: super::start(), is_away: false, queues, calls: BTreeSet::new() };
        let state = Arc::new(Mutex::new(account));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(call).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    /// For the variable `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The URL of a queue.
    #[must_use]
    pub fn url(&self, queue: &str) -> String {
        format!("{}/123456789012/{queue}", self.address)
    }

    /// AWS as this machine reaches it.
    pub async fn aws(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "example", None, None, "test");
        let loader = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(&self.address);
        let http = aws_smithy_http_client::Builder::new().build_http();
        loader.region(Region::new("eu-central-1")).credentials_provider(credentials).http_client(http).load().await
    }

    /// From now on every call fails, or none does.
    pub fn be_away(&self, is_away: bool) {
        self.lock().is_away = is_away;
    }

    /// Lets time go by.
    pub fn advance(&self, by: TimeDelta) {
        self.lock().now += by;
    }

    /// How many messages a queue has, those that are hidden included.
    #[must_use]
    pub fn count(&self, queue: &str) -> usize {
        self.lock().queues[queue].len()
    }

    /// The bodies of a queue's messages, and the reasons beside them.
    #[must_use]
    pub fn messages(&self, queue: &str) -> Vec<(String, Option<String>)> {
        let reason = |message: &Message| message.attributes["reason"]["StringValue"].as_str().map(String::from);
        self.lock().queues[queue].iter().map(|message| (message.body.clone(), reason(message))).collect()
    }

    /// Puts a message into a queue.
    pub fn put(&self, queue: &str, body: &str) {
        self.lock().send(queue, body.to_owned(), json!({}));
    }

    /// Puts a message with its reason among the dead letters.
    pub fn bury(&self, body: &str, reason: &str) {
        let attributes = json!({"reason": {"DataType": "String", "StringValue": reason}});
        self.lock().send(DEAD, body.to_owned(), attributes);
    }

    /// What Lambda hands to the function: up to so many messages. None if none is visible.
    #[must_use]
    pub fn batch(&self, most: usize) -> Option<Value> {
        let received = self.lock().receive(SPOOL, most, HIDDEN);
        let record = |it: &Value| {
            json!({
                "messageId": it["MessageId"], "receiptHandle": it["ReceiptHandle"], "body": it["Body"],
                "attributes": it["Attributes"], "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs",
                "eventSourceARN": format!("arn:aws:sqs:eu-central-1:123456789012:{SPOOL}"),
                "awsRegion": "eu-central-1",
            })
        };
        let records: Vec<_> = received.iter().map(record).collect();
        (!records.is_empty()).then(|| json!({"Records": records}))
    }

    /// Deletes what the function answered as done, as Lambda does.
    ///
    /// # Panics
    /// When the function names a message that wasn't in the batch.
    pub fn settle(&self, batch: &Value, answer: &Value) {
        let failed = answer["batchItemFailures"].as_array().expect("a list of failures").iter();
        let failed: BTreeSet<_> = failed.map(|it| it["itemIdentifier"].as_str().expect("an id").to_owned()).collect();
        let records = batch["Records"].as_array().expect("records").iter();
        let ids: BTreeSet<_> = records.map(|it| it["messageId"].as_str().expect("an id").to_owned()).collect();
        assert!(failed.is_subset(&ids), "Lambda takes an unknown id for a failure of the whole batch");
        self.lock().queue(SPOOL).retain(|message| !ids.contains(&message.id) || failed.contains(&message.id));
    }

    /// The actions that were called with this access key.
    #[must_use]
    pub fn calls_of(&self, key: &str) -> Vec<String> {
        let calls = self.lock().calls.clone();
        calls.into_iter().filter(|(caller, _)| caller == key).map(|(_, action)| action).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn queue(&mut self, name: &str) -> &mut Vec<Message> {
        self.queues.get_mut(name).expect("a queue")
    }

    fn send(&mut self, queue: &str, body: String, attributes: Value) -> String {
        let (id, now) = (Uuid::new_v4().to_string(), self.now);
        let message = Message {
            id: id.clone(),
            body,
            attributes,
            sent_at: now,
            visible_at: now,
            receives: 0,
            receipt: id.clone(),
        };
        self.queue(queue).push(message);
        id
    }

    fn receive(&mut self, queue: &str, most: usize, hidden: i64) -> Vec<Value> {
        let now = self.now;
        if queue == SPOOL {
            let (given_up, others) = std::mem::take(self.queue(SPOOL))
                .into_iter()
                .partition(|message: &Message| message.visible_at <= now && message.receives >= MOST_RECEIVES);
            *self.queue(SPOOL) = others;
            let given_up: Vec<Message> = given_up;
            self.queue(DEAD).extend(given_up);
        }
        let visible = self.queue(queue).iter_mut().filter(|message| message.visible_at <= now).take(most);
        let received = visible.map(|message| {
            message.receives += 1;
            message.visible_at = now + TimeDelta::seconds(hidden);
            message.receipt = Uuid::new_v4().to_string();
            json!({
                "MessageId": message.id, "ReceiptHandle": message.receipt, "Body": message.body,
                "MessageAttributes": message.attributes,
                "Attributes": {
                    "ApproximateReceiveCount": message.receives.to_string(),
                    "SentTimestamp": message.sent_at.timestamp_millis().to_string(),
                },
            })
        });
        received.collect()
    }

    fn change_visibility(&mut self, queue: &str, request: &Value) {
        let until = self.now + TimeDelta::seconds(request["VisibilityTimeout"].as_i64().expect("seconds"));
        let receipt = &request["ReceiptHandle"];
        for message in self.queue(queue).iter_mut().filter(|message| *receipt == message.receipt) {
            message.visible_at = until;
        }
    }

    /// What SQS answers to this action.
    fn answer(&mut self, action: &str, request: &Value) -> Result<Value, &'static str> {
        let queue = request["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned();
        if !self.queues.contains_key(&queue) {
            return Err("QueueDoesNotExist");
        }
        match action {
            "SendMessage" => {
                let body = request["MessageBody"].as_str().unwrap_or_default();
                let attributes = request.get("MessageAttributes").cloned().unwrap_or_default();
                let is_allowed =
                    |c| !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}'..='\u{ffff}');
                let is_empty = |it: &Value| it["StringValue"].as_str().is_none_or(str::is_empty);
                if body.is_empty() || attributes.as_object().is_some_and(|all| all.values().any(is_empty)) {
                    return Err("InvalidParameterValue");
                }
                if !body.chars().all(is_allowed) {
                    return Err("InvalidMessageContents");
                }
                if body.len() + attributes.to_string().len() > LARGEST {
                    return Err("InvalidParameterValue");
                }
                let id = self.send(&queue, body.to_owned(), attributes);
                Ok(json!({"MessageId": id, "MD5OfMessageBody": ""}))
            }
            "ReceiveMessage" => {
                let most = request["MaxNumberOfMessages"].as_u64().unwrap_or(1).min(10);
                let hidden = request["VisibilityTimeout"].as_i64().unwrap_or(HIDDEN);
                let received = self.receive(&queue, usize::try_from(most).expect("ten at most"), hidden);
                Ok(if received.is_empty() { json!({}) } else { json!({"Messages": received}) })
            }
            "DeleteMessageBatch" => {
                let entries = request["Entries"].as_array().ok_or("EmptyBatchRequest")?;
                if entries.is_empty() || entries.len() > 10 {
                    return Err("TooManyEntriesInBatchRequest");
                }
                let is_named = |message: &Message| entries.iter().any(|it| it["ReceiptHandle"] == *message.receipt);
                self.queue(&queue).retain(|message| !is_named(message));
                let done: Vec<_> = entries.iter().map(|entry| json!({"Id": entry["Id"]})).collect();
                Ok(json!({"Successful": done, "Failed": []}))
            }
            "ChangeMessageVisibilityBatch" => {
                let entries = request["Entries"].as_array().ok_or("EmptyBatchRequest")?;
                if entries.is_empty() || entries.len() > 10 {
                    return Err("TooManyEntriesInBatchRequest");
                }
                for entry in entries {
                    self.change_visibility(&queue, entry);
                }
                let done: Vec<_> = entries.iter().map(|entry| json!({"Id": entry["Id"]})).collect();
                Ok(json!({"Successful": done, "Failed": []}))
            }
            "GetQueueAttributes" => {
                let now = self.now;
                let visible = self.queue(&queue).iter().filter(|message| message.visible_at <= now).count();
                let hidden = self.queue(&queue).len() - visible;
                let mut attributes = Map::new();
                attributes.insert("ApproximateNumberOfMessages".into(), visible.to_string().into());
                attributes.insert("ApproximateNumberOfMessagesNotVisible".into(), hidden.to_string().into());
                Ok(json!({"Attributes": attributes}))
            }
            _ => Err("InvalidAction"),
        }
    }
}

async fn call(State(state): State<Arc<Mutex<Account>>>, headers: HeaderMap, body: String) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signature = text("authorization");
    let key = signature.strip_prefix("AWS4-HMAC-SHA256 Credential=").and_then(|rest| rest.split('/').next());
    let action = text("x-amz-target").strip_prefix("AmazonSQS.").unwrap_or_default();
    let mut account = state.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(key) = key {
        account.calls.insert((key.to_owned(), action.to_owned()));
    }
    let request: Value = serde_json::from_str(&body).unwrap_or_default();
    let answered = if account.is_away {
        Err((StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"))
    } else if key.is_none() {
        Err((StatusCode::FORBIDDEN, "AccessDenied"))
    } else {
        account.answer(action, &request).map_err(|code| (StatusCode::BAD_REQUEST, code))
    };
    let (status, document) = match answered {
        Ok(document) => (StatusCode::OK, document),
        Err((status, code)) => {
            (status, json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "of the stand-in"}))
        }
    };
    (status, [("content-type", "application/x-amz-json-1.0")], document.to_string()).into_response()
}
