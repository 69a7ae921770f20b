//! The calls that are measured: one person's way from the first visit to a deal. Each can be made over HTTP and handed
//! to a function as the event API Gateway makes of it.

use std::collections::BTreeMap;

use anyhow::ensure;
use lambda_http::http::{Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::http::{Endpoint, cookies};
use shared::settings::Values;
use uuid::Uuid;

use crate::lambda_runtime::http_event;
use crate::settings;

/// The website whose pages call.
const ORIGIN: &str = "https://www.example.com";

/// Of this run. The fixed ones of `make dev` are refused by the functions' binaries.
pub struct Secrets {
    ip_hash_key: SecretString,
    webhook: SecretString,
    health_key: SecretString,
}

impl Secrets {
    /// Random ones.
    pub fn new() -> Self {
        let secret = || SecretString::from(Uuid::new_v4().to_string());
        Self { ip_hash_key: secret(), webhook: secret(), health_key: secret() }
    }

    /// The settings that fit the calls.
    pub fn settings(&self, database_url: &str, google_url: &str) -> Values {
        let mut values = settings::values(database_url, google_url);
        values.extend([
            ("ALLOWED_ORIGINS".to_owned(), SecretString::from(ORIGIN)),
            ("IP_HASH_KEY".to_owned(), self.ip_hash_key.clone()),
            ("WEBHOOK_SECRET".to_owned(), self.webhook.clone()),
            ("HEALTH_KEY".to_owned(), self.health_key.clone()),
        ]);
        values
    }
}

/// A request, and the status it has to be answered with.
#[derive(Clone)]
pub struct Call {
    method: Method,
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
    status: StatusCode,
}

impl Call {
    fn new(endpoint: &Endpoint, status: StatusCode, body: &Value) -> Self {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = BTreeMap::from([(header::USER_AGENT.to_string(), "Mozilla/5.0 (bench)".to_owned())]);
        let path = endpoint.path.replace("{source}", "crm-conversion");
        let this = Self { method: endpoint.method.clone(), path, headers, body, status };
        if this.body.is_empty() { this } else { this.with(header::CONTENT_TYPE.as_str(), "application/json") }
    }

    fn with(mut self, header: &str, value: impl Into<String>) -> Self {
        self.headers.insert(header.into(), value.into());
        self
    }

    /// The same, when another answer is due.
    pub fn expecting(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// A deal report that nobody signed: refused, and counted.
    pub fn unsigned() -> Self {
        Self::new(&crm_conversion::ENDPOINT, StatusCode::UNAUTHORIZED, &json!({"crm_deal_id": "1"}))
    }

    /// A call of an endpoint with an empty body: refused without a query.
    pub fn empty(endpoint: &Endpoint) -> Self {
        Self::new(endpoint, StatusCode::BAD_REQUEST, &json!({}))
    }

    /// A request to the health endpoint.
    pub fn health(secrets: &Secrets) -> Self {
        let key = format!("Bearer {}", secrets.health_key.expose_secret());
        Self::new(&tracking_health::ENDPOINT, StatusCode::OK, &Value::Null).with(header::AUTHORIZATION.as_str(), key)
    }

    /// The tag, as a browser that has never seen it loads it.
    pub fn tag() -> Self {
        Self::new(&serve_tag::ENDPOINT, StatusCode::OK, &Value::Null).with("accept-encoding", "gzip, deflate, br, zstd")
    }

    /// As HTTP, to the server at `base`.
    pub fn over_http(&self, base: &str) -> anyhow::Result<reqwest::Request> {
        let mut request = reqwest::Request::new(self.method.clone(), format!("{base}{}", self.path).parse()?);
        for (name, value) in &self.headers {
            request.headers_mut().insert(header::HeaderName::try_from(name)?, value.parse()?);
        }
        *request.body_mut() = Some(self.body.clone().into());
        Ok(request)
    }

    /// As API Gateway's event of an HTTP API.
    pub fn event(&self) -> Value {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        http_event(self.method.as_str(), &self.path, &headers, &self.body)
    }

    /// # Errors
    /// If the status isn't the expected one: something else would be measured.
    pub fn check(&self, status: Option<u64>, body: &str) -> anyhow::Result<()> {
        let Self { method, path, status: expected, .. } = self;
        ensure!(
            status == Some(u64::from(expected.as_u16())),
            "{method} {path} should be answered with {expected}, but came back with {status:?}: {body}"
        );
        Ok(())
    }
}

/// Somebody who clicks an ad, looks around, fills in the form and becomes a deal.
pub struct Person {
    id: Uuid,
}

impl Person {
    /// Somebody new.
    pub fn new() -> Self {
        Self { id: Uuid::new_v4() }
    }

    /// Two of them.
    pub fn two() -> [Self; 2] {
        [Self::new(), Self::new()]
    }

    /// What their cookie says.
    pub fn visitor_id(&self) -> String {
        self.id.to_string()
    }

    /// They land on the website.
    pub fn visit(&self) -> Call {
        let id = self.id.simple();
        let url =
            format!("{ORIGIN}/lp?gclid=Bench-{id}&gad_source=1&utm_source=google&utm_medium=cpc&utm_campaign=munich");
        let consent = json!({"ad_user_data": "granted", "ad_personalization": "granted"});
        let body = json!({"url": url, "referrer": "https://www.google.com/", "consent": consent});
        self.in_their_browser(Call::new(&track_visit::ENDPOINT, StatusCode::OK, &body))
    }

    pub fn event(&self) -> Call {
        let params = json!({"form_id": "contact", "value": 12.5, "currency": "EUR"});
        let page = format!("{ORIGIN}/contact");
        let body = json!({"event_name": "form_start", "event_id": self.id, "params": params, "page_url": page});
        self.in_their_browser(Call::new(&track_event::ENDPOINT, StatusCode::ACCEPTED, &body))
    }

    /// They change their answer to the banner.
    pub fn consent(&self, answer: &str) -> Call {
        let body = json!({"ad_user_data": answer, "ad_personalization": answer});
        self.in_their_browser(Call::new(&record_consent::ENDPOINT, StatusCode::OK, &body))
    }

    /// They fill in the form.
    pub fn lead(&self) -> Call {
        let body = json!({
            "email": self.email(), "phone": self.phone(), "name": "Jane Doe", "message": "Please call me back.",
            "transaction_id": format!("lead-{}", self.id),
            "consent": {"marketing": true, "data_processing": true, "ad_user_data": "granted"},
        });
        self.in_their_browser(Call::new(&create_lead::ENDPOINT, StatusCode::CREATED, &body))
    }

    /// The CRM reports that they bought.
    pub fn deal(&self, secrets: &Secrets) -> Call {
        let body = json!({
            "crm_deal_id": self.id, "conversion_type": "closed", "email": self.email(),
            "value": 6000, "currency": "EUR",
        });
        let call = Call::new(&crm_conversion::ENDPOINT, StatusCode::OK, &body);
        let token = format!("Bearer {}", secrets.webhook.expose_secret());
        call.with(header::AUTHORIZATION.as_str(), token)
    }

    fn email(&self) -> String {
        format!("jane.{}@example.com", self.id.simple())
    }

    /// Everybody has their own, or all these leads would be one person's and wait for each other.
    fn phone(&self) -> String {
        format!("+49 30 {:010}", self.id.as_u128() % 10_000_000_000)
    }

    fn in_their_browser(&self, call: Call) -> Call {
        let cookie = format!("{}={}", cookies::VISITOR, self.visitor_id());
        call.with(header::ORIGIN.as_str(), ORIGIN).with(header::COOKIE.as_str(), cookie)
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::request::{self, LambdaRequest};
    use lambda_http::{Request, RequestExt};

    use super::*;

    #[test]
    fn the_event_arrives_as_the_request_it_stands_for() {
        let person = Person::new();
        let event: LambdaRequest = serde_json::from_value(person.visit().event()).unwrap();
        let request: Request = event.into();
        assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/api/track/visit"));
        assert_eq!(cookies::visitor(&request).unwrap().to_string(), person.id.to_string());
        assert_eq!(request.headers()[header::ORIGIN], ORIGIN);
        let Some(request::RequestContext::ApiGatewayV2(context)) = request.request_context_ref() else { panic!() };
        assert_eq!(context.http.source_ip.as_deref(), Some("192.0.2.1"));
        assert!(std::str::from_utf8(request.body()).unwrap().contains("gclid=Bench-"));
    }
}
