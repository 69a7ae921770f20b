//! The ways in for CRMs: sources, declared in TOML. A source says how its webhooks prove who sent them, where the
//! fields of a deal are in what it sends, and what its stages mean.

mod amounts;
pub mod authentication;
mod checked;
mod fields;
pub mod lookup;
mod payload;
pub mod presets;
mod report;
mod rules;
mod sources;

pub(crate) use fields::check_json_pointer;
pub use payload::Item;
pub(crate) use payload::answers;
pub use report::{Circumstances, Meaning, Reading, Report};
pub use sources::{DEFAULT, Mapping, Missing, Source, Sources};
