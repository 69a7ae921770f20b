//! Whether a connection string can be right, before anybody connects. What is said never repeats it: it has a password.

use shared::config;
use shared::settings::{Settings, Values};

const EXAMPLE: &str = "postgresql://postgres.PROJECT:PASSWORD@HOST:6543/postgres";
/// Of Supabase's pooler in transaction mode, which is the one for functions.
const TRANSACTION_PORT: u16 = 6543;

/// Answers it without white space around.
///
/// # Errors
/// What is wrong and the fix: the end of a sentence that begins with the setting's name.
pub(crate) fn check(text: &str) -> Result<String, String> {
    let text = text.trim();
    let Some((_, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "postgresql" | "postgres"))
    else {
        return Err(format!(
            "must be a connection string such as {EXAMPLE}: copy it from Connect in the dashboard of Supabase"
        ));
    };
    if rest.contains("[YOUR-PASSWORD]") {
        return Err("still has [YOUR-PASSWORD] in it: put the database's password there, without the brackets".into());
    }
    if needs_percent_encoding(password(rest)) {
        return Err("has characters in its password that must be percent-encoded: write %40 for @, %2F for /, %3A \
                    for :, %3F for ?, %23 for #, %5B and %5D for brackets, %20 for a space, %25 for %"
            .into());
    }
    let values = Values::from([("DATABASE_URL".to_owned(), text.into())]);
    let mut settings = Settings::new(&values);
    let Some(options) = config::database(&mut settings) else {
        return Err(format!("must look like {EXAMPLE}"));
    };
    let (host, port) = (options.get_host().to_ascii_lowercase(), options.get_port());
    if host.starts_with("db.") && host.ends_with(".supabase.co") {
        return Err("names the direct connection, db.PROJECT.supabase.co, which has IPv6 only and can't be reached \
                    from Lambda: copy the string of the shared pooler instead (Connect, Transaction pooler)"
            .into());
    }
    if host.ends_with(".pooler.supabase.com") || host.ends_with(".pooler.supabase.co") {
        if port != TRANSACTION_PORT {
            return Err(format!(
                "must have the port 6543 of the transaction pooler, not {port}: functions would soon use up the \
                 sessions of the other one, which migrations use by themselves"
            ));
        }
        if !options.get_username().contains('.') && !rest.contains("reference") {
            return Err("must have the user postgres.PROJECT: Supabase's pooler finds the project by it".into());
        }
        if password(rest).is_empty() {
            return Err(format!("has no password: it must look like {EXAMPLE}"));
        }
    }
    Ok(text.to_owned())
}

/// What stands between the first colon and the last @, whatever is wrong with it. An @ after a question mark is of the
/// parameters, if there was one before.
fn password(rest: &str) -> &str {
    let before_parameters = rest.split('?').next().filter(|it| it.contains('@')).unwrap_or(rest);
    let (login, _) = before_parameters.rsplit_once('@').unwrap_or_default();
    login.split_once(':').map_or("", |(_, password)| password)
}

fn needs_percent_encoding(password: &str) -> bool {
    let is_escape = |at: usize| {
        password.get(at + 1..at + 3).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    password.contains(['@', '/', '?', '#', '[', ']', ' ', '\\', '"'])
        || password.match_indices('%').any(|(at, _)| !is_escape(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOLER: &str = "aws-0-eu-central-1.pooler.supabase.com";

    #[test]
    fn what_the_dashboard_shows_is_right() {
        for text in [
            format!("postgresql://postgres.abc:s3cret@{POOLER}:6543/postgres"),
            format!(" postgres://postgres.abc:p%40ss%2Fw%25rd$!@{POOLER}:6543/postgres?application_name=a@b\n"),
            format!("postgresql://postgres:s3cret@{POOLER}:6543/postgres?options=reference%3Dabc"),
            "postgresql://postgres@127.0.0.1:5432/postgres".to_owned(),
            "postgresql://app:s3cret@db.example.com/shop".to_owned(),
        ] {
            assert_eq!(check(&text).as_deref(), Ok(text.trim()));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_fix_and_without_the_password() {
        for (text, said) in [
            ("s3cret".to_owned(), "must be a connection string such as"),
            ("https://abc.supabase.co".to_owned(), "must be a connection string such as"),
            (format!("postgresql://postgres.abc:[YOUR-PASSWORD]@{POOLER}:6543/postgres"), "still has [YOUR-PASSWORD]"),
            (format!("postgresql://postgres.abc:s3@cret@{POOLER}:6543/postgres"), "%40 for @"),
            (format!("postgresql://postgres.abc:s3/cret@{POOLER}:6543/postgres"), "%2F for /"),
            (format!("postgresql://postgres.abc:s3@c/ret@{POOLER}:6543/postgres"), "%2F for /"),
            (format!("postgresql://postgres.abc:s3#cr?et@{POOLER}:6543/postgres"), "%23 for #"),
            (format!("postgresql://postgres.abc:s3%cret@{POOLER}:6543/postgres"), "%25 for %"),
            ("postgresql://postgres:s3cret@db.abc.supabase.co:5432/postgres".to_owned(), "IPv6 only"),
            ("postgresql://postgres:s3cret@db.abc.supabase.co:6543/postgres".to_owned(), "the shared pooler"),
            (format!("postgresql://postgres.abc:s3cret@{POOLER}:5432/postgres"), "port 6543"),
            (format!("postgresql://postgres.abc:s3cret@{POOLER}/postgres"), "port 6543"),
            (format!("postgresql://postgres:s3cret@{POOLER}:6543/postgres"), "postgres.PROJECT"),
            (format!("postgresql://postgres.abc@{POOLER}:6543/postgres"), "has no password"),
            ("postgresql://postgres.abc:s3cret@:port/postgres".to_owned(), "must look like"),
        ] {
            let problem = check(&text).unwrap_err();
            assert!(problem.contains(said), "{text}: {problem}");
            for part in ["s3", "cret"] {
                assert!(!problem.contains(part), "{problem}");
            }
        }
    }
}
