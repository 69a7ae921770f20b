//! Destinations: where conversions go.

mod backfill;
mod list;
mod rename;
mod test;

pub(crate) use backfill::backfill;
pub(crate) use list::list;
pub(crate) use rename::rename;
pub(crate) use test::test;
