//! No credential, e-mail address, phone number or hash gets to where it doesn't belong: into logs, into stored reasons,
//! into what is printed of a platform.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use lambda_http::tracing::subscriber;
use serde_json::{Value, json};
use shared::identity::Hash;
use sqlx::PgPool;
use testing::rows;
use tracing::level_filters::LevelFilter;

use crate::platforms;
use crate::trial::{PHONE, Trial, email_of, id_of};
use crate::wire::Trouble;

thread_local! {
    /// What was logged on this thread, on which one test runs.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Everything is logged there. For all tests of the process: a subscriber of one thread misses events that another
/// thread came by first.
static LOGGING: Once = Once::new();

struct Log;

impl Log {
    /// Begins an empty one.
    fn begin() {
        LOGGING.call_once(|| subscriber::fmt().with_max_level(LevelFilter::DEBUG).with_writer(|| Self).init());
        LOG.take();
    }

    fn end() -> String {
        String::from_utf8_lossy(&LOG.take()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asserts that a text has none of these.
fn assert_silent(what: &str, text: &str, private: &[String]) {
    for it in private {
        assert!(!text.contains(it), "{what} has {it}: {text}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn nothing_private_is_logged_stored_as_a_reason_or_printed(pool: PgPool) {
    for platform in platforms::ALL {
        Log::begin();
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        let names = ["jane", "joan", "joe", "jim", "late"];
        let hashes = names.map(|name| Hash::of(email_of(name)).as_str().to_owned());
        let phones = [Hash::of(PHONE), Hash::of(&PHONE[1..])].map(|hash| hash.as_str().to_owned());
        let secrets = trial.settings().into_iter().filter(|(name, _)| trial.sandbox.credentials().contains(name));
        let mut private: Vec<_> = secrets.map(|(_, value)| value).collect();
        private.extend(names.map(email_of));
        private.extend([PHONE.to_owned(), PHONE[1..].to_owned()]);
        private.extend(hashes.iter().chain(&phones).cloned());

        // Delivered; refused by a sentence that quotes what was sent; rejected; nobody there; nobody let in.
        trial.closed(&adtrail, "jane").await;
        adtrail.run().await;
        for name in ["joan", "joe"] {
            trial.closed(&adtrail, name).await;
        }
        trial.sandbox.reject(&id_of("joe"));
        trial.sandbox.refuse_quoting(&hashes.iter().chain(&phones).cloned().collect::<Vec<_>>().join(", "));
        adtrail.run_for_hours(2).await;
        trial.closed(&adtrail, "jim").await;
        trial.wire.breaks(Trouble::Away);
        adtrail.run_for_hours(2).await;
        trial.wire.is_mended();
        trial.closed(&adtrail, "late").await;
        trial.sandbox.refuse_credentials();
        adtrail.run_for_hours(2).await;
        private.extend(trial.wire.sent().into_iter().map(|it| it.token).filter(|it| !it.is_empty()));

        let logged = Log::end();
        assert!(logged.contains("run done") && logged.contains("DEBUG"), "{logged}");
        assert_silent("the log", &logged, &private);
        let stored = "select reason from public.upload_attempts where reason is not null
                      union all select reason from public.platform_state where reason is not null
                      union all select last_error from public.conversion_queue where last_error is not null";
        let stored = rows(&pool, stored).await;
        assert!(stored.len() > 3, "{stored:?}");
        assert_silent("a reason", &Value::from(stored).to_string(), &private);
        assert_silent("what is printed", &format!("{:?}", adtrail.destinations()), &private);
        assert_silent("its description", &json!(adtrail.main().platform.described()).to_string(), &private);
        assert_silent("health", &json!(adtrail.health().await).to_string(), &private);
    }
}
