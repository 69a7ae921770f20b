//! Clicks of several networks, and the columns that have Google's.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::attribution::{Clicks, networks};
use sqlx::PgPool;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use testing::{execute, lead, row, start, waiting_deal};
use uuid::Uuid;

type Statement<'a> = Query<'a, sqlx::Postgres, PgArguments>;

fn minute(nth: i64) -> DateTime<Utc> {
    start() + TimeDelta::minutes(nth)
}

fn at(nth: i64) -> Value {
    json!(minute(nth).format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

/// A visit, as the version before `clicks` stored it.
async fn visit_before(pool: &PgPool, visitor: &str, click: [Option<&str>; 5], nth: i64) {
    let mut visit: Statement<'_> = sqlx::query(include_str!("before/visitors_record.sql")).bind(visitor);
    for value in click {
        visit = visit.bind(value);
    }
    visit = visit.bind(click.iter().any(Option::is_some).then(|| minute(nth)));
    for _ in 0..7 {
        visit = visit.bind(None::<&str>);
    }
    visit = visit.bind("https://www.example.com/").bind(None::<&str>).bind("unknown").bind("unknown");
    visit = visit.bind(None::<DateTime<Utc>>).bind(minute(nth)).bind(visitor);
    visit.bind(&[""; 0][..]).bind(&[0; 0][..]).bind("visit").execute(pool).await.unwrap();
}

/// A lead, as the version before `clicks` stored it.
async fn lead_before(pool: &PgPool, visitor: &str, gclid: Option<&str>) -> Value {
    let mut form: Statement<'_> = sqlx::query(include_str!("before/leads_insert.sql")).bind(visitor);
    for hash in ["a", "jane@example.com", "b", "c"] {
        form = form.bind(if hash.len() == 1 { hash.repeat(64) } else { hash.into() });
    }
    for _ in 0..4 {
        form = form.bind(None::<&str>);
    }
    form = form.bind(None::<bool>).bind(None::<bool>).bind(None::<DateTime<Utc>>).bind("unknown").bind("unknown");
    form = form.bind(None::<&str>).bind(gclid).bind(None::<&str>).bind(None::<&str>).bind(gclid.map(|_| minute(8)));
    for _ in 0..6 {
        form = form.bind(None::<&str>);
    }
    form = form.bind(minute(9)).bind(visitor).bind(None::<DateTime<Utc>>);
    form.bind(&[""; 0][..]).bind(&[0; 0][..]).bind(10_f64).execute(pool).await.unwrap();
    row(pool, &format!("select * from public.leads where transaction_id = '{visitor}'")).await
}

#[sqlx::test(migrations = "../migrations")]
async fn the_version_before_stores_visits_and_erases_no_click(pool: PgPool) {
    let meta = json!({"fbclid": "two", "at": at(2)});
    execute(&pool, &format!(r#"insert into public.visitors (visitor_id, clicks) values ('v', '{{"meta": {meta}}}')"#))
        .await;
    let google =
        |gclid: &str, nth: i64| json!({"gclid": gclid, "gad_source": "1", "gad_campaignid": "77", "at": at(nth)});
    let one = [Some("one"), None, None, Some("1"), Some("77")];
    // The click of a visit, and Google's click after it.
    let steps = [
        ([None; 5], Value::Null),
        (one, google("one", 2)),
        (one, google("one", 2)),
        ([None; 5], google("one", 2)),
        ([Some("two"), None, None, Some("1"), Some("77")], google("two", 5)),
        ([None, Some("three"), None, None, None], json!({"gbraid": "three", "at": at(6)})),
    ];
    for (nth, (click, expected)) in (1..).zip(steps) {
        visit_before(&pool, "v", click, nth).await;
        let stored = row(&pool, "select clicks from public.visitors").await["clicks"].clone();
        assert_eq!((&stored["google"], &stored["meta"]), (&expected, &meta), "{nth}");
    }
    visit_before(&pool, "w", one, 7).await;
    let stored = row(&pool, "select clicks from public.visitors where visitor_id = 'w'").await;
    assert_eq!(stored["clicks"], json!({"google": google("one", 7)}));
}

#[sqlx::test(migrations = "../migrations")]
async fn the_version_before_stores_leads_and_conversions(pool: PgPool) {
    visit_before(&pool, "v", [Some("one"), None, Some("braid"), None, None], 1).await;
    visit_before(&pool, "w", [None; 5], 1).await;
    let of_visitor = json!({"google": {"gclid": "one", "wbraid": "braid", "at": at(1)}});
    let of_form = json!({"google": {"gclid": "form", "at": at(8)}});
    let stored = lead_before(&pool, "v", Some("form")).await;
    assert_eq!(stored["clicks"], of_visitor);
    assert_eq!(lead_before(&pool, "w", Some("form")).await["clicks"], of_form);

    let lead_id: Uuid = stored["id"].as_str().unwrap().parse().unwrap();
    let inbox_id = waiting_deal("D-7", "jane@example.com").store(&pool).await;
    let record: Statement<'_> = sqlx::query(include_str!("before/conversions_insert.sql"));
    let record = record.bind([inbox_id]).bind([lead_id]).bind(["email"]).bind(["D-7:closed"]).bind(["adtrail-7"]);
    let record = record.bind([None::<&str>]).bind(minute(9)).bind("^[A-Za-z0-9_-]+$").bind(512);
    let record = record.bind("^[A-Za-z0-9._=+/-]+$").bind(4_096).bind(["granted"]).bind(["granted"]);
    record.execute(&pool).await.unwrap();
    assert_eq!(row(&pool, "select clicks from public.conversions").await["clicks"], of_visitor);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_columns_follow_the_click_and_the_click_the_columns(pool: PgPool) {
    let id = lead("jane@example.com").with(&json!({"gclid": null, "click_at": null})).store(&pool).await;
    let google = |id: &str, value: &str| json!({"google": {id: value, "at": at(1)}, "meta": {"fbp": "p"}}).to_string();
    let when = minute(1).to_rfc3339();
    let steps = [
        (format!("clicks = '{}'", google("gclid", "a")), json!(["a", null, when, "a"])),
        (format!("clicks = '{}'", google("gbraid", "b")), json!([null, "b", when, null])),
        (format!("clicks = '{}'", google("gclid", "a b")), json!([null, null, when, "a b"])),
        ("gclid = 'c', gbraid = null".into(), json!(["c", null, when, "c"])),
        ("gclid = 'C'".into(), json!(["C", null, when, "C"])),
        ("name = 'Jane'".into(), json!(["C", null, when, "C"])),
        // What a site may write.
        ("gclid = 'a b'".into(), json!(["a b", null, when, null])),
        ("gclid = 'd', click_at = null".into(), json!(["d", null, null, "d"])),
        ("gclid = ''".into(), json!(["", null, null, null])),
        ("clicks = '[1]', gclid = 'e'".into(), json!(["e", null, null, null])),
        ("clicks = '7', gclid = 'f'".into(), json!(["f", null, null, null])),
        (r#"clicks = '{"google": 7}'"#.into(), json!([null, null, null, null])),
        (r#"clicks = '{"google": {"gclid": [7]}}'"#.into(), json!([null, null, null, [7]])),
        ("clicks = '{}'".into(), json!([null, null, null, null])),
    ];
    for (change, expected) in steps {
        execute(&pool, &format!("update public.leads set {change} where id = '{id}'")).await;
        let stored = row(&pool, "select gclid, gbraid, click_at, clicks from public.leads").await;
        let of_click = stored["clicks"]["google"]["gclid"].clone();
        assert_eq!(json!([stored["gclid"], stored["gbraid"], stored["click_at"], of_click]), expected, "{change}");
    }
}

/// One entry of each kind that a network can have, known or seen.
fn entries() -> Vec<Value> {
    let with = |extra: Value| {
        let ids = [json!({}), json!({"fbclid": "A"}), json!({"fbclid": "B"})];
        let times = [None, Some(1), Some(2)];
        ids.into_iter().flat_map(move |id| {
            let extra = extra.clone();
            times.into_iter().map(move |time| {
                let mut entry = id.clone();
                let fields = entry.as_object_mut().unwrap();
                fields.extend(extra.as_object().unwrap().clone());
                if let (Some(nth), true) = (time, fields.contains_key("fbclid")) {
                    fields.insert("at".into(), json!(minute(nth)));
                }
                entry
            })
        })
    };
    let meta: Vec<_> = [json!({}), json!({"fbp": "p"}), json!({"fbp": "q"})].into_iter().flat_map(with).collect();
    let google = ["gclid", "gbraid"]
        .into_iter()
        .flat_map(|name| [json!({name: "A", "gad_source": "1", "at": minute(1)}), json!({name: "B", "at": minute(2)})]);
    let of = |network: &'static str| move |entry: Value| json!({network: entry, "tiktok": {"ttp": network}});
    meta.into_iter().map(of("meta")).chain(google.map(of("google"))).chain([json!({})]).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn clicks_are_merged_alike_in_rust_and_in_sql(pool: PgPool) {
    let entries = entries();
    let clicks = |json: &Value| serde_json::from_value::<Clicks>(json.clone()).unwrap();
    // What is stored has a time.
    let stored: Vec<_> = entries.iter().map(|entry| json!(clicks(entry).dated(minute(3)))).collect();
    let pairs: Vec<_> = stored.iter().flat_map(|known| entries.iter().map(move |seen| (known, seen))).collect();
    let merge = "select public.merge_clicks(known, seen, $3, $4, $5) as merged
                 from unnest($1::jsonb[], $2::jsonb[]) with ordinality as pair (known, seen, nth) order by nth";
    let merged: Vec<Value> = sqlx::query_scalar(merge)
        .bind(pairs.iter().map(|(known, _)| (*known).clone()).collect::<Vec<_>>())
        .bind(pairs.iter().map(|(_, seen)| (*seen).clone()).collect::<Vec<_>>())
        .bind(networks::of_a_click())
        .bind(networks::beside_ids())
        .bind(minute(9))
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(merged.len(), 32 * 32);
    for ((known, seen), merged) in pairs.into_iter().zip(merged) {
        assert_eq!(clicks(&merged), clicks(known).merged(clicks(seen)).dated(minute(9)), "{known} then {seen}");
    }
}
