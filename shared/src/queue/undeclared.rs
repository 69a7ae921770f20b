//! Says of open rows in lanes of no destination why they wait. Such a lane has no uploader that could.

use crate::db::{DbError, Tx};
use crate::platforms::{Destinations, UNDECLARED};

/// What `last_error_code` says of them.
const CODE: &str = "undeclared";

/// Gives open rows whose destination was removed or renamed that reason, with the place that has what a correction is
/// about, and takes it from those that have their destination again.
pub(super) async fn explain(tx: &mut Tx, destinations: &Destinations) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::undeclared::explain
        with explained as (
            select q.id, q.platform = any($1) as is_declared, o.sent_to as corrects_at
            from public.conversion_queue q
            left join public.conversion_queue o on o.id = q.adjusts
            where q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())
                and (q.platform = any($1)) = (coalesce(q.last_error_code, '') = $2)
            order by q.id
            for no key update of q
        )
        update public.conversion_queue q
        set last_error_code = case when not e.is_declared then $2 end,
            last_error = case
                when not e.is_declared
                    then $3::text || coalesce(' What it corrects is at ' || e.corrects_at || '.', '')
            end
        from explained e
        where q.id = e.id",
        &destinations.lanes(),
        CODE,
        UNDECLARED,
    )
    .execute(tx)
    .await?;
    Ok(())
}
