//! Gives the rows of a destination that is no longer declared to another one.

use uuid::Uuid;

use crate::db::{Db, DbError, Tx};
use crate::platforms::{Destination, Operation};

/// Rows per transaction.
const PAGE: i64 = 2_000;

/// Gives everything of the destination `from` to another one, which goes on with it: what is open is sent to its
/// account, and what was sent is corrected where it is. Returns how many rows there were. A row that is being sent is
/// left, and so is one of a conversion that the other one has, too; running it again takes what is free by then.
///
/// # Errors
/// When the database fails. What was given by then stays so.
pub async fn rename(db: &Db, from: &str, to: &Destination) -> Result<u64, DbError> {
    let mut renamed = 0;
    for operation in Operation::ALL {
        let (old, new) = (operation.lane_of(from), to.lane(operation));
        let mut after = Uuid::nil();
        loop {
            let page = db
                .tx(async |tx| rename_page(tx, (&old, &new), to.entry.id, operation == Operation::Upload, after).await)
                .await?;
            let Some(last) = page.iter().max() else { break };
            (after, renamed) = (*last, renamed + page.len() as u64);
        }
        db.tx(async |tx| forget_state(tx, &old).await).await?;
    }
    Ok(renamed)
}

async fn rename_page(
    tx: &mut Tx,
    (old, new): (&str, &str),
    kind: &str,
    is_upload: bool,
    after: Uuid,
) -> Result<Vec<Uuid>, DbError> {
    let renamed = sqlx::query_scalar!(
        "-- queue::renaming::rename_page
        update public.conversion_queue
        set platform = $2
        where id in (
            select q.id
            from public.conversion_queue q
            where q.platform = $1 and q.kind = $3 and q.id > $4 and (q.adjusts is null) = $6
                and (q.locked_until is null or q.locked_until <= now())
                and not exists (
                    select
                    from public.conversion_queue other
                    where other.conversion_id = q.conversion_id and other.platform = $2
                )
            -- In the order in which the uploader locks rows.
            order by q.id
            limit $5
            for no key update skip locked
        )
        returning id",
        old,
        new,
        kind,
        after,
        PAGE,
        is_upload,
    )
    .fetch_all(tx)
    .await?;
    Ok(renamed)
}

/// Its pause was about another account.
async fn forget_state(tx: &mut Tx, lane: &str) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::renaming::forget_state
        delete from public.platform_state where platform = $1",
        lane,
    )
    .execute(tx)
    .await?;
    Ok(())
}
