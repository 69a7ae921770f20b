//! `make demo`: the whole story against a running `make dev`, one step after the other, in plain words.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::identity::Email;
use uuid::Uuid;

use crate::settings;

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs it. Ends with an error if a step has another result than announced.
///
/// # Errors
/// Which step failed, and its result.
pub async fn play(port: u16) -> anyhow::Result<()> {
    let stage = Stage::new(port)?;
    stage
        .call(Method::GET, "/dev/rows", None, &[])
        .await
        .with_context(|| format!("Nothing answers at {}. Start `make dev` in another terminal first", stage.base))?;
    let run = Uuid::new_v4().simple().to_string()[..8].to_owned();
    let (gclid, email, deal) = (format!("Demo-{run}"), format!("Jane.Doe+{run}@Example.com"), format!("D-{run}"));

    step(1, "Jane clicks an ad for Munich and lands on the website. Its tag reports the visit.");
    let url = format!("https://www.example.com/lp?gclid={gclid}&utm_source=google&utm_campaign=munich");
    let consent = json!({"ad_user_data": "granted", "ad_personalization": "granted"});
    let visit = stage.post("/api/track/visit", &json!({"url": url, "consent": consent}), &[]).await?;
    visit.expect(StatusCode::OK)?;
    ensure!(visit.cookies.len() == 2, "expected two cookies, got {}", visit.cookies.len());
    let cookies = visit.cookies.join("; ");
    explain(&visit, "Two HttpOnly cookies are set: who she is, and the click she came by.");
    let visitor = stage.row("visitors", "gclid", &json!(gclid)).await?;
    stored("visitors", &visitor, &["visitor_id", "gclid", "utm_source", "utm_campaign", "click_at"]);

    step(2, "She fills in the form. Her cookies come along.");
    let form = json!({
        "email": email, "name": "Jane Doe", "transaction_id": format!("lead-{run}"),
        "consent": {"marketing": true, "data_processing": true, "ad_user_data": "granted", "ad_personalization": "granted"},
    });
    let lead = stage.post("/api/leads", &form, &[("cookie", &cookies)]).await?;
    lead.expect(StatusCode::CREATED)?;
    explain(&lead, "Her address is hashed twice, the plain way and Google's, which differ for Gmail.");
    let row = stage.row("leads", "id", &lead.body["lead_id"]).await?;
    stored("leads", &row, &["id", "gclid", "email_hash", "email_hash_google", "ad_user_data", "conversion_status"]);

    step(3, "Sales wins the deal. The CRM calls the webhook, signed.");
    let won_at = Clock::system().now();
    let report = json!({
        "crm_deal_id": deal, "conversion_type": "closed", "email": email, "value": 6000, "currency": "EUR",
        "occurred_at": won_at.to_rfc3339(),
    });
    let path = "/api/webhooks/crm-conversion";
    let url = format!("{}{path}", stage.base);
    let signed = settings::sign("crm-conversion", &url, report.to_string().as_bytes(), won_at);
    let headers: Vec<_> = signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let queued = stage.post(path, &report, &headers).await?;
    queued.expect(StatusCode::OK)?;
    ensure!(queued.body["status"] == "queued", "the deal wasn't queued: {}", queued.body);
    explain(&queued, "The deal found its lead, became a conversion and went into the queue, in one transaction.");
    let conversion_id = queued.body["conversion_id"].clone();
    let conversion = stage.row("conversions", "id", &conversion_id).await?;
    stored("conversions", &conversion, &["transaction_id", "gclid", "value", "currency", "occurred_at", "matched_by"]);

    step(4, "The schedule runs the uploader.");
    let row = stage.queue_row(&conversion_id, |row| row["status"] == "uploaded").await?;
    stored("conversion_queue", &row, &["platform", "status", "request_id", "uploaded_at", "retry_count"]);
    let received = stage.call(Method::GET, "/sandbox/google/events", None, &[]).await?.body;
    let mut ours =
        received.as_array().into_iter().flatten().filter(|it| it["transactionId"] == conversion["transaction_id"]);
    let (event, more) = (ours.next().context("the sandbox Google got nothing")?, ours.count());
    ensure!(more == 0, "the sandbox Google has the conversion {} times", more + 1);
    println!("   Google (the sandbox) got exactly this:");
    println!("{}", indented(&serde_json::to_string_pretty(&event["event"])?));
    let hash = Email::parse(&email).map_err(anyhow::Error::msg)?.google_hash().context("no hash for Google")?;
    let user = &event["event"]["userData"]["userIdentifiers"][0]["emailAddress"];
    ensure!(event["event"]["adIdentifiers"]["gclid"] == gclid, "the click id isn't the one she came by");
    ensure!(*user == hash.as_str(), "the e-mail hash isn't Google's");

    step(5, "A 200 from Google is a receipt, not a result. The uploader asks for the verdict.");
    let row = stage.queue_row(&conversion_id, |row| !row["confirmed_at"].is_null()).await?;
    stored("conversion_queue", &row, &["status", "uploaded_at", "confirmed_at"]);

    step(6, "Health and metrics say the same.");
    let key = format!("Bearer {}", settings::HEALTH_KEY);
    let health = stage.call(Method::GET, "/api/health/tracking", None, &[("authorization", &key)]).await?;
    health.expect(StatusCode::OK)?;
    println!("   health   {}", health.body);
    let metrics = &stage.call(Method::GET, "/dev/rows", None, &[]).await?.body["conversion_metrics"];
    println!("   metrics  {metrics}");
    println!("\nDone: one click, one deal, one conversion, accepted and confirmed.");
    Ok(())
}

fn step(number: u8, text: &str) {
    println!("\n{number}. {text}");
}

fn explain(answer: &Answer, text: &str) {
    println!("   {} {}", answer.status.as_u16(), answer.body);
    println!("   {text}");
}

fn stored(table: &str, row: &Value, columns: &[&str]) {
    println!("   stored in {table}:");
    for column in columns {
        println!("     {column:<18} {}", row[*column].as_str().map_or_else(|| row[*column].to_string(), str::to_owned));
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("     {line}")).collect::<Vec<_>>().join("\n")
}

struct Stage {
    base: String,
    http: reqwest::Client,
}

struct Answer {
    status: StatusCode,
    cookies: Vec<String>,
    body: Value,
}

impl Answer {
    fn expect(&self, status: StatusCode) -> anyhow::Result<()> {
        ensure!(self.status == status, "expected {status}, got {}: {}", self.status, self.body);
        Ok(())
    }
}

impl Stage {
    fn new(port: u16) -> anyhow::Result<Self> {
        let http = shared::outgoing::http_client().map_err(anyhow::Error::msg)?;
        Ok(Self { base: format!("http://127.0.0.1:{port}"), http })
    }

    async fn post(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
        println!("   POST {path} {body}");
        self.call(Method::POST, path, Some(body), headers).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        let status = response.status();
        let cookies = response
            .headers()
            .get_all("set-cookie")
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next().map(str::to_owned))
            .collect();
        let text = response.text().await?;
        Ok(Answer { status, cookies, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    async fn row(&self, table: &str, key: &str, value: &Value) -> anyhow::Result<Value> {
        let rows = self.call(Method::GET, "/dev/rows", None, &[]).await?.body;
        let found = rows[table].as_array().into_iter().flatten().find(|row| row[key] == *value).cloned();
        found.with_context(|| format!("{table} has no row whose {key} is {value}"))
    }

    /// Runs the uploader until the queue row of this conversion is as wanted.
    async fn queue_row(&self, conversion_id: &Value, is_done: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let started = Instant::now();
        loop {
            let tick = self.call(Method::POST, "/dev/tick", None, &[]).await?;
            tick.expect(StatusCode::OK)?;
            let row = self.row("conversion_queue", "conversion_id", conversion_id).await?;
            if is_done(&row) {
                return Ok(row);
            }
            if started.elapsed() > PATIENCE {
                bail!("after {} s the queue row still is {row}", PATIENCE.as_secs());
            }
            // The schedule's run may have claimed the row.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
