//! How often anonymous callers may write. Anybody can call the website's endpoints; without a limit, one machine fills
//! the database.
//!
//! A call counts for its address, its browser and its e-mail address, each on its own, for each hour. It is counted by
//! the statement that stores what it sent (`count_call` in SQL), so a limit costs no round trip.

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use secrecy::SecretString;

use crate::db::{DbError, Tx};
use crate::identity::{Hash, ip_hash};
use crate::settings::Settings;

/// How often one caller may call an endpoint within an hour.
#[derive(Debug)]
pub struct RateLimit {
    endpoint: &'static str,
    /// From one address.
    calls: i32,
    /// Keys the hash of addresses.
    ip_hash_key: Option<SecretString>,
}

/// Events of one address in an hour, if the operator sets no other number.
const EVENTS: i32 = 6_000;
/// Visits of one address in an hour.
const VISITS: i32 = 3_000;
/// Leads of one address in an hour.
const LEADS: i32 = 300;
/// Many people share an address, and nobody else a browser or an e-mail address: they have this part of its limit.
const OF_ONE_PERSON: i32 = 10;
/// A lead is refused only above this many times the limit. In between it is stored as suspicious.
pub(crate) const LEADS_REFUSED_ABOVE: f64 = 10.0;

impl RateLimit {
    /// Of `POST /api/track/event`.
    pub fn events(settings: &mut Settings) -> Self {
        Self::read(settings, "event", "EVENTS_PER_HOUR", EVENTS)
    }

    /// Of `POST /api/track/visit`.
    pub fn visits(settings: &mut Settings) -> Self {
        Self::read(settings, "visit", "VISITS_PER_HOUR", VISITS)
    }

    /// Of `POST /api/consent`: as many as visits, and counted apart from them.
    pub fn consents(settings: &mut Settings) -> Self {
        Self::read(settings, "consent", "VISITS_PER_HOUR", VISITS)
    }

    /// Of `POST /api/leads`.
    pub fn leads(settings: &mut Settings) -> Self {
        Self::read(settings, "lead", "LEADS_PER_HOUR", LEADS)
    }

    fn read(settings: &mut Settings, endpoint: &'static str, name: &str, default: i32) -> Self {
        Self {
            endpoint,
            calls: settings.parsed(name, parse).unwrap_or(default),
            ip_hash_key: settings.own_secret("IP_HASH_KEY"),
        }
    }

    /// For whom a call from this address counts.
    #[must_use]
    pub fn callers(&self, address: Option<IpAddr>) -> Callers {
        self.callers_at(self.hashed(address).as_ref())
    }

    /// The address, as it may be kept.
    #[must_use]
    pub fn hashed(&self, address: Option<IpAddr>) -> Option<Hash> {
        Some(ip_hash(address?, self.ip_hash_key.as_ref()?))
    }

    /// For whom a call from the address of this hash counts.
    #[must_use]
    pub fn callers_at(&self, hashed: Option<&Hash>) -> Callers {
        let mut callers =
            Callers { endpoint: self.endpoint, of_one_person: self.calls / OF_ONE_PERSON, ..Callers::default() };
        if let Some(hashed) = hashed {
            callers.sender.add(callers.key("address", hashed), self.calls);
        }
        callers
    }
}

/// The most that can be set. As good as no limit.
const HIGHEST: i32 = 1_000_000_000;

fn parse(text: &str) -> Result<i32, String> {
    let calls = text.parse().ok().filter(|calls| (OF_ONE_PERSON..=HIGHEST).contains(calls));
    calls.ok_or_else(|| {
        format!("must be a whole number from {OF_ONE_PERSON} to {HIGHEST}: the calls of one IP address in an hour")
    })
}

/// For whom a call counts.
#[derive(Debug, Default)]
pub struct Callers {
    endpoint: &'static str,
    of_one_person: i32,
    /// The address and the browser that call.
    pub(crate) sender: Counted,
    /// The e-mail address that they name. Anybody can name anybody's.
    pub(crate) email: Counted,
}

/// Callers with the limit of each, as columns.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub keys: Vec<String>,
    pub limits: Vec<i32>,
}

impl Counted {
    fn add(&mut self, key: String, limit: i32) {
        self.keys.push(key);
        self.limits.push(limit);
    }
}

impl Callers {
    /// Counts for the browser of this visitor id.
    #[must_use]
    pub fn visitor(mut self, id: Option<impl fmt::Display>) -> Self {
        if let Some(id) = id {
            self.sender.add(self.key("visitor", &Hash::of(id.to_string())), self.of_one_person);
        }
        self
    }

    /// Counts for this e-mail address.
    #[must_use]
    pub fn email(mut self, hash: &Hash) -> Self {
        self.email.add(self.key("email", hash), self.of_one_person);
        self
    }

    fn key(&self, kind: &str, hash: &Hash) -> String {
        format!("{}/{kind}/{}", self.endpoint, hash.as_str())
    }
}

/// When the calls of a caller are counted from nothing again.
#[must_use]
pub fn resets_in(now: DateTime<Utc>) -> TimeDelta {
    let hour = TimeDelta::hours(1);
    now.duration_trunc(hour).map_or(hour, |started| started + hour - now)
}

/// Deletes the counters of hours that are over.
pub async fn forget(tx: &mut Tx, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- rate_limits::forget
        delete from public.rate_counters where hour < $1::timestamptz - interval '2 hours'",
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, calls: &str) -> RateLimit {
        let settings = [("IP_HASH_KEY", key), ("EVENTS_PER_HOUR", calls)];
        let values = settings.map(|(name, value)| (name.to_owned(), SecretString::from(value))).into();
        RateLimit::events(&mut Settings::new(&values))
    }

    #[test]
    fn a_call_counts_for_its_network_its_browser_and_its_email_address() {
        let callers = |address: &str| {
            let callers = of("key", "500").callers(address.parse().ok());
            callers.visitor(Some("browser")).email(&Hash::of("jane.doe@example.com"))
        };
        let one = callers("2001:db8::1");
        assert_eq!((&one.sender.limits, &one.email.limits), (&vec![500, 50], &vec![50]));
        let mut keys = one.sender.keys.iter().chain(&one.email.keys);
        assert!(keys.all(|key| key.starts_with("event/") && !key.contains("2001:db8") && !key.contains('@')));
        assert_eq!(one.sender.keys, callers("2001:db8::ffff").sender.keys, "one connection has 2^64 addresses");
        assert_ne!(one.sender.keys[0], callers("2001:db8:0:1::1").sender.keys[0]);
        assert_eq!(one.sender.keys[1..], callers("192.0.2.1").sender.keys[1..]);
        assert_eq!(one.email.keys, callers("192.0.2.1").email.keys);
        assert_eq!(of("key", "500").callers(None).visitor(None::<&str>).sender.keys, [""; 0]);
    }

    #[test]
    fn a_limit_is_a_number_of_calls() {
        assert_eq!(of("key", "").calls, EVENTS);
        for wrong in ["0", "9", "-1", "ten", "1.5", "1000000001"] {
            assert!(parse(wrong).unwrap_err().contains("from 10 to 1000000000"), "{wrong}");
        }
    }

    #[test]
    fn counting_starts_again_with_the_next_hour() {
        let at = |text: &str| resets_in(text.parse().unwrap()).num_seconds();
        assert_eq!(at("2026-11-29T10:00:00Z"), 3600);
        assert_eq!(at("2026-11-29T10:59:59Z"), 1);
    }
}
