//! How long an access token is used, and what happens when there is none.

use std::sync::Arc;

use chrono::TimeDelta;
use dev::settings;
use google_sandbox::{AwsRole, Endpoint, Fault, FaultKind, GoogleAccount, GoogleSandbox, WorkloadIdentity};
use shared::App;
use shared::attribution::Clicks;
use shared::clock::Clock;
use shared::consent::ConsentStatus;
use shared::deals::Stage;
use shared::platforms::{Allowance, Conversion, Facts, Lane, Outcome, Reason};
use shared::settings::Values;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::keyless;
use crate::stage::all;

/// Google Ads as the uploader has it, and a sandbox Google that lives by the same clock.
struct Uploader {
    google: GoogleSandbox,
    clock: Clock,
    platform: Arc<dyn Lane>,
}

impl Uploader {
    async fn new(account: GoogleAccount, change: impl FnOnce(&mut Values)) -> Self {
        let clock = Clock::fixed("2026-11-22T12:00:00Z".parse().unwrap());
        Self::with_clocks(account, clock.clone(), clock, change).await
    }

    /// With a clock of Google's own.
    async fn with_clocks(
        account: GoogleAccount,
        clock: Clock,
        google_clock: Clock,
        change: impl FnOnce(&mut Values),
    ) -> Self {
        let google = GoogleSandbox::with_clock(account, google_clock);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = google.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut values = settings::values("postgresql://nobody@127.0.0.1:1/none", &base);
        change(&mut values);
        let app = App::<upload_conversions::Config>::new(&values, &[], clock.clone(), 1);
        let platform = app.unwrap_or_else(|error| panic!("{error}")).config.lanes.remove(0);
        Self { google, clock, platform: platform.into() }
    }

    async fn keyless(account: GoogleAccount) -> Self {
        Self::new(account, keyless::go_keyless).await
    }

    /// Tells Google about one conversion.
    async fn upload(&self) -> Outcome {
        upload(self.platform.clone(), self.clock.clone()).await
    }

    async fn refused(&self) -> Reason {
        match self.upload().await {
            Outcome::Paused(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    fn next(&self, on: Endpoint, kind: FaultKind) {
        self.google.script(Fault::once(on, kind)).unwrap();
    }

    /// How often each of the three endpoints was asked.
    fn asked(&self) -> (usize, usize, usize) {
        let requests = self.google.requests();
        (requests.token, requests.security_tokens, requests.iam_credentials)
    }
}

async fn upload(platform: Arc<dyn Lane>, clock: Clock) -> Outcome {
    let conversion = Conversion {
        queue_id: Uuid::nil(),
        transaction_id: format!("adtrail-{}", Uuid::new_v4().simple()),
        conversion_type: Stage::closed(),
        occurred_at: clock.now() - TimeDelta::hours(1),
        money: None,
        clicks: Clicks::read(clock.now(), |it| (it.name == "gclid").then(|| "Click-1".into())),
        session_attributes: None,
        email_hash: None,
        email_hash_google: None,
        phone_hash: None,
        phone_hash_digits: None,
        sent_to: None,
        sent_through: None,
        ad_user_data: ConsentStatus::Granted,
        ad_personalization: ConsentStatus::Granted,
        facts: Facts {
            click_at: Some(clock.now() - TimeDelta::days(1)),
            lead_at: clock.now(),
            restated_at: None,
            retracted_at: None,
            can_omit_click_id: false,
            click_id_omitted: false,
            sent_before: false,
            is_correction: false,
            seconds_later: 0,
            send_alone: false,
        },
    };
    let allowance = Allowance::new(clock.clone(), clock.now() + TimeDelta::minutes(1), None, (0, 0));
    platform.upload(&[conversion], &allowance).await.outcomes.remove(0)
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[tokio::test]
async fn many_that_need_a_token_at_once_ask_for_one() {
    for (uploader, asked) in [
        (Uploader::new(GoogleAccount::dev(), |_| {}).await, (1, 0, 0)),
        (Uploader::keyless(keyless::account()).await, (0, 1, 1)),
    ] {
        let uploads = (0..50).map(|_| upload(uploader.platform.clone(), uploader.clock.clone()));
        let outcomes = all(uploads).await;
        assert!(outcomes.iter().all(accepted), "{outcomes:?}");
        assert_eq!(uploader.asked(), asked);
    }
}

#[tokio::test]
async fn many_that_need_a_token_at_once_share_the_failure_to_get_one() {
    let uploader = Uploader::new(GoogleAccount::dev(), |_| {}).await;
    let overload = FaultKind::Http { status: 503, retry_after: Some(7), reason: None, body: None };
    uploader.google.script(Fault::once(Endpoint::Token, overload).times(50)).unwrap();
    let uploads = (0..50).map(|_| upload(uploader.platform.clone(), uploader.clock.clone()));

    let outcomes = all(uploads).await;

    let wait = Some(TimeDelta::seconds(7));
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unavailable(_, asked) if *asked == wait)));
    // Whoever came while somebody was asking.
    assert!(uploader.asked().0 < 5, "{:?}", uploader.asked());
    // A failure is not kept.
    uploader.google.clear_faults();
    assert!(accepted(&uploader.upload().await));
}

#[tokio::test]
async fn a_token_is_replaced_shortly_before_it_expires() {
    for uploader in [Uploader::new(GoogleAccount::dev(), |_| {}).await, Uploader::keyless(keyless::account()).await] {
        let tokens = || {
            let (token, _, iam_credentials) = uploader.asked();
            token + iam_credentials
        };
        assert!(accepted(&uploader.upload().await));
        uploader.clock.advance(TimeDelta::minutes(56));
        assert!(accepted(&uploader.upload().await));
        assert_eq!(tokens(), 1);
        uploader.clock.advance(TimeDelta::seconds(30));
        assert!(accepted(&uploader.upload().await));
        assert_eq!(tokens(), 2);
    }
}

#[tokio::test]
async fn a_token_that_google_no_longer_accepts_is_replaced_at_once() {
    for uploader in [Uploader::new(GoogleAccount::dev(), |_| {}).await, Uploader::keyless(keyless::account()).await] {
        assert!(accepted(&uploader.upload().await));
        uploader.next(Endpoint::Ingest, FaultKind::Http { status: 401, retry_after: None, reason: None, body: None });
        assert!(accepted(&uploader.upload().await));
        let (token, _, iam_credentials) = uploader.asked();
        assert_eq!(token + iam_credentials, 2);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_token_is_waited_out() {
    let uploader = Uploader::keyless(keyless::account()).await;
    for on in [Endpoint::SecurityTokens, Endpoint::IamCredentials] {
        for kind in [
            FaultKind::Html {},
            FaultKind::Empty {},
            FaultKind::Truncated {},
            FaultKind::Drop {},
            FaultKind::Http { status: 500, retry_after: None, reason: None, body: None },
            FaultKind::Http { status: 429, retry_after: None, reason: None, body: None },
        ] {
            uploader.next(on, kind.clone());
            let outcome = uploader.upload().await;
            assert!(matches!(outcome, Outcome::Unavailable(..)), "{on:?} {kind:?}: {outcome:?}");
        }
    }
    assert!(accepted(&uploader.upload().await));
}

#[tokio::test]
async fn a_person_who_agreed_to_less_is_asked_to_agree_again() {
    let mut account = GoogleAccount::dev();
    account.refresh_token.scopes = ["https://www.googleapis.com/auth/adwords".to_owned()].into();
    let uploader = Uploader::new(account, |_| {}).await;

    let reason = uploader.refused().await;

    assert_eq!(reason.code, "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
    assert!(reason.message.contains("authorize again with both scopes"), "{}", reason.message);
    assert!(uploader.google.requests().ingest.is_empty());
}

#[tokio::test]
async fn the_reason_why_the_role_is_refused_is_named() {
    type Change = fn(&mut WorkloadIdentity);
    let cases: [(Change, &str, &str); 4] = [
        (|pool| pool.audience.push_str("-deleted"), "invalid_target", "audience"),
        (|pool| pool.role.secret_access_key.push('x'), "invalid_grant", "AWS account"),
        (|pool| pool.role = AwsRole { access_key_id: "ASIAOTHER".into(), ..pool.role.clone() }, "invalid_grant", "AWS"),
        (|pool| pool.client_email.insert(0, 'x'), "PERMISSION_DENIED", "roles/iam.workloadIdentityUser"),
    ];
    for (change, code, fix) in cases {
        let mut account = keyless::account();
        change(account.workload_identity.as_mut().unwrap());
        let reason = Uploader::keyless(account).await.refused().await;
        assert_eq!(reason.code, code);
        assert!(reason.message.contains(fix), "{}", reason.message);
    }
}

#[tokio::test]
async fn a_wrong_clock_is_named() {
    let [slow, right] = ["2026-11-22T12:00:00Z", "2026-11-22T12:10:00Z"].map(|at| Clock::fixed(at.parse().unwrap()));
    let uploader = Uploader::with_clocks(keyless::account(), slow, right, keyless::go_keyless).await;
    let reason = uploader.refused().await;
    assert!(reason.message.contains("clock is wrong"), "{}", reason.message);
}

#[tokio::test]
async fn a_service_account_that_is_gone_or_a_service_that_is_off_is_named() {
    let uploader = Uploader::keyless(keyless::account()).await;
    for (status, reason, fix) in
        [(404, None, "e-mail address"), (403, Some("SERVICE_DISABLED"), "Enable iamcredentials.googleapis.com")]
    {
        let reason = reason.map(str::to_owned);
        uploader.next(Endpoint::IamCredentials, FaultKind::Http { status, retry_after: None, reason, body: None });
        let reason = uploader.refused().await;
        assert!(reason.message.contains(fix), "{}", reason.message);
    }
}
