//! The lane of a destination whose credentials are missing or wrong: it is paused with what is wrong, and the others
//! send.

use chrono::TimeDelta;
use futures_util::future::BoxFuture;

use super::limits::OLDEST;
use super::{EventDestination, EventLane, EventOutcome, EventRoute, EventToSend, EventVerdict, Transport};
use crate::platforms::{Allowance, Exchange, Limits, Reason};
use crate::settings::ConfigError;

struct Unconnected {
    route: EventRoute,
    transport: Transport,
    reason: Reason,
}

pub(super) fn lane(destination: &EventDestination, error: &ConfigError) -> Box<dyn EventLane> {
    let name = destination.name.clone();
    Box::new(Unconnected {
        route: EventRoute { destination: name.clone(), transport: "none", quota: name },
        transport: destination.transport(),
        reason: Reason::new("credentials", error.problems()),
    })
}

impl EventLane for Unconnected {
    fn route(&self) -> &EventRoute {
        &self.route
    }

    fn limits(&self) -> Option<Limits> {
        None
    }

    fn claim_size(&self, _due: usize) -> usize {
        1
    }

    fn can_verify(&self) -> bool {
        self.transport == Transport::DataManager
    }

    fn oldest(&self) -> TimeDelta {
        OLDEST
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), EventOutcome>> {
        Box::pin(async { Err(EventOutcome::Paused(self.reason.clone())) })
    }

    fn send<'a>(
        &'a self,
        events: &'a [EventToSend],
        _: &'a Allowance,
    ) -> BoxFuture<'a, (Vec<EventOutcome>, Vec<Exchange>)> {
        Box::pin(async { (vec![EventOutcome::Paused(self.reason.clone()); events.len()], Vec::new()) })
    }

    fn verdict<'a>(
        &'a self,
        _request_id: &'a str,
        events: usize,
        _: &'a Allowance,
    ) -> BoxFuture<'a, Option<(Vec<EventVerdict>, Exchange)>> {
        let verdict = EventVerdict::Unanswered(self.reason.clone());
        Box::pin(async move { Some((vec![verdict; events], Exchange::default())) })
    }
}
