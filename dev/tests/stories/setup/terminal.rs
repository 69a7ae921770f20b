//! Somebody sits at the terminal.

use std::fs::OpenOptions;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal, and what has been on its screen.
struct Terminal {
    keyboard_and_screen: File,
    screen: String,
    read_to: usize,
    running: Child,
}

impl Terminal {
    fn start(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let end = || OpenOptions::new().read(true).write(true).open(&name).unwrap();
        let running = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop(command);
        let keyboard_and_screen = File::from_std(std::fs::File::from(master));
        Self { keyboard_and_screen, screen: String::new(), read_to: 0, running }
    }

    /// Waits for a text on the screen, and types a line.
    async fn answers(&mut self, expected: &str, line: &str) {
        let reading = async {
            // What is typed before the prompt shows, and isn't read.
            let prompts = ["> ", "[y/N] "];
            let is_prompt = |at: usize, screen: &str| prompts.iter().any(|prompt| screen[at..].ends_with(prompt));
            let is_there = |screen: &str| screen.find(expected).is_some_and(|at| is_prompt(at, screen));
            while !is_there(&self.screen[self.read_to..]) {
                let mut bytes = [0; 4096];
                let read = self.keyboard_and_screen.read(&mut bytes).await.unwrap();
                self.screen.push_str(str::from_utf8(&bytes[..read]).unwrap());
            }
        };
        timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("no {expected} on:\n{}", self.screen));
        self.read_to = self.screen.len();
        self.keyboard_and_screen.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.keyboard_and_screen.flush().await.unwrap();
    }

    /// All that was on the screen when it has ended.
    async fn ended(mut self) -> String {
        let mut bytes = [0; 4096];
        // A terminal that nobody uses any more can't be read.
        while let Ok(read @ 1..) = self.keyboard_and_screen.read(&mut bytes).await {
            self.screen.push_str(str::from_utf8(&bytes[..read]).unwrap());
        }
        assert!(self.running.wait().await.unwrap().success(), "{}", self.screen);
        self.screen
    }
}

#[sqlx::test(migrations = false)]
async fn what_is_missing_is_asked_and_the_connection_string_never_shows(pool: PgPool) {
    let checkout = Checkout::new().await;
    let url = database_url(&pool).replace("postgres@", "postgres:not-to-be-seen@");
    let mut terminal = Terminal::start(checkout.command(&[]));
    terminal.answers("transaction pooler", "https://not-to-be-seen.supabase.co").await;
    terminal.answers("must be a connection string", &url).await;
    terminal.answers("The website", "www.example.com").await;
    terminal.answers("without a path", "https://www.example.com").await;
    terminal.answers("Google Ads account", "").await;
    terminal.answers("hold keeps them back", "perhaps").await;
    terminal.answers("there is no default", "hold").await;
    terminal.answers("alarms", "alarms@example.com").await;
    terminal.answers("Do this? [y/N]", "").await;
    let screen = terminal.ended().await;
    assert!(screen.contains("Nothing was changed.") && !screen.contains("not-to-be-seen"), "{screen}");
    assert_eq!((checkout.aws.get("adtrail"), checkout.read("samconfig.toml").as_str()), (None, SAMCONFIG));
}

#[sqlx::test(migrations = false)]
async fn what_is_answered_is_not_asked(pool: PgPool) {
    let checkout = Checkout::new().await;
    let flags = ["--origins", "https://www.example.com", "--unknown-consent", "send", "--google-ads-account", ""];
    let mut command = checkout.command(&flags);
    command.env("DATABASE_URL", database_url(&pool));
    let mut terminal = Terminal::start(command);
    terminal.answers("alarms", "alarms@example.com").await;
    terminal.answers("Do this? [y/N]", "y").await;
    let screen = terminal.ended().await;
    assert!(screen.contains("This is done."), "{screen}");
    assert_eq!(screen.matches("\n> ").count(), 1, "{screen}");

    let screen = Terminal::start(checkout.command(&[])).ended().await;
    assert!(screen.contains("Nothing was changed.") && !screen.contains("> "), "{screen}");
}
