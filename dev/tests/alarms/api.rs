//! Webhooks that API Gateway passes on to the real `crm-conversion`, and what it measures of them.

use dev::lambda_runtime::{LambdaRuntime, http_event};
use serde_json::Value;

use crate::deployment::{Deployment, Ended, invoke, start};
use crate::document::Template;

const PATH: &str = "/api/webhooks/crm-conversion";

impl Deployment {
    /// Webhooks with this secret, one after the other; answers their statuses.
    pub async fn webhooks(&mut self, secret: &str, bodies: &[Value]) -> Vec<u64> {
        self.webhooks_to(secret, bodies, false).await
    }

    /// A webhook to a function that hangs.
    pub async fn webhook_to_stopped(&mut self, secret: &str, body: Value) -> u64 {
        self.webhooks_to(secret, &[body], true).await[0]
    }

    async fn webhooks_to(&mut self, secret: &str, bodies: &[Value], is_stopped: bool) -> Vec<u64> {
        let runtime = LambdaRuntime::start().await.unwrap();
        let function = start(&runtime, "crm-conversion", "adtrail-CrmConversion-1A2B3C", &self.values);
        let mut statuses = Vec::new();
        for body in bodies {
            let (ended, took) = invoke(&runtime, &function, event(secret, body), is_stopped).await;
            let timeout = Template::read().value["Globals"]["Function"]["Timeout"].as_f64().unwrap();
            let (status, ms) = match ended {
                Ended::With(answer) => (answer["statusCode"].as_u64().unwrap(), took.as_secs_f64() * 1e3),
                // What API Gateway answers then.
                Ended::Failed => (500, took.as_secs_f64() * 1e3),
                Ended::ByTimeout => (503, timeout * 1e3),
            };
            self.measure("AWS/ApiGateway", "5xx", "ApiId", "Api", f64::from(u8::from(status >= 500)));
            self.measure("AWS/ApiGateway", "IntegrationLatency", "ApiId", "Api", ms);
            statuses.push(status);
        }
        statuses
    }
}

fn event(secret: &str, body: &Value) -> Value {
    let headers = [("authorization", &*format!("Bearer {secret}")), ("content-type", "application/json")];
    http_event("POST", PATH, &headers, &body.to_string())
}
