//! What a sandbox works with, from INIT until it ends. Its settings are those of the secret as it is now: a secret may
//! change while sandboxes live.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::app::App;
use crate::clock::Clock;
use crate::settings::{self, ConfigError, FromSettings, SECRET_ID, Settings, Values};

/// A request waits for Secrets Manager no longer than this, and goes on with what was read before. Its own time comes
/// on top (`template.yaml`, `Timeout`).
pub const PATIENCE: Duration = Duration::from_millis(500);

/// For how many seconds a secret counts as read (AWS Parameters and Secrets Lambda Extension, `SECRETS_MANAGER_TTL`).
struct SecretTtl(TimeDelta);

impl FromSettings for SecretTtl {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        let seconds: Option<u16> = settings.parsed("SECRETS_MANAGER_TTL", |text| {
            let seconds = text.parse().ok().filter(|seconds| *seconds <= 3600);
            seconds.ok_or_else(|| "must be a number of seconds from 0 to 3600".into())
        });
        Self(TimeDelta::seconds(seconds.unwrap_or(300).into()))
    }
}

/// The settings in use, and what was made of them: `E` for what is done around the handler, and its app.
pub(super) struct Sandbox<E: 'static, C: 'static> {
    requires: &'static [&'static str],
    current: Mutex<Current<E, C>>,
}

struct Current<E: 'static, C: 'static> {
    values: Values,
    ttl: TimeDelta,
    read_at: DateTime<Utc>,
    around: &'static E,
    app: &'static App<C>,
}

impl<E: FromSettings, C: FromSettings> Sandbox<E, C> {
    /// Reads the settings and connects, during INIT. If the database doesn't answer now, the first request connects.
    pub(super) async fn start(requires: &'static [&'static str]) -> Result<Self, ConfigError> {
        let current = Current::of(settings::values().await?, requires)?;
        if let Err(error) = current.app.db.warm().await {
            tracing::warn!(%error, "no database connection yet");
        }
        Ok(Self { requires, current: Mutex::new(current) })
    }

    /// With the settings as they are now. If they can't be read, or can't be used, with those before.
    pub(super) async fn current(&self) -> (&'static E, &'static App<C>) {
        let mut current = self.current.lock().await;
        let now = current.app.clock.now();
        if now < current.read_at + current.ttl || settings::value(&current.values, SECRET_ID).is_none() {
            return (current.around, current.app);
        }
        current.read_at = now;
        match timeout(PATIENCE, settings::values()).await {
            Ok(Ok(values)) if is_same(&values, &current.values) => {}
            Ok(Ok(values)) => match Current::of(values, self.requires) {
                Ok(changed) => {
                    tracing::info!("the secret has changed, its settings are in use now");
                    current.app.db.disconnect();
                    *current = changed;
                }
                Err(error) => {
                    let problems = error.problems();
                    tracing::error!(
                        problems,
                        "the secret has changed and can't be used: the settings before are still in use"
                    );
                }
            },
            Ok(Err(error)) => {
                let problems = error.problems();
                tracing::error!(problems, "the secret can't be read again: the settings before are still in use");
            }
            Err(_) => tracing::warn!("the secret can't be read again: Secrets Manager doesn't answer"),
        }
        (current.around, current.app)
    }
}

impl<E: FromSettings, C: FromSettings> Current<E, C> {
    fn of(values: Values, requires: &[&str]) -> Result<Self, ConfigError> {
        let App { config: ((SecretTtl(ttl), around), config), db, clock } = App::deployed(&values, requires)?;
        let read_at = clock.now();
        // They live as long as the sandbox, or until its secret changes, which is rare: leaked and lent freely.
        let (around, app) = (Box::leak(Box::new(around)), Box::leak(Box::new(App { config, db, clock })));
        Ok(Self { values, ttl, read_at, around, app })
    }
}

fn is_same(one: &Values, other: &Values) -> bool {
    fn exposed(values: &Values) -> impl Iterator<Item = (&String, &str)> {
        values.iter().map(|(name, value)| (name, value.expose_secret()))
    }
    exposed(one).eq(exposed(other))
}
