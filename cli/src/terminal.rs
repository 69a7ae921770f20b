//! Questions to whoever sits at the terminal. They go to standard error: the answer of a command is on standard output.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::{Failure, visible};

/// Is somebody there?
pub(crate) fn is_there() -> bool {
    stdin().is_terminal()
}

/// Says something before the next question.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    writeln!(stderr(), "{}", visible::text(text)).map_err(|error| unasked(&error))
}

/// A line, without white space around.
pub(crate) fn ask(question: &str) -> Result<String, Failure> {
    write!(stderr(), "{}", visible::text(question)).map_err(|error| unasked(&error))?;
    let mut line = String::new();
    let read = stdin().lock().read_line(&mut line).map_err(|error| unasked(&error))?;
    if read == 0 {
        return Err(Failure::Message(
            "The input has ended before everything was answered. Nothing was changed.".into(),
        ));
    }
    Ok(line.trim().to_owned())
}

/// The same, where what is typed doesn't show.
pub(crate) fn ask_hidden(question: &str) -> Result<String, Failure> {
    let _hidden = Hidden::new().map_err(|error| unasked(&error))?;
    ask(question)
}

/// Does somebody agree? Anything but yes is no.
pub(crate) fn agrees(question: &str) -> Result<bool, Failure> {
    let said = ask(question)?.to_ascii_lowercase();
    Ok(matches!(said.as_str(), "y" | "yes"))
}

fn unasked(error: &std::io::Error) -> Failure {
    Failure::Message(format!("The question can't be asked: {error}."))
}

/// The terminal shows line breaks only, until this is dropped. A shell restores it for a command that was killed.
struct Hidden(Termios);

impl Hidden {
    fn new() -> std::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ECHO);
        now.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(stdin(), OptionalActions::Flush, &now)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nobody to tell, and nothing else to do.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}
