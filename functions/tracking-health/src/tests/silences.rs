//! A month in which nothing is wrong, and each thing that can stop arriving without an error anywhere.

use shared::inbox::ignored;
use testing::start;

use super::*;

const SOURCES: &str = r#"
[pipes]
[[pipes.auth]]
header = { name = "x-secret", secret = "WEBHOOK_SECRET" }
[pipes.fields]
deal_id = "/id"
stage = "/stage"
email = "/email"
[[pipes.rules]]
when = { stage = "Won" }
conversion = "closed"

[small]
preset = "crm-conversion"
"#;

/// Two runs of the uploader.
const TWO_TICKS: TimeDelta = TimeDelta::minutes(30);

struct Site {
    app: App<Config>,
    pool: PgPool,
}

impl Site {
    /// Six weeks before the start, and six after it, in which nothing is wrong.
    async fn healthy(pool: PgPool) -> Self {
        let site = Self { app: app_with(&pool, &[("CRM_SOURCES", SOURCES)]), pool };
        // None at weekends, and a source that has one a week, not always on the same day.
        site.deals("pipes", "at::date", "extract(isodow from at) < 6 and hour % 3 = 0").await;
        site.deals("small", "at::date", "extract(isodow from at) = 2 + (extract(week from at)::int % 3) and hour = 9")
            .await;
        site.visits("case when n % 10 = 0 then null else 'Click' || n end", "'1'", "hour % 2 = 0").await;
        site.visits("null", "null", "true").await;
        site.execute(
            "insert into public.lead_refusals (source, reason, hour, refusals, last_at)
             select '', 'email', at, 1, at from hours where hour in (3, 14)",
        )
        .await;
        // A stage that was always ignored.
        site.execute(
            "insert into public.ignored_values (source, day, value, events, first_at, last_at)
             select 'pipes', at::date, 'stage = Lost', 9, at, at from hours where hour = 9",
        )
        .await;
        site
    }

    /// Runs a statement that may read the hours from six weeks before the start to six weeks after it, as `at`, with
    /// the hour of the day and a number.
    async fn execute(&self, statement: &str) {
        let hours = "with hours as (
                select at, extract(hour from at)::int as hour, row_number() over (order by at) as n
                from generate_series(
                    timestamptz 'START' - interval '42 days', timestamptz 'START' + interval '42 days',
                    interval '1 hour'
                ) as at
            )";
        let hours = hours.replace("START", &start().to_rfc3339());
        execute(&self.pool, &format!("set time zone 'UTC'; {hours} {statement}")).await;
    }

    /// Stores deals of these hours, each with its form. Every fifth waits for a lead.
    async fn deals(&self, source: &str, day: &str, condition: &str) {
        self.execute(&format!(
            ", planned as (
                select
                    at, n, gen_random_uuid() as lead, gen_random_uuid() as conversion, {day} as day, n % 5 = 0 as waits
                from hours
                where {condition}
            ),
            lead as (
                insert into public.leads (id, email_hash, created_at)
                select lead, md5(n::text) || md5(n::text), at - interval '2 hours' from planned
            ),
            won as (
                insert into public.conversions
                    (id, lead_id, conversion_type, occurred_at, transaction_id, crm_deal_id, idempotency_key)
                select conversion, lead, 'closed', at, '{source}-' || n, '{source}-' || n, '{source}-' || n || ':closed'
                from planned
                where not waits
            )
            insert into public.inbox
                (source, crm_deal_id, conversion_type, occurred_at, email_hash, payload_hash, state, conversion_id,
                 received_at, matched_at, matched_by)
            select
                '{source}', '{source}-' || n, 'closed', at, md5(n::text) || md5(n::text), 'x',
                case when waits then 'awaiting_lead' else 'matched' end, case when not waits then conversion end, at,
                case when not waits then at end, case when not waits then 'email' end
            from planned"
        ))
        .await;
    }

    /// Stores first visits with this click id and `gad_source`.
    async fn visits(&self, gclid: &str, gad_source: &str, condition: &str) {
        self.execute(&format!(
            "insert into public.visitors (visitor_id, gclid, click_at, gad_source, first_seen_at, last_seen_at)
            select gen_random_uuid(), {gclid}, case when {gclid} is not null then at end, {gad_source}, at, at
            from hours
            where {condition}"
        ))
        .await;
    }

    async fn after(&self, time: TimeDelta) -> Answer {
        self.app.clock.advance(time);
        check(&self.app).await
    }

    /// Something is wrong from now on: it is told within two ticks of `after`, and not before.
    async fn assert_told(&self, code: &str, after: TimeDelta) -> String {
        if after > TimeDelta::zero() {
            let early = self.after(after - TWO_TICKS).await;
            assert_eq!(early.body["silences"], json!([]), "too early");
            self.app.clock.advance(TWO_TICKS);
        }
        let told = self.after(TWO_TICKS).await;
        assert_eq!(told.body["status"], "degraded", "{}", told.body);
        let silences = told.body["silences"].as_array().unwrap();
        assert!(silences.len() == 1 && silences[0]["code"] == code, "{silences:?}");
        silences[0]["message"].as_str().unwrap().to_owned()
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_healthy_month_has_none(pool: PgPool) {
    let site = Site::healthy(pool).await;
    for _ in 0..120 {
        let answer = site.after(TimeDelta::hours(6)).await;
        let at = site.app.clock.now();
        assert_eq!((&answer.body["status"], &answer.body["silences"]), (&json!("healthy"), &json!([])), "{at}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_source_that_is_turned_off_is_told(pool: PgPool) {
    let site = Site::healthy(pool).await;
    // The last deal is of this Friday. After weekends of two days it may take half as long again.
    site.execute(
        "delete from public.inbox where source = 'pipes' and received_at > (select at from hours where n = 1009)",
    )
    .await;
    let message = site.assert_told("source_is_silent", TimeDelta::days(3)).await;
    assert!(message.contains("pipes") && message.contains("webhook or automation is still on"), "{message}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_stage_that_was_renamed_is_named(pool: PgPool) {
    let site = Site::healthy(pool).await;
    site.execute(
        "delete from public.inbox where source = 'pipes' and received_at > (select at from hours where n = 1009)",
    )
    .await;
    site.app.clock.advance(TimeDelta::hours(20));
    let now = site.app.clock.now();
    let reasons =
        ["no rule matches: stage = Won\u{200b}- signed", "no rule matches: stage = Lost", "rule 2 ignores it"];
    let counted: Result<_, DbError> =
        site.app.db.tx(async |tx| ignored::count(tx, "pipes", reasons.into_iter(), now).await).await;
    counted.unwrap();
    let message = site.assert_told("source_is_silent", TimeDelta::hours(52)).await;
    assert!(message.contains("no rule knew: stage = Won<U+200B>- signed. If"), "{message}");

    let health = check(&site.app).await.body;
    let of_pipes = &health["inbox"]["ignored_values"];
    let since = json!(now);
    assert!(
        of_pipes
            .as_array()
            .unwrap()
            .iter()
            .any(|it| { it["value"] == "stage = Won<U+200B>- signed" && it["events"] == 1 && it["since"] == since }),
        "{of_pipes}"
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn forms_that_are_refused_are_told(pool: PgPool) {
    let site = Site::healthy(pool).await;
    site.execute(
        "insert into public.lead_refusals (source, reason, hour, refusals, last_at)
         select '', 'no_identity', at, 12, at from hours where n = 1009",
    )
    .await;
    let message = site.assert_told("forms_are_refused", TimeDelta::zero()).await;
    assert!(message.contains("14 were refused") && message.contains("no_identity"), "{message}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn click_ids_that_are_lost_are_told_by_each_sign_of_a_paid_visit(pool: PgPool) {
    let site = Site::healthy(pool).await;
    for columns in [
        "gad_source = '1'",
        "gad_campaignid = '21'",
        "utm_source = 'Google', utm_medium = 'CPC'",
        "referrer = 'https://www.google.com/aclk'",
        "referrer = 'https://www.google.co.uk/aclk?sa=l'",
        "referrer = 'https://googleads.g.doubleclick.net/pagead/'",
        "referrer = 'https://www.googleadservices.com/'",
        "referrer = 'https://syndicatedsearch.goog/'",
    ] {
        site.execute("delete from public.visitors where gclid is null and gad_source is null").await;
        site.visits("null", "null", "n between 998 and 1009").await;
        site.visits("null", "null", "n between 1000 and 1009").await;
        let paid = format!(
            "update public.visitors set {columns}
             where gclid is null and gad_source is null and first_seen_at > '2026-11-20T00:00:00Z'"
        );
        execute(&site.pool, &paid).await;
        let message = site.assert_told("click_ids_are_lost", TimeDelta::zero()).await;
        assert!(message.contains("without a click id") && message.contains("auto-tagging"), "{columns}: {message}");
        site.app.clock.advance(-TWO_TICKS);
    }
    // What came from a search without an ad is no paid visit.
    for columns in ["referrer = 'https://www.google.com/'", "utm_source = 'google', utm_medium = 'organic'"] {
        site.execute("delete from public.visitors where gclid is null").await;
        site.visits("null", "null", "true").await;
        execute(&site.pool, &format!("update public.visitors set {columns} where gclid is null")).await;
        assert_eq!(site.after(TimeDelta::zero()).await.body["silences"], json!([]), "{columns}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn deals_that_find_no_lead_are_told(pool: PgPool) {
    let site = Site::healthy(pool).await;
    let lost = "update public.inbox
        set state = 'awaiting_lead', conversion_id = null, matched_at = null, matched_by = null
        where source = 'pipes' and received_at > '2026-11-18T00:00:00Z' and received_at < '2026-11-20T23:00:00Z'";
    execute(&site.pool, lost).await;
    let message = site.assert_told("deals_find_no_lead", TimeDelta::zero()).await;
    assert!(message.contains("find no lead") && message.contains("four weeks before"), "{message}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_an_event_brings_that_no_rule_knows_is_counted_within_bounds(pool: PgPool) {
    let site = Site { app: app_with(&pool, &[("CRM_SOURCES", SOURCES)]), pool };
    let count = async |reasons: Vec<String>| {
        let now = site.app.clock.now();
        let reasons = reasons.iter().map(String::as_str);
        let counted: Result<_, DbError> =
            site.app.db.tx(async |tx| ignored::count(tx, "pipes", reasons, now).await).await;
        counted.unwrap();
    };
    for n in 0..80 {
        count(vec![format!("no rule matches: stage = {n}{}", "x".repeat(n * 3)); 2]).await;
    }
    count(vec!["rule 1 ignores it: stage = Lost".into(), "/type is other".into()]).await;
    count((0..300).map(|_| "no rule matches: stage = won".to_owned()).collect()).await;
    let inbox = check(&site.app).await.body["inbox"].clone();
    assert_eq!(inbox["ignored"], 460);
    let listed = inbox["ignored_values"].as_array().unwrap();
    assert_eq!(listed.len(), 10);
    assert_eq!((&listed[0]["value"], &listed[0]["events"]), (&json!(""), &json!(360)), "beyond fifty, all in one");
    let kept = row(&site.pool, "select count(*) as n, max(length(value)) as longest from public.ignored_values").await;
    assert_eq!(kept, json!({"n": 51, "longest": 121}));
    let later = site.after(TimeDelta::days(8)).await.body["inbox"].clone();
    assert_eq!((&later["ignored"], &later["ignored_values"]), (&json!(0), &json!([])));
}
