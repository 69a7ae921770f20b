//! The database, reached as the functions reach it, and as migrations do.

use shared::config;
use shared::db::migrations::Database;
use shared::db::{LoginProblem, is_on_this_machine, try_login};
use shared::settings::{Settings, Values};
use tokio::net::lookup_host;

use crate::{Failure, visible};

/// Where the database is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Host and port, as the functions use them.
    pub of_functions: String,
    /// The same for migrations.
    pub of_migrations: String,
    pub is_on_this_machine: bool,
}

/// Logs in once. A login that was refused isn't repeated: Supabase locks an address out after ten.
///
/// # Errors
/// What is wrong and the fix, in one sentence.
pub(crate) async fn check(values: &Values) -> Result<Place, Failure> {
    let mut settings = Settings::new(values);
    let (options, of_migrations) = (config::database(&mut settings), config::database_for_migrations(&mut settings));
    let (options, of_migrations) = settings.finish(options.zip(of_migrations))?;
    let place = Place {
        of_functions: format!("{}:{}", visible::short(options.get_host()), options.get_port()),
        of_migrations: format!("{}:{}", visible::short(of_migrations.get_host()), of_migrations.get_port()),
        is_on_this_machine: is_on_this_machine(&options),
    };
    if !place.is_on_this_machine && has_ipv6_only(options.get_host(), options.get_port()).await {
        return Err(Failure::Message(format!(
            "The database's host in {} has IPv6 only, which Lambda doesn't reach: use a pooler that has IPv4.",
            place.of_functions
        )));
    }
    try_login(options).await.map_err(|problem| Failure::Message(sentence(&problem, &place.of_functions)))?;
    Ok(place)
}

/// A session for migrations.
///
/// # Errors
/// If the database can't be reached.
pub(crate) async fn session(values: &Values) -> Result<Database, Failure> {
    let mut settings = Settings::new(values);
    let options = config::database_for_migrations(&mut settings);
    Ok(Database::connect(settings.finish(options)?).await?)
}

/// A host that isn't found is for the login to say.
async fn has_ipv6_only(host: &str, port: u16) -> bool {
    let addresses = lookup_host((host.trim_matches(['[', ']']), port)).await;
    let addresses: Vec<_> = addresses.into_iter().flatten().collect();
    !addresses.is_empty() && addresses.iter().all(std::net::SocketAddr::is_ipv6)
}

fn sentence(problem: &LoginProblem, place: &str) -> String {
    let said = match problem {
        LoginProblem::Refused(said) | LoginProblem::Other(said) => said,
        LoginProblem::Certificate(sentence) => return format!("The database {place} is not trusted: {sentence}."),
    };
    let lower = said.to_ascii_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    if has(&["ecircuitbreaker"]) {
        return format!(
            "Supabase has locked this address out after refused logins ({said}): check user and password, and wait \
             ten minutes."
        );
    }
    if has(&["tenant or user not found", "enotfound"]) {
        return format!(
            "Supabase's pooler {place} doesn't know this project ({said}): resume the project in the dashboard if it \
             is paused, and copy the string from Connect, because neither the user postgres.PROJECT nor the number in \
             the host name can be guessed."
        );
    }
    if has(&["lookup address", "name or service not known", "nodename nor servname"]) {
        return format!("There is no host of the name in {place}: copy the connection string again, without a change.");
    }
    if has(&["unreachable"]) {
        return format!(
            "The network has no way to {place}: it may have IPv6 only; use Supabase's shared pooler, whose host ends \
             in pooler.supabase.com."
        );
    }
    match problem {
        LoginProblem::Refused(_) => format!(
            "The database {place} refuses the login ({said}): check user and password; special characters of the \
             password are percent-encoded, and the dashboard can set a new one."
        ),
        _ => format!(
            "The database {place} can't be reached ({said}): check host and port, and whether the project is paused; \
             the dashboard resumes it."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_supabase_says_becomes_one_sentence_with_the_fix() {
        let refused = |said: &str| LoginProblem::Refused(said.into());
        let other = |said: &str| LoginProblem::Other(said.into());
        for (problem, fix) in [
            (
                refused("password authentication failed for user \"postgres\", SQLSTATE 28P01"),
                "check user and password",
            ),
            (refused("(ECIRCUITBREAKER) too many authentication failures, SQLSTATE XX000"), "wait ten minutes"),
            (other("Tenant or user not found"), "resume the project"),
            (other("(ENOTFOUND) tenant/user postgres.abc not found"), "copy the string from Connect"),
            (other("failed to lookup address information: Name or service not known"), "copy the connection string"),
            (other("Network is unreachable (os error 101)"), "IPv6 only"),
            (other("Connection refused (os error 111)"), "whether the project is paused"),
            (LoginProblem::Certificate("set DATABASE_CA_PEM".into()), "not trusted: set DATABASE_CA_PEM."),
        ] {
            let sentence = sentence(&problem, "pooler.example.com:6543");
            assert!(sentence.contains(fix), "{sentence}");
        }
    }
}
