//! What goes wrong on the way, and what it means for each event.

use chrono::TimeDelta;
use google_sandbox::{AnalyticsProperty, Endpoint, EventPoison, Fault, FaultKind, FieldStyle};
use serde_json::json;
use shared::analytics::{EventLane, EventOutcome, EventToSend};

use crate::trial::{
    BOTH_WAYS, DATA_MANAGER, MEASUREMENT_PROTOCOL, SECRET, Trial, client, code, event, lead, now, purchase,
};

fn endpoint(lane: &dyn EventLane) -> Endpoint {
    if lane.can_verify() { Endpoint::Ingest } else { Endpoint::Collect }
}

#[tokio::test]
async fn without_an_answer_only_a_purchase_is_sent_again_and_counted_once() {
    for declaration in BOTH_WAYS {
        for kind in [FaultKind::ReplyLost {}, FaultKind::Drop {}] {
            let trial = Trial::start().await;
            let lane = trial.lane(declaration);
            let events = [lead(), purchase("T-1")];
            let fault = Fault::once(endpoint(lane.as_ref()), kind.clone());
            trial.sandbox.script(fault).expect("armed");
            let (outcomes, exchanges) = trial.send(lane.as_ref(), &events).await;
            assert_eq!(code(&outcomes[0]), ("unverifiable", "no_answer".into()), "{declaration} {kind:?}");
            assert_eq!(code(&outcomes[1]), ("unavailable", "no_answer".into()), "{declaration} {kind:?}");
            assert!(exchanges.iter().any(|it| it.may_have_arrived), "{declaration} {kind:?}");

            let (again, _) = trial.send(lane.as_ref(), &events[1..]).await;
            assert!(again[0].reason().is_none(), "{declaration}: {again:?}");
            let counted = trial.sandbox.analytics().events;
            let purchases = counted.iter().filter(|it| it.name == "purchase").count();
            assert_eq!(purchases, 1, "{declaration} {kind:?}: {counted:?}");
        }
    }
}

#[tokio::test]
async fn an_outage_loses_nothing_and_says_how_long_to_wait() {
    for declaration in BOTH_WAYS {
        for status in [429, 500, 502, 503] {
            let trial = Trial::start().await;
            let lane = trial.lane(declaration);
            let kind = FaultKind::Http { status, retry_after: Some(7), reason: None, body: None };
            trial.sandbox.script(Fault::once(endpoint(lane.as_ref()), kind)).expect("armed");
            let events = [lead(), purchase("T-1")];
            let (outcomes, _) = trial.send(lane.as_ref(), &events).await;
            let waits =
                |it: &EventOutcome| matches!(it, EventOutcome::Unavailable(_, Some(wait)) if wait.num_seconds() == 7);
            assert!(outcomes.iter().all(waits), "{declaration} {status}: {outcomes:?}");
            let (outcomes, _) = trial.send(lane.as_ref(), &events).await;
            assert!(outcomes.iter().all(|it| it.reason().is_none()), "{declaration} {status}: {outcomes:?}");
            assert_eq!(trial.sandbox.analytics().events.len(), 2);
        }
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_has_arrived_and_no_secret_is_told() {
    for declaration in BOTH_WAYS {
        let trial = Trial::start().await;
        let mut values = trial.values(declaration);
        for name in ["GOOGLE_DATA_MANAGER_URL", "GOOGLE_ANALYTICS_URL"] {
            values.insert(name.into(), "http://127.0.0.1:9".into());
        }
        let (destinations, lanes) = trial.connect(&values);
        let (outcomes, exchanges) = trial.send(lanes[0].as_ref(), &[lead(), purchase("T-1")]).await;
        assert!(outcomes.iter().all(|it| code(it) == ("unavailable", "connection_failed".into())), "{outcomes:?}");
        let told = format!("{outcomes:?} {exchanges:?} {destinations:?} {:?}", lanes[0].route());
        let shown = destinations.iter().map(|it| it.preview(&lead()).expect("a preview"));
        let told = shown.fold(told, |told, shown| format!("{told} {shown:?}"));
        assert!(!told.contains(SECRET), "{told}");
    }
}

#[tokio::test]
async fn one_bad_event_blocks_no_other_whether_google_names_it_or_not() {
    for style in [FieldStyle::EventsEvents, FieldStyle::None] {
        let trial = Trial::start().await;
        let lane = trial.lane(DATA_MANAGER);
        trial.sandbox.poison("bad_one", EventPoison::new("INVALID_EVENT").styled(style));
        let mut events: Vec<_> = (0..100).map(|_| lead()).collect();
        for at in [7, 63] {
            events[at] = event("bad_one", &json!({}));
        }
        let (outcomes, exchanges) = trial.send(lane.as_ref(), &events).await;
        for (at, outcome) in outcomes.iter().enumerate() {
            let expected = if [7, 63].contains(&at) { "rejected" } else { "accepted" };
            assert_eq!(outcome.as_str(), expected, "{style:?} {at}: {outcome:?}");
        }
        assert!(exchanges.len() <= 1 + 2 * 8, "{style:?}: {} requests", exchanges.len());
        assert_eq!(trial.sandbox.analytics().events.len(), 98);
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_settings_pauses_with_the_fix() {
    let trial = Trial::start().await;
    for (declaration, fix) in [
        (DATA_MANAGER.replace("123456789\n", "1\n"), "Property access management"),
        (DATA_MANAGER.replace("DEV1234567", "OTHER12345"), "measurement_id"),
    ] {
        let (outcomes, _) = trial.send(trial.lane(&declaration).as_ref(), &[lead(), lead()]).await;
        let says = |it: &EventOutcome| matches!(it, EventOutcome::Paused(reason) if reason.message.contains(fix));
        assert!(outcomes.iter().all(says), "{outcomes:?}");
    }
    for reason in ["NOT_ALLOWLISTED", "INVALID_PROPERTY_TYPE", "PERMISSION_DENIED"] {
        let kind = FaultKind::RejectEvent { index: 0, reason: reason.into(), field_style: FieldStyle::default() };
        trial.sandbox.script(Fault::once(Endpoint::Ingest, kind)).expect("armed");
        let (outcomes, _) = trial.send(trial.lane(DATA_MANAGER).as_ref(), &[lead(), lead()]).await;
        assert!(outcomes.iter().all(|it| code(it) == ("paused", reason.into())), "{outcomes:?}");
    }
}

#[tokio::test]
async fn missing_credentials_of_one_destination_stop_no_other() {
    let trial = Trial::start().await;
    let second = "[second]\nplatform = \"google-analytics\"\nmeasurement_id = \"G-SECOND\"\n\
                  transport = \"measurement-protocol\"\napi_secret = \"SECOND_API_SECRET\"\n";
    let (_, lanes) = trial.connect(&trial.values(&format!("{DATA_MANAGER}{second}")));
    let [works, paused] = &lanes[..] else { panic!("{}", lanes.len()) };
    assert!(works.ready().await.is_ok());
    let Err(EventOutcome::Paused(reason)) = paused.ready().await else { panic!("not paused") };
    assert!(reason.message.contains("SECOND_API_SECRET"), "{reason:?}");
    assert_eq!((paused.route().transport, paused.can_verify()), ("none", false));
    let (outcomes, _) = trial.send(works.as_ref(), &[lead()]).await;
    assert_eq!(outcomes[0].as_str(), "accepted");
}

#[tokio::test]
async fn an_event_of_more_than_three_days_ago_is_told_with_the_oldest_time_that_is_taken() {
    for declaration in BOTH_WAYS {
        let trial = Trial::start().await;
        let lane = trial.lane(declaration);
        let at = |age| EventToSend { at: now() - age, ..lead() };
        let events = [70, 73, 96].map(|hours| at(TimeDelta::hours(hours)));
        let (outcomes, _) = trial.send(lane.as_ref(), &events).await;
        assert!(outcomes.iter().all(|it| it.reason().is_none()), "{declaration}: {outcomes:?}");
        assert_eq!(trial.sandbox.analytics().events.len(), 3, "{declaration}");
        assert!(trial.sandbox.analytics().findings.is_empty(), "{declaration}");

        let (outcomes, _) = trial.send(lane.as_ref(), &[at(TimeDelta::hours(96) + TimeDelta::seconds(1))]).await;
        assert_eq!(code(&outcomes[0]), ("rejected", "too_old".into()));
        assert_eq!(lane.oldest(), TimeDelta::hours(96));
    }
}

#[tokio::test]
async fn a_wrong_secret_is_never_told_by_google() {
    let trial = Trial::start().await;
    trial.sandbox.add_property(AnalyticsProperty::new("123456789", ["G-DEV1234567"], "another"));
    let (outcomes, _) = trial.send(trial.lane(MEASUREMENT_PROTOCOL).as_ref(), &[lead()]).await;
    assert_eq!(outcomes[0], EventOutcome::Recorded, "all that can be known");
    let analytics = trial.sandbox.analytics();
    assert_eq!((analytics.events.len(), analytics.findings.len()), (0, 1));
}

#[tokio::test]
async fn the_measurement_protocol_gets_one_client_a_request_and_25_events_at_most() {
    let trial = Trial::start().await;
    let lane = trial.lane(MEASUREMENT_PROTOCOL);
    let of = |id: usize| EventToSend { client_id: client(&format!("{id}.1")), ..lead() };
    let events: Vec<_> = (0..90).map(|at| of(at % 3)).collect();
    let (outcomes, exchanges) = trial.send(lane.as_ref(), &events).await;
    assert!(outcomes.iter().all(|it| *it == EventOutcome::Recorded), "{outcomes:?}");
    assert_eq!(exchanges.len(), 6, "three clients with thirty events each");
    assert_eq!(trial.sandbox.requests().collect_calls, 6);
    assert_eq!(trial.sandbox.analytics().events.len(), 90);
}

#[tokio::test]
async fn without_an_answer_few_events_are_in_doubt_and_the_others_are_not_sent() {
    for (declaration, most) in [(DATA_MANAGER, 20), (MEASUREMENT_PROTOCOL, 25)] {
        let trial = Trial::start().await;
        let lane = trial.lane(declaration);
        trial.sandbox.script(Fault::once(endpoint(lane.as_ref()), FaultKind::ReplyLost {}).times(99)).expect("armed");
        let of = |id: usize| EventToSend { client_id: client(&format!("{id}.1")), ..lead() };
        let events: Vec<_> = (0..600).map(|at| of(at % 12)).collect();
        let (outcomes, exchanges) = trial.send(lane.as_ref(), &events).await;
        let in_doubt = outcomes.iter().filter(|it| it.as_str() == "unverifiable").count();
        let unsent = outcomes.iter().filter(|it| **it == EventOutcome::Unsent).count();
        assert_eq!((in_doubt, in_doubt + unsent, exchanges.len()), (most, 600, 1), "{declaration}");
    }
}
