//! Destinations: where conversions and events go.

mod backfill;
mod event;
mod list;
mod rename;
mod test;

pub(crate) use backfill::backfill;
pub(crate) use event::test_event;
pub(crate) use list::list;
pub(crate) use rename::rename;
pub(crate) use test::test;
