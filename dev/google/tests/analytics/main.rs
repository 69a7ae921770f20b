//! Events on both ways to Google Analytics, as the product sends them and the sandbox takes them.

mod bodies;
mod failures;
mod limits;
mod trial;
mod verdicts;
