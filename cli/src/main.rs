//! The command `adtrail`.

use std::io::Write;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = cli::run(std::env::args(), Box::pin(shared::settings::values()), &mut std::io::stdout()).await;
    let Err(failure) = result else { return ExitCode::SUCCESS };
    // If standard error is closed, there is nothing left to do.
    let _ = writeln!(std::io::stderr(), "{}", failure.to_string().trim_end());
    ExitCode::from(failure.exit_code())
}
