//! `adtrail setup`: from four answers to everything that `make deploy` needs.
//!
//! What is there already is read first, so a run that was killed is finished by the next one, and a run that has
//! nothing to do does nothing. Nothing is changed before somebody has agreed.

mod connection_string;
mod database;
mod given;
mod google;
mod next;
mod overrides;
mod plan;
mod questions;
mod replacing;
mod resolved;
mod samconfig;
mod secret;
mod trial;

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value};
use shared::db::migrations::Database;
use shared::identity;
use shared::settings::{self, Values};

use crate::answer::Answer;
use crate::arguments::Setup;
use crate::{Failure, terminal};

use given::Answers;
use plan::{Line, Plan, SecretChanges};
use questions::Kept;
pub use questions::parameter;
use resolved::{Change, Known, Resolved};
use samconfig::Samconfig;
use secret::{Content, Store, Version};

/// The keys that are made here, each of 32 random bytes.
const KEYS: [&str; 4] = ["IP_HASH_KEY", "WEBHOOK_SECRET", "HEALTH_KEY", "PROXY_KEY"];
/// Settings of the database that may be in the environment: only the first belongs into the secret.
const OF_DATABASE: [&str; 2] = ["DATABASE_CA_PEM", "MIGRATIONS_DATABASE_URL"];

const SECRET_ARN: &str = "SecretArn";

/// Brings everything to where the answers want it, once somebody has agreed.
pub(crate) async fn setup(arguments: &Setup) -> Result<Answer, Failure> {
    let environment = settings::environment();
    let given = given::given(arguments, &environment)?;
    let samconfig = Samconfig::read()?;
    let store = store(arguments, &given, &samconfig).await?;
    let before = store.read().await?;
    let kept_arn = samconfig.parameter(SECRET_ARN).filter(|arn| !arn.is_empty());
    if let (Store::File(file), Some(arn), false) = (&store, kept_arn, before.exists) {
        return Err(Failure::Message(format!(
            "There is no {file}, and samconfig.toml names a secret, whose keys must stay. Fetch it first: aws \
             secretsmanager get-secret-value --secret-id {arn} --query SecretString --output text > {file}",
            file = file.display()
        )));
    }
    let known = Known { secret: &before.keys, samconfig: &samconfig };
    let Resolved { changes, database, place } = resolved::resolve(&given, known, &environment).await?;

    let keys = planned_keys(&before.keys, &changes, &environment)?;
    let parameter = |name: &str| {
        let changed = changes.iter().find(|change| matches!(change.kept, Kept::Parameter(it) if it == name));
        changed.map(|change| change.answer.as_str()).or_else(|| samconfig.parameter(name))
    };
    trial::start(&keys, parameter)?;

    let mut session = database::session(&database).await?;
    let secret = SecretChanges::between(store.place(), !before.exists, &before.keys, &keys);
    let arn = given.get(given::SECRET).filter(|id| id.starts_with("arn:"));
    let plan = Plan {
        database: place,
        migrations: session.missing().await?,
        region: store.region().and_then(|region| Line::new("region", samconfig.region(), Some(region))),
        parameters: planned_lines(&samconfig, &changes, &store, &before, arn),
        secret,
    };
    let has_account = parameter("GoogleAdsCustomerId").is_some_and(|id| !id.is_empty());
    let has_account = has_account || keys.contains_key("DESTINATIONS");
    let name = given.get(given::SECRET).filter(|id| !id.is_empty() && !id.starts_with("arn:"));
    let name = name.map_or("adtrail", String::as_str);
    let next = next::steps(&store, &plan, name, arn.map(String::as_str).or(kept_arn), has_account);

    if plan.is_empty() {
        let text = format!("Everything is set up already. Nothing was changed.\n\n{next}");
        return Ok(Answer::new(plan.document(false), &text));
    }
    let mut shown = plan.text();
    if arguments.dry_run {
        return Ok(Answer::new(plan.document(false), &format!("{shown}Nothing was changed.")));
    }
    if !arguments.yes && !terminal::is_there() {
        let problem = "Nothing was changed. To do it without a question, add --yes.";
        return Ok(Answer::new(plan.document(false), &shown).failing(Some(problem.into())));
    }
    if !arguments.yes {
        if !terminal::agrees(&format!("\n{shown}Do this? [y/N] "))? {
            return Ok(Answer::new(plan.document(false), "Nothing was changed."));
        }
        // It was on the screen.
        shown.clear();
    }

    apply(&plan, &mut session, &store, &before, &keys, samconfig).await?;
    Ok(Answer::new(plan.document(true), &format!("{shown}This is done.\n\n{next}")))
}

/// Which secret it is.
async fn store(arguments: &Setup, given: &Answers, samconfig: &Samconfig) -> Result<Store, Failure> {
    if let Some(file) = &arguments.secret_file {
        return Ok(Store::File(file.clone()));
    }
    let given = given.get(given::SECRET).map(String::as_str);
    let kept = samconfig.parameter(SECRET_ARN);
    let id = given.filter(|id| !id.is_empty()).or(kept.filter(|arn| !arn.is_empty())).unwrap_or("adtrail");
    let id = secret::check_id(id)
        .map_err(|problem| Failure::Message(format!("{SECRET_ARN} in samconfig.toml {problem}.")))?;
    let region = samconfig.region().or_else(|| secret::region_in_arn(&id)).map(str::to_owned);
    Store::in_secrets_manager(id, region.as_deref()).await
}

/// All keys of the secret as they are going to be. What is there and wasn't answered otherwise stays.
fn planned_keys(
    before: &Map<String, Value>,
    changes: &[Change],
    environment: &Values,
) -> Result<Map<String, Value>, Failure> {
    let mut keys = before.clone();
    keys.extend(resolved::authority(environment));
    for change in changes {
        if let Kept::Secret(name) = change.kept {
            // Google's credentials are objects, and more readable as such.
            let object = serde_json::from_str(&change.answer).ok().filter(Value::is_object);
            keys.insert(name.into(), object.unwrap_or_else(|| change.answer.as_str().into()));
        }
    }
    let is_missing = |name: &&str| before.get(*name).is_none_or(|value| secret_text(value).trim().is_empty());
    let missing: Vec<_> = KEYS.into_iter().filter(is_missing).collect();
    trial::spelling(before, &missing)?;
    for name in missing {
        keys.insert(name.into(), random_key()?.into());
    }
    Ok(keys)
}

/// The values of samconfig.toml that change, but for the region.
fn planned_lines(
    samconfig: &Samconfig,
    changes: &[Change],
    store: &Store,
    before: &Content,
    arn: Option<&String>,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut plan = |name, after| lines.extend(Line::new(name, samconfig.parameter(name), after));
    match store {
        Store::SecretsManager { .. } => {
            plan(SECRET_ARN, before.version.as_ref().map(|version| version.arn.as_str()));
        }
        Store::File(_) => {
            if let Some(arn) = arn {
                plan(SECRET_ARN, Some(arn));
            }
        }
    }
    for change in changes {
        if let Kept::Parameter(name) = change.kept {
            plan(name, Some(&change.answer));
        }
    }
    lines
}

/// Does what is planned. Each step is whole or not at all, and the next run finds those that were done.
async fn apply(
    plan: &Plan,
    session: &mut Database,
    store: &Store,
    before: &Content,
    keys: &Map<String, Value>,
    samconfig: Samconfig,
) -> Result<(), Failure> {
    let mut done = Vec::new();
    // First: running functions read a changed secret at once, and may not find an older schema there.
    if !plan.migrations.is_empty() {
        session.apply().await?;
        done.push("the migrations");
    }
    let mut stored = before.version.clone();
    if !plan.secret.is_empty() {
        stored = store.write(before, keys).await.map_err(|failure| after(&done, &failure))?;
        done.push("the secret");
    }
    // Of a secret that was made just now.
    let arn = |name| stored.as_ref().filter(|_| name == SECRET_ARN).map(|Version { arn, .. }| arn.clone());
    let lines = plan.parameters.iter();
    let parameters: Vec<_> =
        lines.filter_map(|line| Some((line.name, line.after.clone().or_else(|| arn(line.name))?))).collect();
    let region = plan.region.as_ref().and_then(|line| line.after.as_deref());
    if region.is_none() && parameters.is_empty() {
        return Ok(());
    }
    samconfig.write(region, &parameters).map_err(|failure| after(&done, &failure))
}

/// A failure, with what was done before it.
fn after(done: &[&str], failure: &Failure) -> Failure {
    match done {
        [] => Failure::Message(failure.to_string()),
        done => Failure::Message(format!(
            "{failure} Done before: {}. Run adtrail setup again: it goes on from there.",
            done.join(" and ")
        )),
    }
}

/// Credentials may be an object of their own.
fn secret_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn random_key() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    let made = SystemRandom::new().fill(&mut bytes);
    made.map_err(|_| Failure::Message("This machine gives no random numbers, so no key can be made.".into()))?;
    Ok(identity::hex(&bytes))
}
