//! What is said of reports whose order or deal isn't sure.

use chrono::{DateTime, Utc};

use crate::deals::{Deal, Loss};
use crate::http::Warning;
use crate::inbox::Received;
use crate::inbox::after_loss::AfterLoss;

const TIME: &str = "%Y-%m-%dT%H:%M:%SZ";

/// Says that a loss counts although it is dated before the win.
pub(super) fn dated_before(loss: &Loss, won_at: DateTime<Utc>) -> Warning {
    let detail = format!(
        "is {}, before the deal was won at {}; as it was reported after that, it counts: if the deal was won again \
         since, let the CRM report that, and declare updated_at so that overtaken reports are told apart",
        loss.lost_at.format(TIME),
        won_at.format(TIME),
    );
    Warning { field: "occurred_at", detail }
}

/// Says how a win that was reported after a loss was taken, where nothing says which was first.
pub(super) fn after_loss(win: &AfterLoss) -> Warning {
    let why = if win.is_dated { "isn't after" } else { "isn't there, and the report came within a minute of" };
    let then = if win.counts() {
        format!(
            "as this report came later, the deal is won again as of {}. If it only trailed the loss, let the CRM report \
             the loss once more",
            win.won_at.format(TIME)
        )
    } else {
        "as this report may be older than the loss, the deal stays lost. If it was won since, let the CRM report that \
         with the time of it"
            .into()
    };
    let detail = format!(
        "{why} the loss at {}, which was reported before; {then}. Declare updated_at so that overtaken reports are told \
         apart",
        win.lost_at.format(TIME)
    );
    Warning { field: "occurred_at", detail }
}

/// Says that two CRMs may use the same deal numbers, which would silently mix their deals.
pub(super) fn shared_id(deal: &Deal, received: &Received) -> Option<Warning> {
    let detail = format!(
        "was reported by the source {} before: if that is another CRM, separate their ids with deal_id = {{ join = […] }}",
        received.source
    );
    (received.source != deal.source).then_some(Warning { field: "deal_id", detail })
}
