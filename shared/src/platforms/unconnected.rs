//! The lanes of a destination whose credentials are missing or wrong: each is paused with what is wrong, and the others
//! send.

use futures_util::future::BoxFuture;

use super::{Allowance, Conversion, Delivery, Destination, Lane, Lanes, Outcome, Reason, Route};
use crate::settings::ConfigError;

struct Unconnected {
    route: Route,
    reason: Reason,
}

/// A lane for each operation that the destination accepts.
pub(super) fn lanes(destination: &Destination, error: &ConfigError) -> Lanes {
    let lane = |operation| -> Box<dyn Lane> {
        let route = Route {
            destination: destination.name.clone(),
            lane: destination.lane(operation),
            operation,
            transport: "none",
            network: destination.entry.network,
            quota: destination.name.clone(),
        };
        Box::new(Unconnected { route, reason: Reason::new("credentials", error.problems()) })
    };
    destination.operations().map(lane).collect()
}

impl Unconnected {
    fn paused(&self) -> Outcome {
        Outcome::Paused(self.reason.clone())
    }
}

impl Lane for Unconnected {
    fn route(&self) -> &Route {
        &self.route
    }

    fn claim_size(&self, _due: usize) -> usize {
        1
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Outcome>> {
        Box::pin(async { Err(self.paused()) })
    }

    fn upload<'a>(&'a self, conversions: &'a [Conversion], _: &'a Allowance) -> BoxFuture<'a, Delivery> {
        Box::pin(async { Delivery { outcomes: vec![self.paused(); conversions.len()], requests: Vec::new() } })
    }
}
