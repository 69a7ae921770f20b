//! Google Ads, told through the Data Manager API, or through the Google Ads API where the account may still use that
//! for uploads. Retractions always go through the latter: the former has none.

mod ads_api;
mod data_manager;
mod declared;
mod identifiers;
mod meaning;
mod probe;
mod settings;
mod versions;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, TimeDelta, Utc};

use super::google::api::Api;
use super::google::auth::{Scope, TokenSource};
use super::google::batch::Answered;
use super::google::credentials;
use super::{
    Candidate, Connecting, Conversion, Correction, Entry, Lane, Lanes, Operation, Outcome, Plan, Platform, Preview,
    Reason, Route, ShortForm, SkipReason, Window,
};
use crate::deals::Stage;

use ads_api::AdsApi;
use data_manager::DataManager;
pub(crate) use data_manager::reasons::{of_processing, of_request};
pub(crate) use meaning::ReasonMeaning;
use settings::Shared;
pub use settings::{conversion_action, customer_id};

/// What `clicks` calls Google's.
const NETWORK: &str = "google";

/// Google Ads' line in the registry.
pub const ENTRY: Entry = Entry {
    id: "google-ads",
    network: NETWORK,
    click_has_one_account: true,
    corrections: &[
        Correction { operation: Operation::Restatement, window: windows::ADJUSTMENT },
        Correction { operation: Operation::Retraction, window: windows::ADJUSTMENT },
    ],
    declared: |table, stages, settings| Ok(Arc::new(declared::read(table, stages, settings)?)),
    short_form: Some(ShortForm {
        name: "google_ads",
        setting: settings::CUSTOMER_ID,
        read: |settings, stages| Some(Arc::new(settings::short_form(settings, stages)?)),
    }),
};

/// An account that conversions go to, and how to reach it.
#[derive(Clone, Debug)]
pub struct GoogleAds {
    /// The destination's name, if it was declared.
    declared_as: Option<String>,
    /// The account that owns the conversion actions: ten digits.
    customer_id: String,
    /// The manager account the credentials have access through, if they have none of their own.
    login_customer_id: Option<String>,
    /// The numbers of the conversion actions.
    conversion_actions: BTreeMap<Stage, String>,
    /// Which API uploads go through.
    transport: Transport,
    /// Are hashed e-mails and phones sent beside the click ids?
    user_data: bool,
    /// From a click to the first upload.
    click_hold: TimeDelta,
    credentials: credentials::Names,
    shared: Shared,
}

/// The API that uploads go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// The Data Manager API, open to every account.
    #[default]
    DataManager,
    /// The Google Ads API: for accounts that uploaded through it before June 2026.
    GoogleAds,
}

impl Transport {
    fn as_str(self) -> &'static str {
        match self {
            Self::DataManager => "data_manager",
            Self::GoogleAds => "google_ads",
        }
    }
}

/// A conversion action, the account that owns it, and how that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target<'a> {
    customer_id: &'a str,
    action: &'a str,
    /// The manager account to name: only where access goes through it, otherwise Google refuses.
    manager: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// From the resource name of the conversion action.
    fn parse(resource: &'a str) -> Option<Self> {
        let (customer_id, action) = resource.strip_prefix("customers/")?.split_once("/conversionActions/")?;
        Some(Self { customer_id, action, manager: None })
    }

    fn resource(self) -> String {
        format!("customers/{}/conversionActions/{}", self.customer_id, self.action)
    }
}

impl Platform for GoogleAds {
    fn target(&self, stage: &Stage) -> Option<String> {
        let action = self.conversion_actions.get(stage)?;
        Some(Target { customer_id: &self.customer_id, action, manager: None }.resource())
    }

    fn plan(&self, candidate: &Candidate) -> Plan {
        let click = candidate.clicks.get(NETWORK).filter(|click| click.is_one());
        let has_user_data = self.user_data && (candidate.hashes.email_google || candidate.hashes.phone);
        let click_until = click.and_then(|click| click.at?.checked_add_signed(windows::CLICK));
        let user_data_until = candidate.lead_at.checked_add_signed(windows::USER_DATA);
        match (click, has_user_data) {
            (None, false) => Plan::Skip(SkipReason::NoAttribution),
            (None, true) => Plan::Send(Window { from: None, until: user_data_until }),
            (Some(click), _) => Plan::Send(Window {
                from: click.at.and_then(|at| at.checked_add_signed(self.click_hold)),
                until: click_until.max(user_data_until.filter(|_| has_user_data || click.at.is_none())),
            }),
        }
    }

    fn reached_through(&self) -> Option<&str> {
        Some(self.login_customer_id.as_ref().unwrap_or(&self.customer_id))
    }

    fn described(&self) -> Vec<(&'static str, String)> {
        let through = self.login_customer_id.as_ref().map(|id| ("login_customer_id", id.clone()));
        let own = [
            ("customer_id", self.customer_id.clone()),
            ("transport", self.transport.as_str().into()),
            ("user_data", if self.user_data { "send" } else { "omit" }.into()),
            ("hold", format!("{} s from the click", self.click_hold.num_seconds())),
            (
                "counts",
                format!(
                    "{} days from the click, e-mail and phone {} days from the form",
                    windows::CLICK.num_days(),
                    windows::USER_DATA.num_days()
                ),
            ),
            ("credentials", self.credentials.in_words()),
        ];
        own.into_iter().chain(through).collect()
    }

    fn ends_soon(&self, now: DateTime<Utc>) -> Option<Reason> {
        versions::ends_soon(&self.shared.ads_api_version, now)
    }

    fn preview(&self, conversion: &Conversion, operation: Operation, now: DateTime<Utc>) -> Result<Preview, Outcome> {
        if self.is_told_by_data_manager(operation) {
            data_manager::preview(self, conversion, operation, now)
        } else {
            ads_api::preview(self, conversion, operation, now)
        }
    }

    fn connect(&self, destination: &str, connecting: &mut Connecting<'_, '_>) -> Option<Lanes> {
        let credentials = credentials::read(connecting.settings, &self.credentials)?;
        let Connecting { http, clock, .. } = connecting;
        let tokens = TokenSource::new(credentials, self.shared.token_url.clone(), http.clone(), clock.clone());
        let tokens = Arc::new(tokens);
        let google = Arc::new(self.clone());
        let names_refused = Arc::<AtomicBool>::default();
        let lane = |operation: Operation| -> Box<dyn Lane> {
            let (google, clock) = (Arc::clone(&google), clock.clone());
            let api = |scope| Api { tokens: Arc::clone(&tokens), scope, http: http.clone() };
            let route = |transport| Route {
                destination: destination.into(),
                lane: operation.lane_of(destination),
                operation,
                transport,
                network: NETWORK,
                // Google counts by the project of the credentials.
                quota: self.credentials.iter().collect::<Vec<_>>().join(" "),
            };
            if google.is_told_by_data_manager(operation) {
                let (api, names_refused) = (api(Scope::DataManager), Arc::clone(&names_refused));
                Box::new(DataManager { google, api, clock, route: route("data_manager"), names_refused })
            } else {
                Box::new(AdsApi { google, api: api(Scope::Adwords), clock, route: route("google_ads") })
            }
        };
        Some([Operation::Upload, Operation::Restatement, Operation::Retraction].map(lane).into())
    }
}

impl GoogleAds {
    fn is_told_by_data_manager(&self, operation: Operation) -> bool {
        self.transport == Transport::DataManager && operation != Operation::Retraction
    }

    /// Where to send this: a correction to where the conversion was sent. Or that it waits for a conversion action.
    fn target_of<'a>(&'a self, conversion: &'a Conversion) -> Result<Target<'a>, Outcome> {
        if let Some(told) = conversion.sent_to.as_deref().and_then(Target::parse) {
            return Ok(Target {
                manager: self.manager_for(told.customer_id, conversion.sent_through.as_deref()),
                ..told
            });
        }
        let stage = &conversion.conversion_type;
        let Some(action) = self.conversion_actions.get(stage) else {
            let fix = match &self.declared_as {
                Some(name) => format!("add {stage} to [{name}.actions] in DESTINATIONS"),
                None => format!("set {}", settings::action(stage)),
            };
            let message =
                format!("Google Ads has no conversion action for {stage} deals: {fix}, and name the stage in STAGES.");
            return Err(Outcome::Held(Reason::new("no_conversion_action", message)));
        };
        let manager = self.manager_for(&self.customer_id, None);
        Ok(Target { customer_id: &self.customer_id, action, manager })
    }

    /// The manager account to name in a request about this account. Another account than today's is reached as it was
    /// when it was told.
    fn manager_for<'a>(&'a self, customer_id: &str, told_through: Option<&'a str>) -> Option<&'a str> {
        let through = told_through.filter(|_| customer_id != self.customer_id);
        through.or(self.login_customer_id.as_deref()).filter(|id| *id != customer_id)
    }

    /// An account that conversions went to before the setting was changed, and that Google refuses access to, is no
    /// reason to pause what goes to today's: only what has to go there waits.
    fn hold_elsewhere(&self, customer_id: &str, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Paused(reason) if customer_id != self.customer_id => {
                Outcome::Held(self.told_elsewhere(customer_id, &reason))
            }
            outcome => outcome,
        }
    }

    /// The same for all that an answer says.
    fn hold_all_elsewhere(&self, target: Target<'_>, answered: Answered, conversions: usize) -> Answered {
        let hold = |outcome| self.hold_elsewhere(target.customer_id, outcome);
        match answered {
            Answered::Each(outcomes) => Answered::Each(outcomes.into_iter().map(hold).collect()),
            Answered::Blamed(blamed) => {
                Answered::Blamed(blamed.into_iter().map(|(row, outcome)| (row, hold(outcome))).collect())
            }
            Answered::Failed(outcome) => match hold(outcome) {
                kept @ Outcome::Held(_) => Answered::Each(vec![kept; conversions]),
                outcome => Answered::Failed(outcome),
            },
            Answered::Unnamed(outcome) => Answered::Unnamed(hold(outcome)),
            too_large @ Answered::TooLarge(_) => too_large,
        }
    }

    fn told_elsewhere(&self, customer_id: &str, reason: &Reason) -> Reason {
        let message = format!(
            "It belongs to account {customer_id}, which had the conversion before the setting was changed to {}, and \
             Google refuses access to that: give the credentials access to it again, and it goes. Others are sent. {}",
            self.customer_id, reason.message
        );
        Reason::new(&reason.code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account with one conversion action.
    pub(super) fn google() -> GoogleAds {
        GoogleAds {
            declared_as: None,
            customer_id: "1234567890".into(),
            login_customer_id: None,
            conversion_actions: BTreeMap::from([(Stage::closed(), "987654321".into())]),
            transport: Transport::DataManager,
            user_data: true,
            click_hold: windows::YOUNGEST_CLICK,
            credentials: credentials::Names::default(),
            shared: Shared {
                data_manager_url: String::new(),
                ads_api_url: String::new(),
                ads_api_version: "v26".into(),
                token_url: None,
                click_hold: windows::YOUNGEST_CLICK,
            },
        }
    }

    #[test]
    fn a_type_without_an_action_waits_for_one() {
        let conversion = identifiers::tests::conversion();
        let found = google();
        assert_eq!(found.target_of(&conversion).map(Target::resource), Ok(found.target(&Stage::closed()).unwrap()));
        let qualified = Conversion { conversion_type: Stage::qualified(), ..conversion };
        let fix = |google: GoogleAds| match google.target_of(&qualified) {
            Err(Outcome::Held(reason)) => reason.message,
            other => panic!("{other:?}"),
        };
        assert!(fix(google()).contains("GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED"));
        assert!(fix(GoogleAds { declared_as: Some("fr".into()), ..google() }).contains("[fr.actions]"));
    }

    #[test]
    fn a_correction_goes_where_the_conversion_went() {
        let sent_to = Some("customers/2223334444/conversionActions/7".to_owned());
        let conversion = Conversion { sent_to, ..identifiers::tests::conversion() };
        let target = |manager| Target { customer_id: "2223334444", action: "7", manager };
        assert_eq!(google().target_of(&conversion), Ok(target(None)));
        // Another account is reached as it was then; nothing is known of rows of earlier versions.
        let managed = GoogleAds { login_customer_id: Some("9999999999".into()), ..google() };
        assert_eq!(managed.target_of(&conversion), Ok(target(Some("9999999999"))));
        for (through, manager) in [("8888888888", Some("8888888888")), ("2223334444", None)] {
            let told = Conversion { sent_through: Some(through.into()), ..conversion.clone() };
            assert_eq!(managed.target_of(&told), Ok(target(manager)), "{through}");
            let own = Conversion { sent_to: managed.target(&Stage::closed()), ..told };
            assert_eq!(
                managed.target_of(&own).unwrap().manager,
                Some("9999999999"),
                "today's access to today's account"
            );
        }
    }
}
