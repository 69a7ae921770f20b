//! What operators declare: complete and right, or refused with the line and the fix.

use secrecy::SecretString;
use serde_json::json;
use shared::platforms::Destinations;
use shared::settings::Settings;
use sqlx::PgPool;
use testing::row;

use crate::platforms::{self, REGISTRY};
use crate::trial::{MAIN, Trial};

/// A declaration, line by line.
struct Lines(Vec<String>);

impl Lines {
    fn of(declaration: &str) -> Self {
        Self(declaration.lines().map(String::from).collect())
    }

    /// The place of the line that says this key.
    fn place(&self, key: &str) -> usize {
        self.0.iter().position(|line| line.starts_with(&format!("{key} = "))).unwrap()
    }

    fn text(&self) -> String {
        self.0.join("\n")
    }
}

/// What Adtrail says to this declaration.
fn refusal(trial: &Trial, declaration: &str) -> String {
    match trial.deploy(declaration, &trial.settings()) {
        Ok(_) => panic!("accepted: {declaration}"),
        Err(error) => error.to_string(),
    }
}

/// Asserts that an error names the destination, the number of the line and what else helps.
fn assert_names(error: &str, line: usize, helpful: &[&str]) {
    let place = format!("DESTINATIONS destination {MAIN}, line {line}:");
    assert!(error.contains(&place), "{place} in {error}");
    // What the line says is shown, too; the fix comes after it.
    let (_, what) = error.split_once("\n  ").unwrap();
    for text in helpful {
        assert!(what.contains(text), "{text} in {what}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_that_is_unknown_missing_or_wrong_is_refused_with_line_and_fix(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let right = trial.destination(MAIN, 0);
        let keys: Vec<_> = trial.sandbox.declaration(0).into_iter().map(|(key, _)| key).collect();

        let mut unknown = Lines::of(&right);
        unknown.0.push("invented = 1".into());
        assert_names(&refusal(&trial, &unknown.text()), unknown.0.len(), &keys);
        assert_names(&refusal(&trial, &unknown.text()), unknown.0.len(), &["invented", "expected"]);

        for key in keys {
            let mut incomplete = Lines::of(&right);
            incomplete.0.remove(incomplete.place(key));
            assert_names(&refusal(&trial, &incomplete.text()), 1, &[key, "add "]);

            let mut wrong = Lines::of(&right);
            let place = wrong.place(key);
            wrong.0[place] = format!("{key} = [true]");
            assert_names(&refusal(&trial, &wrong.text()), place + 1, &["expected"]);
        }
        for (when, helpful) in [
            ("true", "expected"),
            ("{ site = [[1]] }", "expected a text"),
            ("{ invented = \"x\" }", "those are site, "),
            ("{ stage = \"invented\" }", "isn't one of STAGES"),
            ("{ site = [] }", "needs at least one value"),
        ] {
            let mut wrong = Lines::of(&right);
            wrong.0.push(format!("when = {when}"));
            assert_names(&refusal(&trial, &wrong.text()), wrong.0.len(), &[helpful]);
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn one_account_declared_twice_is_refused_and_all_mistakes_are_told_at_once(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let right = trial.destination(MAIN, 0);
        let twice = format!("{right}{}", trial.destination("second", 0));
        let error = refusal(&trial, &twice);
        assert!(error.contains("second, line ") && error.contains(MAIN), "the same account twice: {error}");

        let wrong = format!("{right}invented = 1\n{}invented = 1\n", trial.destination("second", 1));
        assert_eq!(refusal(&trial, &wrong).matches("unknown field").count(), 2);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_missing_credential_pauses_its_destination_with_its_name_and_the_uploader_alone_needs_it(pool: PgPool) {
    for platform in platforms::ALL {
        for name in Trial::of(platform, &pool).await.sandbox.credentials() {
            let trial = Trial::of(platform, &pool).await;
            let mut settings = trial.settings();
            settings.retain(|(setting, _)| setting != name);
            let adtrail = trial.deploy(&trial.destination(MAIN, 0), &settings).unwrap();
            trial.closed(&adtrail, "jane").await;
            assert_eq!(adtrail.run().await.paused, [MAIN]);
            let paused = row(&pool, "select state, reason from public.platform_state").await;
            let reason = paused["reason"].as_str().unwrap();
            assert!(reason.contains(name), "{name} in {reason}");
            for (_, value) in settings.iter().filter(|(setting, _)| trial.sandbox.credentials().contains(setting)) {
                assert!(!reason.contains(value), "{reason}");
            }
            let whole = trial.deployed();
            assert_eq!(whole.run_for_hours(1).await, 1, "and it goes on");
        }
        let trial = Trial::of(platform, &pool).await;
        let mut without = trial.settings();
        without.retain(|(name, _)| !trial.sandbox.credentials().contains(name));
        without.push(("DESTINATIONS", trial.destination(MAIN, 0)));
        let values = without.into_iter().map(|(name, value)| (name.to_owned(), SecretString::from(value))).collect();
        let mut settings = Settings::new(&values);
        let destinations = Destinations::from_settings(&REGISTRY, &mut settings);
        let destinations = settings.finish(Some(destinations)).unwrap_or_else(|error| panic!("{error}"));
        assert!(destinations.get(MAIN).is_some());
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_destination_has_the_lanes_that_it_says(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        let routes = adtrail.uploader.config.lanes.iter().map(|lane| lane.route());
        let mut lanes: Vec<_> = routes
            .map(|it| {
                assert_eq!((it.destination.as_str(), it.network), (MAIN, platform.entry.network));
                assert_eq!(it.lane, it.operation.lane_of(MAIN));
                it.lane.clone()
            })
            .collect();
        let mut said = adtrail.destinations().lanes();
        lanes.sort();
        said.sort();
        assert_eq!(lanes, said, "a lane for uploads and for each correction");
        let described = json!(adtrail.main().platform.described()).to_string();
        for (name, value) in trial.settings() {
            let is_secret = trial.sandbox.credentials().contains(&name);
            assert!(!is_secret || !described.contains(&value), "{described}");
        }
    }
}
