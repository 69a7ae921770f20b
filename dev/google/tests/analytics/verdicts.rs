//! What Google says later of events that it accepted.

use google_sandbox::{Endpoint, Fault, FaultKind, RequestStatus, Verdict};
use serde_json::json;
use shared::analytics::{EventLane, EventOutcome, EventVerdict};

use crate::trial::{DATA_MANAGER, MEASUREMENT_PROTOCOL, Trial, event, lead};

async fn verdicts(trial: &Trial, lane: &dyn EventLane, outcome: &EventOutcome, events: usize) -> Vec<EventVerdict> {
    let EventOutcome::Accepted { request_id } = outcome else { panic!("{outcome:?}") };
    let (verdicts, _) = lane.verdict(request_id, events, &trial.allowance()).await.expect("asked");
    verdicts
}

#[tokio::test]
async fn events_are_confirmed_or_the_refused_ones_are_named() {
    const REASON: &str = "PROCESSING_ERROR_REASON_INVALID_EVENT";
    for names_refused in [true, false] {
        let trial = Trial::start().await;
        trial.sandbox.name_refused(names_refused.then_some(usize::MAX));
        let lane = trial.lane(DATA_MANAGER);
        let mut events = vec![lead(), event("refused_later", &json!({})), lead()];
        // A receipt's rows are read in the order of their ids.
        events.sort_by_key(|event| event.queue_id);
        let (outcomes, _) = trial.send(lane.as_ref(), &events).await;
        assert_eq!(verdicts(&trial, lane.as_ref(), &outcomes[0], 3).await, [const { EventVerdict::Confirmed }; 3]);

        trial.sandbox.decide("refused_later", REASON);
        events.reverse();
        let (outcomes, _) = trial.send(lane.as_ref(), &events).await;
        let found = verdicts(&trial, lane.as_ref(), &outcomes[0], 3).await;
        events.reverse();
        for (verdict, event) in found.iter().zip(&events) {
            match verdict {
                EventVerdict::Refused(reason) => {
                    assert!(names_refused && event.name == "refused_later", "{found:?}");
                    assert_eq!(reason.code, REASON);
                }
                EventVerdict::Confirmed => assert!(names_refused && event.name == "generate_lead", "{found:?}"),
                EventVerdict::Unknowable(reason) => assert!(!names_refused && reason.code == REASON, "{found:?}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_verdict_may_take_its_time_or_fail() {
    let trial = Trial::start().await;
    let lane = trial.lane(DATA_MANAGER);
    let (outcomes, _) = trial.send(lane.as_ref(), &[lead()]).await;
    let processing = Verdict { status: RequestStatus::Processing, ..Verdict::default() };
    trial.sandbox.script(Fault::once(Endpoint::Status, FaultKind::Verdict(processing))).expect("armed");
    assert_eq!(verdicts(&trial, lane.as_ref(), &outcomes[0], 1).await, [EventVerdict::Processing]);
    let away = FaultKind::Http { status: 503, retry_after: None, reason: None, body: None };
    trial.sandbox.script(Fault::once(Endpoint::Status, away)).expect("armed");
    assert!(matches!(verdicts(&trial, lane.as_ref(), &outcomes[0], 1).await[..], [EventVerdict::Unanswered(_)]));
    let failed = Verdict { status: RequestStatus::Failed, ..Verdict::default() };
    trial.sandbox.script(Fault::once(Endpoint::Status, FaultKind::Verdict(failed))).expect("armed");
    assert!(matches!(verdicts(&trial, lane.as_ref(), &outcomes[0], 1).await[..], [EventVerdict::Refused(_)]));
    let unknown = EventOutcome::Accepted { request_id: "never-heard-of".into() };
    assert!(matches!(verdicts(&trial, lane.as_ref(), &unknown, 2).await[..], [EventVerdict::Unknowable(_), _]));
}

#[tokio::test]
async fn the_measurement_protocol_has_no_verdicts() {
    let trial = Trial::start().await;
    let lane = trial.lane(MEASUREMENT_PROTOCOL);
    assert!(!lane.can_verify() && lane.limits().is_none());
    assert!(trial.lane(DATA_MANAGER).can_verify());
}
