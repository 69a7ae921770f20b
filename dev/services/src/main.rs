//! `services`, the command the Makefile starts servers with.

use std::process::ExitCode;

use anyhow::Context;
use services::{migrations, with_postgres};

const HELP: &str = "\
services with-postgres COMMAND …   runs a command with DATABASE_URL set to a throwaway Postgres
services migrate                   applies the migrations to DATABASE_URL
";

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["with-postgres", _, ..] => with_postgres::run(&arguments[1..]).await,
        ["migrate"] => {
            #[expect(clippy::disallowed_methods, reason = "a command of the Makefile, configured by the environment")]
            let url = std::env::var("DATABASE_URL").context("set DATABASE_URL to the database to migrate")?;
            migrations::run(&url).await.map(|()| ExitCode::SUCCESS)
        }
        _ => {
            eprint!("{HELP}");
            Ok(ExitCode::from(2))
        }
    }
}
