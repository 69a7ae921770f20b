//! The life of deals after they were won: deleted, restored, open again, and merged. However the reports of it arrive,
//! and whatever was sent meanwhile, it ends as the CRM says.

use std::collections::BTreeMap;

use testing::{Chance, execute, permutations, scaled};

use super::*;

const SOURCES: &str = r#"
[life]
preset = "crm-conversion"
[[life.rules]]
when = { stage = "won" }
conversion = "closed"
[[life.rules]]
when = { stage = "open" }
conversion = "qualified"
reopens = true
[[life.rules]]
when = { stage = "lost" }
conversion = "lost"
[[life.rules]]
when = { stage = "reopened" }
conversion = "reopened"
[[life.rules]]
when = { stage = "deleted" }
conversion = "deleted"
[[life.rules]]
when = { stage = "restored" }
conversion = "restored"
[[life.rules]]
when = { stage = "merged" }
conversion = "merged"
into = "/crm_deal_id"
from = "/from"
"#;

/// A report of a history: its deals have names of their own. Written as `won A 5`, or `A+B>C 6` for a merge; the number
/// is the hour.
fn report(history: &str, words: &str) -> Value {
    let words: Vec<_> = words.split_whitespace().collect();
    let named = |deal: &str| format!("{history}-{deal}");
    let (word, deal, hour, from) = match words[..] {
        [merge, hour] => {
            let (from, into) = merge.split_once('>').unwrap();
            ("merged", into, hour, from.split('+').map(named).collect())
        }
        [word, deal, hour] => (word, deal, hour, Vec::new()),
        _ => panic!("{words:?}"),
    };
    let at = format!("2026-11-20T{hour:0>2}:00:00Z");
    let mut report = json!({
        "crm_deal_id": named(deal), "conversion_type": word, "occurred_at": at, "updated_at": at,
        "email": format!("{history}@example.com"),
    });
    if word == "won" {
        (report["value"], report["currency"]) = (json!(100), json!("EUR"));
    }
    if !from.is_empty() {
        report["from"] = json!(from);
    }
    report
}

async fn post(app: &App<Config>, body: &Value) -> Value {
    let mut request = signed(testing::json_request(&ENDPOINT, body));
    *request.uri_mut() = "/api/webhooks/life".parse().unwrap();
    let answer = call(app, &ENDPOINT, request, handle).await;
    assert!(answer.status < 300, "{body} is answered {answer:?}");
    answer.body
}

async fn form(pool: &PgPool, history: &str) {
    testing::lead(&format!("{history}@example.com")).with(&json!({"gclid": "click"})).store(pool).await;
}

/// As if the uploader had sent everything that it may send.
async fn upload(pool: &PgPool, history: &str) {
    let sent = format!(
        "update public.conversion_queue q set status = 'uploaded', uploaded_at = now(), claims = claims + 1
         from public.conversions c
         where c.crm_deal_id like '{history}-%' and q.conversion_id = c.id and q.status = 'pending'
            and (q.adjusts is not null or c.retracted_at is null)"
    );
    execute(pool, &sent).await;
}

/// The deals whose wins count at the platform once everything is sent, each as often as it does.
async fn live(pool: &PgPool, history: &str) -> BTreeMap<String, i64> {
    upload(pool, history).await;
    let counted = format!(
        "select split_part(c.crm_deal_id, '-', 2) as deal, count(*) as live
         from public.conversions c
         join public.conversion_queue q on q.conversion_id = c.id and q.adjusts is null and q.status = 'uploaded'
         where c.crm_deal_id like '{history}-%' and c.conversion_type = 'closed'
            and not exists (
                select from public.conversion_queue r where r.adjusts = q.id and r.platform like '%retractions'
            )
         group by 1"
    );
    let counted = rows(pool, &counted).await;
    counted.iter().map(|row| (row["deal"].as_str().unwrap().to_owned(), row["live"].as_i64().unwrap())).collect()
}

/// Plays each story in every order of its reports, with everything sent at once or only in the end.
async fn play(pool: &PgPool, stories: &[(&[&str], &[&str])]) {
    let app = app_with(pool, &[("CRM_SOURCES", SOURCES)]);
    let mut wrong = Vec::new();
    for (nth, (story, counts)) in stories.iter().enumerate() {
        let expected: BTreeMap<_, _> = counts.iter().map(|deal| ((*deal).to_owned(), 1)).collect();
        for (way, order) in permutations(story.len()).into_iter().enumerate() {
            // Of many orders, every other is played in one way.
            let ways: &[bool] = if order.len() > 3 { &[way % 2 == 0] } else { &[false, true] };
            for is_sent_at_once in ways.iter().copied() {
                let history = format!("h{nth}w{way}{}", u8::from(is_sent_at_once));
                form(pool, &history).await;
                for step in &order {
                    post(&app, &report(&history, story[*step])).await;
                    app.clock.advance(TimeDelta::milliseconds(1));
                    if is_sent_at_once {
                        upload(pool, &history).await;
                    }
                }
                let counted = live(pool, &history).await;
                if counted != expected {
                    let arrived: Vec<_> = order.iter().map(|step| story[*step]).collect();
                    wrong.push(format!("{arrived:?}, sent at once: {is_sent_at_once}: {counted:?} for {expected:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn merged_deals_count_once_in_any_order_of_arrival(pool: PgPool) {
    play(
        &pool,
        &[
            (&["won A 5", "A+B>C 6"], &["C"]),
            (&["won A 5", "won B 5", "A+B>C 6"], &["C"]),
            (&["won A 5", "won B 6", "B>A 7"], &["A"]),
            (&["won A 5", "A>B 6", "B>C 7"], &["C"]),
            (&["won A 5", "won B 5", "A>B 6", "B>C 7"], &["C"]),
            (&["won A 5", "A>B 6", "A>B 6"], &["B"]),
            (&["won A 5", "A>B 6", "won B 7"], &["B"]),
            (&["won A 5", "A+B>C 6", "won C 7", "won B 5"], &["C"]),
            // The CRM deletes or loses what it merged.
            (&["won A 5", "A>B 6", "deleted A 6"], &["B"]),
            (&["won A 5", "A>B 6", "lost A 6"], &["B"]),
            (&["won A 5", "A+B>C 6", "deleted A 7", "deleted B 7"], &["C"]),
            // What becomes of the one that is left counts for all.
            (&["won A 5", "A>B 6", "deleted B 7"], &[]),
            (&["won A 5", "A>B 6", "lost B 7"], &[]),
            (&["won A 5", "won B 6", "A>B 7", "lost B 8"], &[]),
            (&["won A 5", "A>B 6", "reopened B 7", "won B 8"], &["B"]),
        ],
    )
    .await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deleted_deal_counts_no_more_whatever_trails_it(pool: PgPool) {
    play(
        &pool,
        &[
            (&["won A 5", "deleted A 6"], &[]),
            (&["won A 5", "deleted A 6", "won A 6"], &[]),
            (&["won A 5", "deleted A 6", "won A 7"], &[]),
            (&["won A 5", "deleted A 6", "open A 7", "won A 8"], &[]),
            (&["won A 5", "deleted A 6", "lost A 7", "won A 8"], &[]),
            (&["won A 5", "deleted A 6", "deleted A 7"], &[]),
            (&["won A 5", "won B 5", "deleted A 6"], &["B"]),
        ],
    )
    .await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_restored_deal_counts_as_before(pool: PgPool) {
    play(
        &pool,
        &[
            (&["won A 5", "deleted A 6", "restored A 7"], &["A"]),
            (&["won A 5", "deleted A 6", "restored A 7", "deleted A 8"], &[]),
            (&["won A 5", "restored A 6"], &["A"]),
            (&["deleted A 5", "restored A 6", "won A 7"], &["A"]),
            (&["won A 5", "lost A 6", "deleted A 7", "restored A 8"], &[]),
            (&["won A 5", "deleted A 6", "restored A 7", "won A 8"], &["A"]),
            (&["won A 5", "deleted A 6", "won A 6", "restored A 7"], &["A"]),
        ],
    )
    .await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_win_counts_no_more_once_its_deal_is_open_again(pool: PgPool) {
    play(
        &pool,
        &[
            (&["won A 5", "reopened A 6"], &[]),
            (&["won A 5", "open A 6"], &[]),
            (&["won A 5", "reopened A 6", "won A 7"], &["A"]),
            (&["won A 5", "open A 6", "won A 7"], &["A"]),
            (&["reopened A 5", "won A 6"], &["A"]),
            (&["open A 4", "won A 5", "reopened A 6", "won A 7"], &["A"]),
            (&["won A 5", "lost A 6", "reopened A 7"], &[]),
            (&["won A 5", "reopened A 6", "lost A 7"], &[]),
            (&["won A 5", "reopened A 6", "won A 7", "open A 8"], &[]),
        ],
    )
    .await;
}

/// What the CRM knows of a deal.
#[derive(Clone, Debug, Default)]
struct Known {
    is_won: bool,
    is_deleted: bool,
}

/// A history as a CRM could have had it, and how often each of its deals counts in the end.
fn history(chance: &mut Chance) -> (Vec<String>, BTreeMap<String, i64>) {
    let mut deals: BTreeMap<&str, Known> = BTreeMap::from(["A", "B", "C"].map(|name| (name, Known::default())));
    let mut new = vec!["E", "D"];
    let mut story = Vec::new();
    for hour in 2..3 + chance.below(8) {
        let names: Vec<_> = deals.keys().copied().collect();
        let name = chance.pick(&names);
        let others: Vec<_> = names.iter().copied().filter(|it| *it != name && !deals[it].is_deleted).collect();
        let known = deals.get_mut(name).unwrap();
        match chance.below(10) {
            _ if known.is_deleted => {
                if chance.happens(60) {
                    known.is_deleted = false;
                    story.push(format!("restored {name} {hour}"));
                } else {
                    // Something trails the deletion.
                    story.push(format!("won {name} {}", hour - 1));
                    story.push(format!("deleted {name} {hour}"));
                    known.is_won = true;
                }
            }
            0..=3 => {
                known.is_won = true;
                story.push(format!("won {name} {hour}"));
            }
            4 => {
                known.is_won = false;
                story.push(format!("reopened {name} {hour}"));
            }
            5 => {
                known.is_deleted = true;
                story.push(format!("deleted {name} {hour}"));
            }
            6 if !known.is_won => story.push(format!("lost {name} {hour}")),
            _ if !others.is_empty() => {
                let from = chance.pick(&others);
                let is_won = deals[name].is_won || deals[from].is_won;
                // A win that was undone before is none that a merge brings back, so only what never was undone merges.
                let is_undone =
                    |deal: &str| story.iter().any(|it| !it.starts_with("won") && it.contains(&format!(" {deal} ")));
                if is_undone(name) || is_undone(from) {
                    continue;
                }
                deals.remove(from);
                if let (true, Some(into)) = (chance.happens(50), new.pop()) {
                    deals.remove(name);
                    deals.insert(into, Known { is_won, is_deleted: false });
                    story.push(format!("{name}+{from}>{into} {hour}"));
                } else {
                    deals.get_mut(name).unwrap().is_won = is_won;
                    story.push(format!("{from}>{name} {hour}"));
                }
                if chance.happens(30) {
                    story.push(format!("deleted {from} {hour}"));
                }
            }
            _ => {}
        }
    }
    let counts = deals.into_iter().filter(|(_, known)| known.is_won && !known.is_deleted);
    (story, counts.map(|(name, _)| (name.to_owned(), 1)).collect())
}

#[sqlx::test(migrations = "../../migrations")]
async fn reports_in_any_order_end_as_the_crm_says(pool: PgPool) {
    let app = app_with(&pool, &[("CRM_SOURCES", SOURCES)]);
    let mut wrong = Vec::new();
    for seed in 0..scaled(3_000, 150) {
        let chance = &mut Chance::new(seed);
        let (story, expected) = history(chance);
        let name = format!("s{seed}");
        let has_form_first = chance.happens(70);
        if has_form_first {
            form(&pool, &name).await;
        }
        let mut left = story.clone();
        let mut arrived = Vec::new();
        while !left.is_empty() {
            let nth = usize::try_from(chance.below(left.len() as u64)).unwrap();
            arrived.push(left.remove(nth));
        }
        for words in &arrived {
            post(&app, &report(&name, words)).await;
            // Sent twice.
            if chance.happens(20) {
                post(&app, &report(&name, words)).await;
            }
            if chance.happens(40) {
                upload(&pool, &name).await;
            }
            app.clock.advance(TimeDelta::milliseconds(1));
        }
        if !has_form_first {
            form(&pool, &name).await;
            app.db.tx(async |tx| match_waiting(tx, &app.config.intake, &app.clock, 1_000).await).await.unwrap();
        }
        let counted = live(&pool, &name).await;
        if counted != expected {
            wrong.push(format!("seed {seed}: {story:?} arrived as {arrived:?}: {counted:?} for {expected:?}"));
        }
    }
    let merged_on = "select 1 from public.deal_names n join public.deal_names m on m.name = n.crm_deal_id";
    assert!(rows(&pool, merged_on).await.is_empty(), "a name leads to the deal that is left");
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_warned_of_is_kept_with_the_event(pool: PgPool) {
    let app = app_with(&pool, &[("CRM_SOURCES", SOURCES)]);
    form(&pool, "w").await;
    let reports = ["won A 5", "A>B 6", "deleted A 7", "won C 8", "lost C 7"].map(|words| report("w", words));
    let mut late = reports[4].clone();
    late["updated_at"] = json!("2026-11-20T09:00:00Z");
    for body in reports[..4].iter().chain([&late]) {
        let answer = post(&app, body).await;
        let stored = rows(&pool, "select warnings from public.inbox_events order by received_at desc, id desc").await;
        let told = answer.get("warnings").cloned().unwrap_or_else(|| json!([]));
        assert!(stored.iter().any(|it| it["warnings"] == told), "{told} is in {stored:?}");
        app.clock.advance(TimeDelta::seconds(1));
    }
    let warned = "select warnings -> 0 ->> 'pointer' as pointer, warnings -> 0 ->> 'field' as field
        from public.inbox_events where warnings <> '[]' order by received_at";
    let expected = [
        json!({"pointer": "/deal_id", "field": "deal_id"}),
        json!({"pointer": "/occurred_at", "field": "occurred_at"}),
    ];
    assert_eq!(rows(&pool, warned).await, expected);
}
