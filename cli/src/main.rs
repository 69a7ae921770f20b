//! The command `adtrail`.

use std::io::Write;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = cli::run(std::env::args(), Box::pin(shared::settings::values()), &mut std::io::stdout()).await;
    let Err(failure) = ended else { return ExitCode::SUCCESS };
    // When nobody reads it, nobody misses it.
    let _ = writeln!(std::io::stderr(), "{}", failure.to_string().trim_end());
    ExitCode::from(failure.exit_code())
}
