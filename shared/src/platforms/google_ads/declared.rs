//! A Google Ads account as a destination declares it.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::GoogleAds;
use super::settings::{Shared, conversion_action, customer_id, seconds, transport, user_data};
use crate::deals::{Stage, Stages};
use crate::declarations::{DeclarationProblem, Table};
use crate::platforms::google::declared::{Check, DeclaredNames, Text};
use crate::settings::Settings;

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

impl Check {
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
