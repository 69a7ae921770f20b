//! A Google Ads account as a destination declares it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::GoogleAds;
use super::credentials::Names;
use super::settings::{Shared, conversion_action, customer_id, seconds, transport, user_data};
use crate::deals::{Stage, Stages};
use crate::declarations::{DeclarationProblem, Table};
use crate::settings::{self, Settings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [google_ads]")]
struct Declared {
    customer_id: Option<Spanned<Text>>,
    login_customer_id: Option<Spanned<Text>>,
    actions: Option<Spanned<BTreeMap<String, Spanned<Text>>>>,
    transport: Option<Spanned<Text>>,
    user_data: Option<Spanned<Text>>,
    click_hold_seconds: Option<Spanned<Text>>,
    credentials: Option<Spanned<DeclaredNames>>,
}

/// The settings that hold the credentials, if they aren't the usual ones.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "names of settings, such as { service_account_key = \"FRANCE_SERVICE_ACCOUNT_KEY\" }"
)]
struct DeclaredNames {
    service_account_key: Option<String>,
    external_account: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
}

/// Numbers are taken with and without quotation marks.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
enum Text {
    Text(String),
    Number(u64),
}

impl Text {
    fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
        match self {
            Self::Text(text) => parse(text.trim()),
            Self::Number(number) => parse(&number.to_string()),
        }
    }
}

/// Notes what is wrong with a table.
struct Check {
    here: Range<usize>,
    problems: Vec<DeclarationProblem>,
}

impl Check {
    fn refuse(&mut self, at: Range<usize>, what: impl Into<String>) {
        self.problems.push(DeclarationProblem::at(at, what));
    }

    fn parsed<T>(
        &mut self,
        key: &str,
        text: Option<&Spanned<Text>>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = text?;
        match text.get_ref().parse(parse) {
            Ok(value) => Some(value),
            Err(what) => {
                self.refuse(text.span(), format!("{key} {what}"));
                None
            }
        }
    }

    fn actions(
        &mut self,
        name: &str,
        declared: Option<&Spanned<BTreeMap<String, Spanned<Text>>>>,
        stages: &Stages,
    ) -> BTreeMap<Stage, String> {
        let mut actions = BTreeMap::new();
        for (stage, action) in declared.into_iter().flat_map(Spanned::get_ref) {
            let number = self.parsed(stage, Some(action), conversion_action);
            match stages.find(stage) {
                Some(stage) => actions.extend(number.map(|number| (stage.clone(), number))),
                None => self.refuse(action.span(), format!("{stage} isn't one of STAGES: {stages}")),
            }
        }
        if declared.is_none_or(|it| it.get_ref().is_empty()) {
            let what = format!(
                "has no conversion actions: add a table [{name}.actions] with the action of each stage, such as closed = \
                 987654321"
            );
            self.refuse(declared.map_or(self.here.clone(), Spanned::span), what);
        }
        actions
    }

    fn credentials(&mut self, declared: Option<Spanned<DeclaredNames>>) -> Names {
        let Some(declared) = declared else { return Names::default() };
        let here = declared.span();
        let DeclaredNames { service_account_key, external_account, client_id, client_secret, refresh_token } =
            declared.into_inner();
        let of_person = match (client_id, client_secret, refresh_token) {
            (Some(client_id), Some(client_secret), Some(refresh_token)) => {
                Some([client_id, client_secret, refresh_token])
            }
            (None, None, None) => None,
            _ => {
                self.refuse(here.clone(), "client_id, client_secret and refresh_token belong together: name all three");
                return Names::default();
            }
        };
        let kinds = [service_account_key.is_some(), external_account.is_some(), of_person.is_some()];
        if kinds.into_iter().filter(|it| *it).count() != 1 {
            let what = "names one kind of credentials: service_account_key, external_account, or client_id, \
                        client_secret and refresh_token";
            self.refuse(here, what);
            return Names::default();
        }
        let names = Names { external_account, service_account_key, refresh_token: of_person };
        if !names.iter().all(settings::is_name) {
            let what = "the credentials are named, never written here: give the names of settings, such as \
                        FRANCE_SERVICE_ACCOUNT_KEY";
            self.refuse(here, what);
        }
        names
    }
}

/// Reads the table of a destination.
pub(super) fn read(
    table: Table<'_>,
    stages: &Stages,
    settings: &mut Settings,
) -> Result<GoogleAds, Vec<DeclarationProblem>> {
    let name = table.name.clone();
    let shared = Shared::read(settings);
    let declared: Declared = table.read()?;
    let mut check = Check { here: name.span(), problems: Vec::new() };
    let id = check.parsed("customer_id", declared.customer_id.as_ref(), customer_id);
    if declared.customer_id.is_none() {
        check.refuse(name.span(), "doesn't say its account: add customer_id = \"123-456-7890\"");
    }
    let google = GoogleAds {
        declared_as: Some(name.get_ref().clone()),
        customer_id: id.unwrap_or_default(),
        login_customer_id: check.parsed("login_customer_id", declared.login_customer_id.as_ref(), customer_id),
        conversion_actions: check.actions(name.get_ref(), declared.actions.as_ref(), stages),
        transport: check.parsed("transport", declared.transport.as_ref(), transport).unwrap_or_default(),
        user_data: check.parsed("user_data", declared.user_data.as_ref(), user_data).unwrap_or(true),
        click_hold: check
            .parsed("click_hold_seconds", declared.click_hold_seconds.as_ref(), seconds)
            .unwrap_or(shared.click_hold),
        credentials: check.credentials(declared.credentials),
        shared,
    };
    if check.problems.is_empty() { Ok(google) } else { Err(check.problems) }
}
