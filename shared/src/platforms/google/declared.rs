//! What declarations of Google's products have in common: how values are written, and the names of credentials.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::credentials::Names;
use crate::declarations::DeclarationProblem;
use crate::settings;

/// The settings that hold the credentials, if they aren't the usual ones.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "names of settings, such as { service_account_key = \"FRANCE_SERVICE_ACCOUNT_KEY\" }"
)]
pub(crate) struct DeclaredNames {
    service_account_key: Option<String>,
    external_account: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
}

/// Numbers are taken with and without quotation marks.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
pub(crate) enum Text {
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
pub(crate) struct Check {
    pub(crate) here: Range<usize>,
    pub(crate) problems: Vec<DeclarationProblem>,
}

impl Check {
    pub(crate) fn refuse(&mut self, at: Range<usize>, what: impl Into<String>) {
        self.problems.push(DeclarationProblem::at(at, what));
    }

    pub(crate) fn parsed<T>(
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

    pub(crate) fn credentials(&mut self, declared: Option<Spanned<DeclaredNames>>) -> Names {
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
