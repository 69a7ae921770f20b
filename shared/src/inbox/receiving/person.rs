//! The person of a deal, as it is stored.

use uuid::Uuid;

use super::Report;
use crate::deals::Deal;
use crate::identity::{Email, Hash, Phone};

/// The person of a deal, by hashes.
pub(super) struct Person {
    pub email_hash: Option<String>,
    pub email_hash_google: Option<String>,
    /// Separated by commas: SQL has no arrays of arrays that differ in length.
    pub other_email_hashes: String,
    pub phone_hash: Option<String>,
    pub phone_hash_digits: Option<String>,
}

impl Person {
    pub fn of(deal: &Deal) -> Self {
        let text = |hash: &Hash| hash.as_str().to_owned();
        let others: Vec<_> = deal.other_email_hashes().iter().map(text).collect();
        Self {
            email_hash: deal.email.as_ref().map(Email::hash).as_ref().map(text),
            email_hash_google: deal.email.as_ref().and_then(Email::google_hash).as_ref().map(text),
            other_email_hashes: others.join(","),
            phone_hash: deal.phone.as_ref().and_then(|phone| phone.hash().ok()).map(text),
            phone_hash_digits: deal.phone.as_ref().and_then(Phone::digits_hash).map(text),
        }
    }
}

/// The persons of several reports, column by column, as statements take them.
pub(super) struct Columns<'a> {
    pub leads: Vec<Option<Uuid>>,
    pub emails: Vec<Option<&'a str>>,
    pub google_emails: Vec<Option<&'a str>>,
    pub other_emails: Vec<&'a str>,
    pub phones: Vec<Option<&'a str>>,
    pub phone_digits: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    pub fn of<'d: 'a>(reports: impl Iterator<Item = &'a Report<'d>>) -> Self {
        let reports: Vec<_> = reports.collect();
        let persons = || reports.iter().map(|it| &it.person);
        Self {
            leads: reports.iter().map(|it| it.deal.lead_id).collect(),
            emails: persons().map(|it| it.email_hash.as_deref()).collect(),
            google_emails: persons().map(|it| it.email_hash_google.as_deref()).collect(),
            other_emails: persons().map(|it| it.other_email_hashes.as_str()).collect(),
            phones: persons().map(|it| it.phone_hash.as_deref()).collect(),
            phone_digits: persons().map(|it| it.phone_hash_digits.as_deref()).collect(),
        }
    }
}
