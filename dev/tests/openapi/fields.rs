//! Every field, right and wrong, and everything that can become of a call.

use dev::settings::{self, WEBHOOK_SECRET};
use serde_json::{Map, Value, json};

use crate::calls::{BOT, Call, VISITOR};

/// All of them. In order: later calls refer to earlier ones.
pub fn calls() -> Vec<Call> {
    let mut calls = visits();
    calls.extend(events());
    calls.extend(consents());
    calls.extend(leads());
    calls.extend(deals());
    calls.extend(corrections());
    calls.extend(webhooks());
    calls.push(health("healthy").says("/queue/pending", 3));
    calls.push(Call::new("GET /api/health/tracking", 200, "").with("authorization", "bearer dev-health-key"));
    calls
}

/// How tracking is doing.
pub fn health(status: &'static str) -> Call {
    Call::new("GET /api/health/tracking", 200, "").says("/status", status)
}

fn visit(status: u16, body: &Value) -> Call {
    Call::new("POST /api/track/visit", status, body.to_string())
}

fn event(status: u16, body: &Value) -> Call {
    Call::new("POST /api/track/event", status, body.to_string())
}

fn consent(status: u16, body: &Value) -> Call {
    Call::new("POST /api/consent", status, body.to_string())
}

fn lead(status: u16, body: &Value) -> Call {
    Call::new("POST /api/leads", status, body.to_string())
}

fn deal(status: u16, body: &Value) -> Call {
    Call::new("POST /api/webhooks/crm-conversion", status, body.to_string())
}

/// A webhook of a declared source.
fn webhook(source: &str, status: u16, body: &Value) -> Call {
    let mut call = Call::new("POST /api/webhooks/{source}", status, body.to_string());
    call.path = format!("/api/webhooks/{source}");
    call
}

/// What only declared sources answer. Their fields are declared, so the document doesn't know which are right.
fn webhooks() -> Vec<Call> {
    let deal = |stage: &str| json!({"crm_deal_id": "N-1", "stage": stage, "email": "nobody@example.com"});
    let token = format!("Bearer {}", settings::secret("MAKE_SECRET"));
    let unnamed = json!({"crm_deal_id": "M-1", "conversion_type": "qualified"});
    let events = json!([
        {"objectId": 1, "subscriptionType": "deal.propertyChange", "propertyName": "dealstage", "propertyValue": "closedwon"},
        {"objectId": 1, "subscriptionType": "deal.creation"},
        {"subscriptionType": "deal.propertyChange", "propertyName": "dealstage", "propertyValue": "closedwon"},
    ]);
    let pipedrive = json!({
        "meta": {"action": "change", "entity": "deal", "id": "e-1", "timestamp": "2026-11-20T11:03:12Z"},
        "data": {"id": 178, "status": "won", "won_time": "2026-11-20T11:03:11Z", "person_id": 179},
    });
    vec![
        webhook("nethunt", 202, &deal("Won")).says("/status", "awaiting_lead"),
        webhook("nethunt", 200, &deal("Negotiation")).says("/status", "ignored"),
        webhook("nethunt", 400, &json!({"stage": "Won"})).says("/errors/0/pointer", "/crm_deal_id").by_prose(),
        webhook("make", 202, &unnamed).with("authorization", &token).says("/warnings/0/field", "email"),
        webhook("hubspot-app", 200, &events).signed_for("hubspot-app").says("/results/0/status", "received"),
        webhook("hubspot-app", 200, &events).signed_for("hubspot-app").says("/results/2/errors/0/pointer", "/objectId"),
        webhook("hubspot-app", 400, &json!([{"subscriptionType": "deal.propertyChange", "propertyName": "dealstage", "propertyValue": "closedwon"}]))
            .signed_for("hubspot-app").says("/errors/0/pointer", "/0/objectId").by_prose(),
        webhook("pipedrive", 202, &pipedrive).signed_for("pipedrive").says("/status", "received"),
        webhook("nobody", 404, &deal("Won")),
    ]
}

fn visits() -> Vec<Call> {
    let page = "https://www.example.com/";
    let cookie = |id: &str| format!("adtrail_visitor={id}");
    vec![
        visit(200, &json!({"url": page})).with("cookie", &cookie(VISITOR)).says("/returning", true),
        visit(200, &json!({"url": page}))
            .with("cookie", &cookie("3f0c9a52-6d1e-4b7a-9c55-0e2f4d8a7b61"))
            .says("/returning", false),
        visit(200, &json!({"url": page})).with("cookie", "adtrail_visitor=7; adtrail_attribution=7"),
        visit(200, &json!({"url": page})).with("content-type", "application/x-www-form-urlencoded"),
        visit(200, &json!({"url": page, "referrer": "", "consent": {}, "unknown": [1]})),
        visit(200, &json!({"url": page, "referrer": "x".repeat(4_000)})),
        visit(200, &json!({"url": format!("{page}{}", "x".repeat(8_192 - page.len()))})),
        visit(200, &json!({"url": format!("{page}{}", "ü".repeat(5_000))})),
        visit(200, &json!({"url": page, "referrer": null, "consent": null})),
        visit(200, &json!({"url": format!("  {page} "), "consent": {"ad_user_data": ""}})).by_prose(),
        visit(200, &json!({"url": "http://localhost:3000/lp?a=b#c"})),
        visit(400, &json!({})).says("/errors/0/pointer", "/url"),
        visit(400, &json!({"url": "http://¿\u{6}…"})),
        visit(400, &json!({"url": page, "unknown": {"a": ["\u{0}"]}})).says("/errors/0/pointer", "/unknown/a/0"),
        visit(400, &json!({"url": page, "x\u{0}": 1})).says("/errors/0/pointer", ""),
        visit(400, &json!({"url": page, "consent": {"x": {"y\u{0}": 1}}})),
        visit(400, &json!({"url": ""})),
        visit(400, &json!({"url": 7})),
        visit(400, &json!({"url": "/lp"})),
        visit(400, &json!({"url": "ftp://www.example.com/"})),
        visit(200, &json!({"url": format!("{page}{}", "x".repeat(100_000))})),
        visit(200, &json!({"url": page, "referrer": []})).says("/warnings/0/pointer", "/referrer"),
        visit(200, &json!({"url": page, "consent": "granted"})).says("/warnings/0/pointer", "/consent"),
        visit(200, &json!({"url": page, "consent": {"ad_user_data": "perhaps"}}))
            .says("/warnings/0/pointer", "/consent/ad_user_data"),
        visit(200, &json!({"url": page, "consent": {"ad_personalization": true}})),
    ]
}

fn events() -> Vec<Call> {
    let named = |name: &str| json!({"event_name": name});
    let with = |name: &str, value: Value| json!({"event_name": "sign_up", name: value});
    let params =
        |count: usize| -> Value { (0..count).map(|n| (format!("p{n}"), json!(n))).collect::<Map<_, _>>().into() };
    // The body and its params are two levels, and so is a number in the innermost list the last.
    let nested = |levels: usize| with("params", json!({"p": (3..levels).fold(json!([7]), |inner, _| json!([inner]))}));
    vec![
        event(202, &with("event_id", json!("order:1.2_3-4"))).says("/status", "stored"),
        event(202, &with("event_id", json!("order:1.2_3-4"))).says("/status", "duplicate"),
        event(202, &named(&"x".repeat(40))),
        event(202, &with("event_id", json!("x".repeat(128)))),
        event(202, &with("params", params(25))),
        event(202, &with("page_url", json!("/lp"))),
        event(202, &nested(16)),
        event(202, &json!({"event_name": "sign_up", "event_id": null, "params": null, "page_url": ""})),
        event(400, &nested(17)).by_prose(),
        event(400, &json!({})).says("/errors/0/pointer", "/event_name"),
        event(400, &named("1st_visit")),
        event(400, &named("sign up")),
        event(400, &named(&"x".repeat(41))),
        event(400, &with("event_id", json!("a b"))),
        event(400, &with("event_id", json!(7))),
        event(400, &with("event_id", json!("x".repeat(129)))),
        event(400, &with("params", params(26))),
        event(400, &with("params", json!([]))),
        event(400, &with("params", json!({"a b": 1}))).says("/errors/0/pointer", "/params"),
        event(202, &with("page_url", json!("x".repeat(8_193)))),
        event(202, &with("page_url", json!("a\u{7}"))),
        event(202, &with("page_url", json!(7))).says("/warnings/0/pointer", "/page_url"),
        event(202, &with("consent", json!({"ad_user_data": "?"}))).says("/warnings/0/field", "consent/ad_user_data"),
        event(400, &with("params", json!({"p": {"q": "\u{0}"}}))),
    ]
}

/// After [`visits`], whose visitor answers.
fn consents() -> Vec<Call> {
    let unknown = "adtrail_visitor=00000000-0000-4000-8000-000000000000";
    let answer = |status: u16, body: Value| consent(status, &body);
    vec![
        answer(200, json!({"ad_user_data": "granted", "ad_personalization": "denied"})).says("/source", "banner"),
        answer(200, json!({"ad_user_data": "granted", "ad_personalization": "denied"})),
        answer(200, json!({"ad_personalization": "denied", "unknown": [1]})).says("/ad_user_data", "unknown"),
        answer(200, json!({"ad_user_data": "denied", "ad_personalization": "unknown"})),
        answer(200, json!({"ad_user_data": "denied", "ad_personalization": null})),
        answer(409, json!({"ad_user_data": "denied"})).with("cookie", unknown),
        answer(409, json!({"ad_user_data": "denied"})).with("cookie", "adtrail_visitor=7"),
        answer(400, json!({})).says("/errors/0/pointer", ""),
        answer(400, json!({"ad_user_data": "unknown"})).says("/errors/0/pointer", ""),
        answer(200, json!({"ad_user_data": "yes"})).says("/ad_user_data", "granted"),
        answer(200, json!({"ad_user_data": "granted", "ad_personalization": "?"}))
            .says("/warnings/0/pointer", "/ad_personalization"),
    ]
}

fn leads() -> Vec<Call> {
    let with = |name: &str, value: Value| json!({"email": "jane.doe@example.com", name: value});
    let consent = |name: &str, value: Value| with("consent", json!({name: value}));
    let form = json!({
        "email": "John@Example.com", "phone": "+49 30 901820", "name": "John", "message": "Hello.\n\tMe.",
        "transaction_id": "form-1", "consent": {"marketing": true, "ad_user_data": "granted"}, "gclid": "click-1",
    });
    let changed = |name: &str, value: Value| {
        let mut form = form.clone();
        form[name] = value;
        form
    };
    let mut calls = vec![
        lead(201, &form).says("/status", "created"),
        lead(200, &form).says("/status", "duplicate"),
        // What counts as the same payload.
        lead(200, &changed("email", json!("john@example.com"))),
        lead(200, &changed("gclid", json!("click-2"))),
        lead(200, &changed("utm_source", json!("google"))),
        lead(200, &changed("session_attributes", json!("e30="))),
        lead(200, &form).with("cookie", "adtrail_visitor=3f0c9a52-6d1e-4b7a-9c55-0e2f4d8a7b61"),
        lead(409, &changed("email", json!("jane@example.com"))),
        lead(409, &changed("phone", json!("+49 30 901821"))),
        lead(409, &changed("name", json!("Johnny"))),
        lead(409, &changed("message", json!("Hello?"))),
        lead(409, &changed("consent", json!({"marketing": false, "ad_user_data": "granted"}))),
        lead(201, &json!({"email": "no@example.com", "consent": {"ad_user_data": "denied", "data_processing": true}})),
        lead(201, &with("phone", json!("+49 (0)30 901820 ext 7"))).says("/status", "created"),
        lead(201, &with("email", json!(format!("{}@bücher.example", "ü".repeat(64))))),
        lead(201, &with("email", json!("ja\u{200b}ne@example.com"))).says("/status", "created"),
        lead(201, &with("phone", json!("030 901820"))).says("/warnings/0/field", "phone"),
        lead(201, &with("phone", json!("call me"))).says("/warnings/0/field", "phone"),
        lead(201, &with("phone", json!("1\u{7}"))).says("/warnings/0/field", "phone"),
        lead(201, &with("phone", json!("1".repeat(65)))).says("/warnings/0/field", "phone"),
        lead(201, &with("name", json!("x".repeat(201)))).says("/warnings/0/field", "name"),
        lead(201, &with("name", json!("a\u{7}"))).says("/warnings/0/field", "name"),
        lead(201, &with("message", json!("x".repeat(5_001)))).says("/warnings/0/field", "message"),
        lead(201, &with("fbc", json!("fb.1.1763632800000.IwAR2F4-example_1"))).says("/status", "created"),
        lead(201, &with("msclkid", json!(7))).says("/warnings/0/field", "msclkid"),
        lead(201, &with("ttclid", json!("a b"))).says("/warnings/0/field", "ttclid"),
        lead(201, &with("session_attributes", json!("aB3._-=+/".repeat(455)))),
        lead(201, &with("message", json!("ü".repeat(5_000)))),
        lead(201, &with("consent", json!({"ad_personalization": "unknown"}))),
        lead(201, &json!({"email": "jane.doe@example.com", "phone": null, "name": "", "consent": {"marketing": null}})),
        lead(400, &json!({})).says("/errors/0/pointer", "/email"),
        lead(201, &json!({"phone": "+49 30 901820"})).says("/status", "created"),
        lead(201, &json!({"gclid": "click-3"})).says("/status", "created"),
        lead(201, &json!({"email": "jane", "msclkid": "click-4"})).says("/warnings/0/pointer", "/email"),
        lead(400, &json!({"email": "jane", "phone": "?"})).says("/errors/1/pointer", "/phone"),
        lead(400, &json!({"gclid": "a b", "utm_source": "google"})).says("/errors/1/pointer", "/gclid"),
        lead(201, &consent("marketing", json!("yes"))).says("/status", "created"),
        lead(201, &consent("data_processing", json!(2))).says("/warnings/0/pointer", "/consent/data_processing"),
        lead(201, &consent("ad_user_data", json!("perhaps"))).says("/warnings/0/pointer", "/consent/ad_user_data"),
        lead(201, &with("consent", json!("granted"))).says("/warnings/0/pointer", "/consent"),
    ];
    let wrong = [
        ("email", json!("jane")),
        ("email", json!("jane@localhost")),
        ("email", json!("jane@example..com")),
        ("email", json!(format!("{}@example.com", "x".repeat(65)))),
        ("email", json!({"value": 7})),
        ("email", json!("a;b@example.com")),
        ("email", json!("jane@[192.0.2.1]")),
    ];
    calls.extend(wrong.map(|(name, value)| lead(400, &with(name, value))));
    let odd = [
        ("phone", json!(4_930_901_820_u64)),
        ("name", json!(7)),
        ("message", json!({})),
        ("transaction_id", json!("a/b")),
        ("transaction_id", json!("x".repeat(129))),
        ("gclid", json!("a b")),
        ("gbraid", json!("x".repeat(513))),
        ("wbraid", json!("ü")),
        ("session_attributes", json!("x".repeat(4_097))),
        ("session_attributes", json!("{}")),
        ("session_attributes", json!({"gad_source": "1"})),
        ("utm_source", json!("x".repeat(513))),
        ("utm_medium", json!(7)),
        ("utm_campaign", json!({})),
        ("utm_term", json!("a\u{7}")),
        ("utm_content", json!(true)),
    ];
    calls.extend(odd.map(|(name, value)| lead(201, &with(name, value)).says("/warnings/0/field", name)));
    calls
}

fn deals() -> Vec<Call> {
    let of = |email: &str, id: Value| json!({"crm_deal_id": id, "conversion_type": "closed", "email": email});
    let with = |name: &str, value: Value| {
        let mut deal = of("nobody@example.com", json!("D-1"));
        deal[name] = value;
        deal
    };
    let mut told_by_click = of("nobody@example.com", json!("D-7"));
    told_by_click["gclid"] = json!("EAIaIQ-example_1");
    let by_phone = |phone: &str| json!({"crm_deal_id": "D-2", "conversion_type": "qualified", "phone": phone});
    let token = format!("Bearer {WEBHOOK_SECRET}");
    let mut calls = vec![
        deal(202, &of("nobody@example.com", json!("D-1"))).says("/status", "awaiting_lead"),
        deal(202, &of("nobody@example.com", json!("D-1"))).says("/status", "awaiting_lead"),
        deal(202, &of("nobody@example.com", json!(9_007_199_254_740_991_u64))).with("authorization", &token),
        deal(200, &of("john@example.com", json!("D-3"))).says("/platforms", json!(["google_ads"])),
        deal(200, &of("john@example.com", json!("D-3"))).says("/status", "duplicate"),
        deal(200, &of("no@example.com", json!("D-4"))).says("/reason", "consent_denied"),
        deal(202, &of("nobody@example.com", json!(u64::MAX))),
        deal(202, &by_phone("+1 800-555-0100")),
        deal(202, &by_phone("+49 (0)30 901829")),
        deal(202, &with("phone", json!("030 901820"))).says("/warnings/0/field", "phone"),
        deal(
            200,
            &json!({"crm_deal_id": "D-3", "conversion_type": "closed", "email": "john@example.com", "phone": "+12"}),
        )
        .says("/warnings/0/field", "phone"),
        deal(202, &with("currency", json!("EUR"))),
        deal(202, &with("occurred_at", json!("2000-01-01T00:00:00Z"))),
        deal(202, &with("ad_user_data", json!("granted"))),
        deal(202, &with("ad_personalization", json!(true))),
        deal(202, &with("ad_user_data", json!("perhaps"))).says("/warnings/0/pointer", "/ad_user_data"),
        deal(200, &told_by_click).says("/status", "queued"),
        deal(202, &with("clicked_at", json!("2026-11-19T12:03:11+01:00"))),
        deal(202, &with("gclid", json!("a b"))).says("/warnings/0/field", "gclid"),
        deal(202, &with("wbraid", json!(["a"]))).says("/warnings/0/field", "wbraid"),
        deal(202, &with("ttclid", json!("x".repeat(513)))).says("/warnings/0/field", "ttclid"),
        deal(202, &with("clicked_at", json!("2026-11-23T00:00:00Z"))).says("/warnings/0/field", "clicked_at"),
        deal(
            202,
            &json!({"crm_deal_id": "D-5", "conversion_type": "closed", "email": "", "phone": "+1 800-555-0100", "lead_id": null}),
        ),
        deal(400, &json!({})).says("/errors/2/pointer", "/email"),
        deal(400, &json!({"crm_deal_id": "D-6", "conversion_type": "closed"})),
        deal(400, &by_phone("030 901820")).says("/errors/0/pointer", "/phone").by_prose(),
        deal(400, &by_phone("+12")).by_prose(),
        deal(400, &with("currency", json!("ABC"))),
        deal(202, &with("occurred_at", json!("2026-11-23T00:00:00Z"))).says("/warnings/0/field", "occurred_at"),
        deal(400, &with("occurred_at", json!("1999-12-31T23:59:59Z"))).by_prose(),
    ];
    let priced = |value: Value, currency: Value| {
        let mut deal = with("value", value);
        deal["currency"] = currency;
        deal
    };
    calls.push(deal(202, &priced(json!(0), json!("EUR"))));
    calls.push(deal(202, &priced(json!(999_999_999_999_u64), json!("JPY"))));
    calls.push(deal(400, &priced(json!(1_000_000_000_000_u64), json!("JPY"))).says("/errors/0/pointer", "/value"));
    calls.push(deal(202, &priced(json!(0.000_001), json!("EUR"))));
    calls.push(deal(202, &priced(json!(0.000_000_1), json!("EUR"))));
    calls.push(deal(400, &priced(json!(1), json!("ABC"))));
    let wrong = [
        ("crm_deal_id", json!(" ")),
        ("crm_deal_id", json!(-1)),
        ("crm_deal_id", json!(1.5)),
        ("crm_deal_id", json!(null)),
        ("crm_deal_id", json!("x".repeat(201))),
        ("conversion_type", json!("won")),
        ("email", json!("jane")),
        ("phone", json!("call me")),
        ("lead_id", json!("7")),
        ("value", json!(1)),
        ("value", json!(-1)),
        ("value", json!("6000")),
        ("currency", json!("eur")),
        ("occurred_at", json!("2026-11-20T14:03:11")),
        ("occurred_at", json!("2026-11-20")),
        ("updated_at", json!("2026-11-20T14:03:11")),
        ("updated_at", json!(1_795_176_000)),
        ("conversion_type", json!("LOST")),
    ];
    calls.extend(wrong.map(|(name, value)| deal(400, &with(name, value))));
    calls
}

fn corrections() -> Vec<Call> {
    let deal_of = |id: &str, fields: Value| {
        let mut deal = json!({"crm_deal_id": id, "conversion_type": "closed", "email": "john@example.com"});
        deal.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        deal
    };
    let worth = |id: &str, value: u32, updated_at: &str| {
        deal_of(id, json!({"value": value, "currency": "EUR", "updated_at": updated_at}))
    };
    let lost = |id: &str| json!({"crm_deal_id": id, "conversion_type": "lost"});
    vec![
        deal(200, &worth("D-10", 1, "2026-11-20T14:03:11+01:00")).says("/status", "queued"),
        deal(200, &worth("D-10", 2, "2026-11-21T14:03:11+01:00")).says("/status", "restated"),
        deal(200, &worth("D-10", 3, "2026-11-20T15:03:11+01:00")).says("/status", "duplicate"),
        deal(200, &deal_of("D-10", json!({"value": 4, "currency": "EUR", "phone": "+12"})))
            .says("/warnings/0/field", "phone"),
        deal(200, &lost("D-10")).says("/platforms", json!([])),
        deal(200, &lost("D-10")).says("/status", "nothing_to_retract"),
        deal(200, &deal_of("D-11", json!({"conversion_type": "refunded", "occurred_at": "2026-11-22T15:31:07Z"})))
            .says("/status", "nothing_to_retract"),
        deal(200, &worth("D-11", 1, "2026-11-20T14:03:11+01:00")).says("/reason", "deal_lost"),
        deal(200, &json!({"crm_deal_id": 12, "conversion_type": "lost", "value": 7})),
        deal(
            200,
            &json!({"crm_deal_id": 12, "conversion_type": "lost", "email": "jane", "value": "7", "updated_at": "2026-01-01T12:99:00Z"}),
        ),
        deal(400, &json!({"conversion_type": "lost"})).says("/errors/0/pointer", "/crm_deal_id"),
        deal(400, &json!({"crm_deal_id": 12, "conversion_type": "refunded", "occurred_at": "2026-11-20"})),
        deal(200, &deal_of("D-12", json!({"updated_at": "2026-11-23T00:00:00Z"})))
            .says("/warnings/0/field", "updated_at"),
    ]
}

/// Deals of no destination, where one for another site and only for closed deals is declared, and what that means for
/// the rows of the one that was there before.
pub fn of_no_destination() -> Vec<Call> {
    let of = |id: &str, stage: &str| {
        deal(200, &json!({"crm_deal_id": id, "conversion_type": stage, "email": "john@example.com"}))
    };
    vec![
        of("D-20", "closed").says("/reason", "no_destination"),
        of("D-20", "qualified").says("/reason", "no_conversion_action"),
        health("degraded").says("/platforms/3/state", "undeclared"),
    ]
}

/// A deal of somebody who clicked on nothing, where e-mail and phone aren't sent.
pub fn without_attribution() -> Vec<Call> {
    let email = "nobody.clicked@example.com";
    vec![
        lead(201, &json!({"email": email})),
        deal(200, &json!({"crm_deal_id": "D-21", "conversion_type": "closed", "email": email}))
            .says("/reason", "no_attribution"),
    ]
}

/// A deal of a lead that a program left.
pub fn of_a_bot() -> Vec<Call> {
    let email = "crawler@example.com";
    let crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let cookie = format!("adtrail_visitor={BOT}");
    vec![
        visit(200, &json!({"url": "https://www.example.com/", "why": "load"})).with("user-agent", crawler),
        lead(201, &json!({"email": email, "honeypot": true, "fill_ms": 7, "gpc": false})).with("cookie", &cookie),
        deal(200, &json!({"crm_deal_id": "D-22", "conversion_type": "closed", "email": email})).says("/reason", "bot"),
    ]
}

/// Deals that were sent to a platform, worth something else and lost.
pub fn changes_of_what_was_told() -> Vec<Call> {
    let worth = |value: u32| json!({"crm_deal_id": "D-3", "conversion_type": "closed", "email": "john@example.com", "value": value, "currency": "EUR"});
    vec![
        deal(200, &worth(1)).says("/platforms", json!(["google_ads_restatements"])),
        deal(200, &worth(2)).says("/status", "restated"),
        deal(200, &json!({"crm_deal_id": "D-3", "conversion_type": "lost"}))
            .says("/platforms", json!(["google_ads_retractions"])),
        health("degraded").says("/corrections/open", 1),
    ]
}
