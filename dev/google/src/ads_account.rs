//! The Google Ads accounts that exist in the sandbox, and their conversion actions.

use std::collections::{BTreeMap, BTreeSet};

use crate::account::GoogleAccount;

/// A Google Ads account of the advertiser: a customer, as Google calls it.
#[derive(Clone, Debug)]
pub struct AdsAccount {
    /// Ten digits without hyphens.
    pub customer_id: String,
    /// The manager account through which the credentials reach this one, ten digits. With `None` they have direct
    /// access, and another login account is refused.
    pub login_customer_id: Option<String>,
    /// The numeric ids that are valid as `productDestinationId`, and at the end of a `conversionAction`.
    pub conversion_actions: BTreeSet<String>,
    /// Whether the Google Ads API accepts its click conversions.
    pub allow_listed_for_click_uploads: bool,
}

impl AdsAccount {
    /// An account that the credentials reach directly, open for both APIs.
    pub fn new<A: Into<String>>(
        customer_id: impl Into<String>,
        conversion_actions: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            customer_id: customer_id.into(),
            login_customer_id: None,
            conversion_actions: conversion_actions.into_iter().map(Into::into).collect(),
            allow_listed_for_click_uploads: true,
        }
    }

    /// The second account of local development, beside [`GoogleAccount::dev`].
    #[must_use]
    pub fn second_dev() -> Self {
        Self::new("2223334444", ["111", "112"])
    }

    pub(crate) fn has_action(&self, id: &str) -> bool {
        self.conversion_actions.contains(id)
    }

    /// Through a manager the credentials have to name it. Without a login account they come as the account itself.
    fn lets_in(&self, login: Option<&str>) -> bool {
        let entrance = self.login_customer_id.as_ref().unwrap_or(&self.customer_id);
        login.unwrap_or(&self.customer_id) == entrance
    }
}

impl From<&GoogleAccount> for AdsAccount {
    fn from(account: &GoogleAccount) -> Self {
        Self {
            customer_id: account.customer_id.clone(),
            login_customer_id: account.login_customer_id.clone(),
            conversion_actions: account.conversion_actions.clone(),
            allow_listed_for_click_uploads: account.allow_listed_for_click_uploads,
        }
    }
}

/// What conversions are counted at: a conversion action of an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConversionAction {
    pub customer_id: String,
    pub id: String,
}

/// All accounts, by their customer ids.
#[derive(Debug, Default)]
pub(crate) struct AdsAccounts(BTreeMap<String, AdsAccount>);

impl AdsAccounts {
    pub(crate) fn add(&mut self, account: AdsAccount) {
        self.0.insert(account.customer_id.clone(), account);
    }

    pub(crate) fn get(&self, customer_id: &str) -> Option<&AdsAccount> {
        self.0.get(customer_id)
    }

    /// The account, if the caller, who holds the credentials, may write to it through this login account.
    pub(crate) fn open_to(&self, login: Option<&str>, customer_id: &str) -> Option<&AdsAccount> {
        self.get(customer_id).filter(|account| account.lets_in(login))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_has_an_entrance_of_its_own() {
        const MANAGER: &str = "9876543210";
        let mut accounts = AdsAccounts::default();
        accounts.add(AdsAccount::new("1234567890", ["11"]));
        accounts
            .add(AdsAccount { login_customer_id: Some(MANAGER.to_owned()), ..AdsAccount::new("2223334444", ["12"]) });
        for (customer_id, login, is_open) in [
            ("1234567890", None, true),
            ("1234567890", Some("1234567890"), true),
            ("1234567890", Some(MANAGER), false),
            ("2223334444", None, false),
            ("2223334444", Some("2223334444"), false),
            ("2223334444", Some("1234567890"), false),
            ("2223334444", Some(MANAGER), true),
            ("1111111111", None, false),
            (MANAGER, None, false),
        ] {
            assert_eq!(accounts.open_to(login, customer_id).is_some(), is_open, "{customer_id} {login:?}");
        }
    }

    #[test]
    fn an_account_that_is_added_again_is_replaced() {
        let mut accounts = AdsAccounts::default();
        accounts.add(AdsAccount::new("1234567890", ["11"]));
        accounts.add(AdsAccount::new("1234567890", ["11", "12"]));
        assert!(accounts.get("1234567890").is_some_and(|account| account.has_action("12")));
    }
}
