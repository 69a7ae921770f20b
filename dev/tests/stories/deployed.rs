//! AWS as a deployment of Adtrail looks there: its secret, its stack and the subscriptions to its alarms.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::net::TcpListener;
use url::form_urlencoded;

pub const SECRET_ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:adtrail-Ab12Cd";
pub const TOPIC_ARN: &str = "arn:aws:sns:eu-central-1:123456789012:adtrail-Alarms-1";
pub const CONFIRMED: &str = "arn:aws:sns:eu-central-1:123456789012:adtrail-Alarms-1:0b0f7a34";

/// What is deployed.
#[derive(Clone, Default)]
pub struct Deployed {
    pub secret: BTreeMap<String, String>,
    pub status: String,
    pub parameters: BTreeMap<String, String>,
    pub outputs: BTreeMap<String, String>,
    /// The subscriptions to the topic: protocol and ARN.
    pub subscriptions: Vec<(&'static str, String)>,
    /// The code with which this action is refused.
    pub refused: Option<(&'static str, &'static str)>,
}

/// A stand-in for the services, at `address`.
pub struct Aws {
    pub address: String,
    pub deployed: Arc<Mutex<Deployed>>,
}

impl Aws {
    /// Leads a program here, with credentials that are good.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.address.clone()),
            ("AWS_REGION", "eu-central-1".into()),
            ("AWS_ACCESS_KEY_ID", "example".into()),
            ("AWS_SECRET_ACCESS_KEY", "example".into()),
        ]
    }

    pub async fn start() -> Self {
        let deployed = Arc::<Mutex<Deployed>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let now = Arc::clone(&deployed);
        let answer = async move |headers: HeaderMap, body: String| {
            let deployed = now.lock().unwrap().clone();
            answer(&deployed, &headers, &body)
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Self { address, deployed }
    }
}

fn answer(deployed: &Deployed, headers: &HeaderMap, body: &str) -> Response {
    assert!(headers["authorization"].to_str().unwrap().starts_with("AWS4-HMAC-SHA256 "));
    if let Some(target) = headers.get("x-amz-target") {
        assert_eq!(target, "secretsmanager.GetSecretValue");
        return match deployed.refused {
            Some(("GetSecretValue", code)) => {
                let document = json!({"__type": code, "message": "refused"}).to_string();
                (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/x-amz-json-1.1")], document)
                    .into_response()
            }
            _ => axum::Json(json!({"Name": "adtrail", "SecretString": json!(deployed.secret).to_string()}))
                .into_response(),
        };
    }
    let form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let action = form["Action"].as_str();
    if let Some((_, code)) = deployed.refused.filter(|(refused, _)| *refused == action) {
        let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>refused</Message></Error>");
        return xml(
            StatusCode::BAD_REQUEST,
            &format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"),
        );
    }
    match action {
        "DescribeStacks" if form["StackName"] != "adtrail" => {
            let error = "<Error><Type>Sender</Type><Code>ValidationError</Code><Message>no</Message></Error>";
            xml(StatusCode::BAD_REQUEST, &format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"))
        }
        "DescribeStacks" => xml(StatusCode::OK, &stack(deployed)),
        "ListSubscriptionsByTopic" => {
            assert_eq!(form["TopicArn"], TOPIC_ARN);
            xml(StatusCode::OK, &subscriptions(deployed))
        }
        other => panic!("{other} is called"),
    }
}

fn xml(status: StatusCode, document: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/xml")], document.to_owned()).into_response()
}

fn stack(deployed: &Deployed) -> String {
    let members = |kind: &str, all: &BTreeMap<String, String>| {
        all.iter().fold(String::new(), |mut members, (key, value)| {
            let pair = format!("<{kind}Key>{key}</{kind}Key><{kind}Value>{value}</{kind}Value>");
            let _ = write!(members, "<member>{pair}</member>");
            members
        })
    };
    format!(
        "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><DescribeStacksResult>\
         <Stacks><member><StackName>adtrail</StackName><CreationTime>2026-11-01T00:00:00Z</CreationTime>\
         <StackStatus>{}</StackStatus><Parameters>{}</Parameters><Outputs>{}</Outputs></member></Stacks>\
         </DescribeStacksResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeStacksResponse>",
        deployed.status,
        members("Parameter", &deployed.parameters),
        members("Output", &deployed.outputs),
    )
}

fn subscriptions(deployed: &Deployed) -> String {
    let members = deployed.subscriptions.iter().fold(String::new(), |mut members, (protocol, arn)| {
        let rest = format!("<Protocol>{protocol}</Protocol><Endpoint>somebody</Endpoint>");
        let _ = write!(members, "<member><SubscriptionArn>{arn}</SubscriptionArn>{rest}</member>");
        members
    });
    format!(
        "<ListSubscriptionsByTopicResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
         <ListSubscriptionsByTopicResult><Subscriptions>{members}</Subscriptions></ListSubscriptionsByTopicResult>\
         <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></ListSubscriptionsByTopicResponse>"
    )
}
