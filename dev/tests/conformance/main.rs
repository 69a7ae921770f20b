//! What every platform must do, whatever it is: each check is for all platforms of one list, with a real Postgres, the
//! real uploader and a sandbox of each platform. docs/adding-a-platform.md says how to add one.
#![expect(clippy::unwrap_used, reason = "a test may end that way")]

mod platforms;
mod trial;
mod wire;

mod corrections;
mod declarations;
mod delivery;
mod discretion;
mod guide;
mod plans;
mod refusals;
