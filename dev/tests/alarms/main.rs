//! Every alarm of `template.yaml`, computed as CloudWatch computes it, from what the real binaries do and write under
//! the Lambda Runtime API: each fires when something is wrong, and all are quiet when nothing is.
//!
//! Adtrail's own metrics come out of the binaries' log lines. What AWS measures itself comes out of what happened to an
//! invocation: that there was one (`Invocations`), that it failed or was ended by its timeout (`Errors`), how long it
//! took (`Duration`, `IntegrationLatency`), and that the answer was a 5xx.
#![expect(clippy::unwrap_used, reason = "a test may end that way")]

mod api;
mod cloudwatch;
mod deployment;
#[expect(dead_code, reason = "the tests of the template use all of it")]
#[path = "../template/document.rs"]
mod document;
mod planted;
mod slack;
#[expect(dead_code, reason = "the stories use all of it")]
#[path = "../stories/stage.rs"]
mod stage;

use std::collections::BTreeSet;

use sqlx::PgPool;

use cloudwatch::{Alarm, State};
use deployment::Deployment;
use document::Template;

/// Declares for each alarm what makes it fire, as a test.
macro_rules! alarms {
    ($($alarm:ident: $plant:ident),+ $(,)?) => {
        const ALARMS: &[&str] = &[$(stringify!($alarm)),+];

        $(
            #[sqlx::test(migrations = "../migrations")]
            async fn $plant(pool: PgPool) {
                let mut deployment = Deployment::new(pool).await;
                planted::$plant(&mut deployment).await;
                assert_fires(stringify!($alarm), &deployment);
            }
        )+
    };
}

alarms! {
    AlarmScheduleFails: the_schedule_cannot_start_the_uploader,
    AlarmUploaderFails: runs_fail_because_the_database_is_away,
    AlarmUploaderDoesNotRun: the_schedule_stops,
    AlarmUploaderIsSlow: a_run_hangs,
    AlarmDestinationIsPaused: the_credentials_are_refused,
    AlarmNothingIsAccepted: rows_wait_for_a_day_behind_a_pause,
    AlarmDeadLetters: a_conversion_is_rejected_for_good,
    AlarmWebhooksAreRefused: a_crm_signs_with_another_secret,
    AlarmEventsAreRejected: a_crm_leaves_out_a_field,
    AlarmSourceIsSilent: a_crm_stops_after_four_weeks,
    AlarmNothingIsCounted: a_table_cannot_be_counted,
    AlarmSpoolHasDeadLetters: a_message_cannot_be_read,
    AlarmSpoolIsNotEmptied: the_database_stays_away,
    AlarmApiFails: webhooks_are_answered_503,
    AlarmApiIsSlow: a_request_hangs,
}

fn assert_fires(alarm: &str, deployment: &Deployment) {
    let alarm = Alarm::read(&Template::read(), alarm);
    let states = deployment.states(&alarm);
    assert_eq!(states.last(), Some(&State::Alarm), "{}: {states:?} of {:#?}", alarm.name, deployment.metrics);
}

#[test]
fn each_alarm_is_fired_by_a_test() {
    let template = Template::read();
    let alarms: BTreeSet<_> = template.resources("AWS::CloudWatch::Alarm").into_iter().map(|(name, _)| name).collect();
    assert_eq!(alarms, ALARMS.iter().copied().collect(), "add what makes it fire to alarms! in dev/tests/alarms");
}

/// Lambda takes a line without a level and a time for INFO, and metrics are such lines ("Log-level filtering").
#[test]
fn no_log_level_drops_the_metrics() {
    let levels = &Template::read().value["Parameters"]["LogLevel"]["AllowedValues"];
    let dropping: Vec<_> = levels.as_array().unwrap().iter().filter(|it| *it != "DEBUG" && *it != "INFO").collect();
    assert_eq!(dropping, [""; 0]);
}

/// Conversions are accepted, a row waits for consent and another one for its click, one webhook is forged, one event is
/// ignored: all of it is normal.
#[sqlx::test(migrations = "../migrations")]
async fn nothing_fires_where_all_is_well(pool: PgPool) {
    let template = Template::read();
    let mut deployment = Deployment::new(pool).await;
    planted::a_good_day(&mut deployment).await;
    for name in ALARMS {
        let states = deployment.states(&Alarm::read(&template, name));
        assert!(!states.is_empty() && states.iter().all(|it| *it == State::Ok), "{name}: {states:?}");
    }
}

/// What was fixed is quiet again.
#[sqlx::test(migrations = "../migrations")]
async fn an_alarm_ends_with_its_cause(pool: PgPool) {
    let mut deployment = Deployment::new(pool).await;
    planted::a_crm_signs_with_another_secret(&mut deployment).await;
    assert_fires("AlarmWebhooksAreRefused", &deployment);

    planted::the_crm_has_the_secret(&mut deployment).await;
    let states = deployment.states(&Alarm::read(&Template::read(), "AlarmWebhooksAreRefused"));
    assert_eq!(states.last(), Some(&State::Ok), "{states:?}");
}
