//! Many conversions in few requests. Google may refuse a whole request because of one conversion in it; then that one
//! is isolated, and the others are sent at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;

use crate::platforms::{Conversion, Delivery, Exchange, Outcome, Request};

/// Google recommends no more requests at once (Data Manager API, "Best practices").
pub(crate) const IN_FLIGHT: usize = 10;
/// After so many failed requests in a row of single ones, what is left waits for the next run.
const FAILURES: usize = 3;

/// If at least this many are refused without being named and none is accepted, the request itself is wrong.
const SUSPICIOUS: usize = 5;

/// What an answer means for the conversions of its request.
pub(crate) enum Answered {
    /// This, for each of them.
    Each(Vec<Outcome>),
    /// Nothing was processed because of these (by their place in the request).
    Blamed(Vec<(usize, Outcome)>),
    /// Nothing was processed because of at least one of them, and the answer doesn't say which. The outcome of that
    /// one.
    Unnamed(Outcome),
    /// Nothing was processed because the request is too large. The outcome of one that is too large by itself.
    TooLarge(Outcome),
    /// Nothing is known to have been processed, for a reason that isn't one of the conversions.
    Failed(Outcome),
}

/// Sends conversions whose request bodies were built: those that go `alone` in a request each, the others with those of
/// the same `group`. What has no body is settled with its outcome, without a request.
pub(crate) async fn deliver_ready<'a, G, F, S>(
    conversions: &'a [Conversion],
    ready: &'a [Result<Value, Outcome>],
    alone: impl Fn(&Conversion) -> bool,
    group: impl Fn(&Conversion) -> G,
    send: S,
) -> Delivery
where
    G: Ord,
    F: Future<Output = Option<(Answered, Exchange)>> + Send,
    S: Fn(Vec<(&'a Conversion, &'a Value)>) -> F + Sync,
{
    let sendable = |at: &usize| ready[*at].is_ok();
    let (singly, rest): (Vec<_>, Vec<_>) =
        (0..conversions.len()).filter(sendable).partition(|at| alone(&conversions[*at]));
    let mut together: BTreeMap<G, Vec<usize>> = BTreeMap::new();
    for at in rest {
        together.entry(group(&conversions[at])).or_default().push(at);
    }
    // In the order in which the rows of a receipt are read: its verdict may name them by their places.
    for rows in together.values_mut() {
        rows.sort_unstable_by_key(|at| conversions[*at].queue_id);
    }
    let together = together.into_values().collect();
    let mut delivery = deliver(conversions.len(), &singly, together, |chosen: Vec<usize>| {
        send(chosen.iter().filter_map(|at| Some((&conversions[*at], ready[*at].as_ref().ok()?))).collect())
    })
    .await;
    for (outcome, ready) in delivery.outcomes.iter_mut().zip(ready) {
        if let Err(unsendable) = ready {
            *outcome = unsendable.clone();
        }
    }
    delivery.own_what_was_sent_twice();
    delivery
}

/// Sends these conversions (by their place among `total`): the first list one a request, the others each together.
///
/// If a request is refused because of conversions that aren't named, a binary search finds one of them; what is
/// accepted on the way stays accepted. So each costs at most ⌈log₂ n⌉ + 1 more requests.
pub(crate) async fn deliver<F, S>(total: usize, singly: &[usize], together: Vec<Vec<usize>>, send: S) -> Delivery
where
    F: Future<Output = Option<(Answered, Exchange)>> + Send,
    S: Fn(Vec<usize>) -> F + Sync,
{
    let mut delivery = Delivery { outcomes: vec![Outcome::Unsent; total], requests: Vec::new() };
    let failures = AtomicUsize::new(0);
    let (send, failed) = (&send, &failures);
    let answers = stream::iter(singly.iter().copied()).map(|row| async move {
        if failed.load(Ordering::Relaxed) >= FAILURES {
            return (row, None);
        }
        let answer = send(vec![row]).await;
        match &answer {
            Some((Answered::Failed(Outcome::Paused(_)), _)) => _ = failed.fetch_add(FAILURES, Ordering::Relaxed),
            Some((Answered::Failed(Outcome::Unavailable(..)), _)) => _ = failed.fetch_add(1, Ordering::Relaxed),
            _ => {}
        }
        (row, answer)
    });
    let mut answers = std::pin::pin!(answers.buffer_unordered(IN_FLIGHT));
    let mut unnamed = Vec::new();
    while let Some((row, answer)) = answers.next().await {
        let Some((answer, exchange)) = answer else { continue };
        if matches!(answer, Answered::Unnamed(_) | Answered::TooLarge(_)) {
            unnamed.push(row);
        }
        let outcome = match answer {
            Answered::Each(outcomes) => outcomes.into_iter().next(),
            Answered::Blamed(blamed) => blamed.into_iter().next().map(|(_, outcome)| outcome),
            Answered::Unnamed(outcome) | Answered::TooLarge(outcome) | Answered::Failed(outcome) => Some(outcome),
        };
        delivery.settle(exchange, &[row], vec![(row, outcome.unwrap_or(Outcome::Unsent))]);
    }
    delivery.hold_if_all_refused(&unnamed);
    let mut go_on = failures.load(Ordering::Relaxed) < FAILURES;
    for rows in together {
        if go_on {
            go_on = delivery.isolate(rows, send).await;
        }
    }
    delivery
}

impl Delivery {
    /// What is there already, and was in an earlier request of this delivery, is there because of that.
    fn own_what_was_sent_twice(&mut self) {
        let mut requests = vec![0; self.outcomes.len()];
        self.requests.iter().flat_map(|it| &it.conversions).for_each(|at| requests[*at] += 1);
        for (outcome, requests) in self.outcomes.iter_mut().zip(requests) {
            if let Outcome::AlreadyThere(reason) = outcome
                && requests > 1
            {
                *outcome = Outcome::AlreadyDone(reason.clone());
            }
        }
    }

    /// Records a request and the conversions it settled.
    fn settle(&mut self, exchange: Exchange, rows: &[usize], outcomes: Vec<(usize, Outcome)>) {
        let settled = outcomes.iter().map(|(row, _)| *row).collect();
        self.requests.push(Request { exchange, conversions: rows.to_vec(), settled });
        for (row, outcome) in outcomes {
            self.outcomes[row] = outcome;
        }
    }

    /// Sends these together, repeatedly until those that cause refusals are isolated. False if nothing else would be
    /// accepted now either.
    async fn isolate<F, S>(&mut self, rest: Vec<usize>, send: &S) -> bool
    where
        F: Future<Output = Option<(Answered, Exchange)>> + Send,
        S: Fn(Vec<usize>) -> F + Sync,
    {
        let mut refused = Vec::new();
        let go_on = self.narrow_down(rest, send, &mut refused).await;
        self.hold_if_all_refused(&refused);
        go_on
    }

    async fn narrow_down<F, S>(&mut self, mut rest: Vec<usize>, send: &S, refused: &mut Vec<usize>) -> bool
    where
        F: Future<Output = Option<(Answered, Exchange)>> + Send,
        S: Fn(Vec<usize>) -> F + Sync,
    {
        // If more than this many are refused, the request itself is wrong.
        let most_refused = rest.len() / 20 + 20;
        // The last refusal means that at least one of the first so many of `rest` is invalid.
        let mut suspects: Option<(usize, Outcome)> = None;
        // More were too large for a request.
        let mut most = usize::MAX;
        while !rest.is_empty() {
            let asked = match suspects.take() {
                None => rest.len(),
                // The only suspect needs no request of its own: those without it went through.
                Some((1, outcome)) => {
                    let row = rest.remove(0);
                    self.settled_by_last_refusal(row, outcome);
                    refused.push(row);
                    if refused.len() > most_refused {
                        for row in refused.iter() {
                            self.hold(*row);
                        }
                        return true;
                    }
                    continue;
                }
                Some((count, outcome)) => {
                    suspects = Some((count, outcome));
                    count.div_ceil(2)
                }
            };
            let asked = asked.min(most);
            let rows = rest[..asked].to_vec();
            let Some((answer, exchange)) = send(rows.clone()).await else { return false };
            match answer {
                Answered::Each(outcomes) => {
                    rest.drain(..asked);
                    // If one of these was the bad one, nothing is known of the others.
                    suspects = suspects
                        .filter(|_| outcomes.iter().all(Outcome::is_accepted))
                        .map(|(count, outcome)| (count - asked, outcome));
                    self.settle(exchange, &rows, rows.iter().copied().zip(outcomes).collect());
                }
                Answered::Blamed(blamed) => {
                    let blamed: Vec<_> =
                        blamed.into_iter().filter_map(|(at, outcome)| Some((*rows.get(at)?, outcome))).collect();
                    rest.retain(|row| blamed.iter().all(|(bad, _)| bad != row));
                    suspects = None;
                    let progress = !blamed.is_empty();
                    self.settle(exchange, &rows, blamed);
                    if !progress {
                        return true;
                    }
                }
                Answered::Unnamed(outcome) => {
                    suspects = Some((asked, outcome));
                    self.settle(exchange, &rows, Vec::new());
                }
                Answered::TooLarge(outcome) if asked == 1 => {
                    rest.remove(0);
                    // It may have been the bad one, and what made the others too large.
                    (suspects, most) = (None, usize::MAX);
                    self.settle(exchange, &rows, vec![(rows[0], outcome)]);
                    refused.push(rows[0]);
                    if refused.len() >= SUSPICIOUS && !self.outcomes.iter().any(Outcome::is_accepted) {
                        return true;
                    }
                }
                Answered::TooLarge(_) => {
                    most = asked.div_ceil(2);
                    self.settle(exchange, &rows, Vec::new());
                }
                Answered::Failed(outcome) => {
                    self.settle(exchange, &rows, rows.iter().map(|row| (*row, outcome.clone())).collect());
                    return !matches!(outcome, Outcome::Unavailable(..) | Outcome::Paused(_));
                }
            }
        }
        true
    }

    /// If several were refused without being named and none was accepted, the request itself is wrong: holds them, so
    /// that none loses an attempt.
    fn hold_if_all_refused(&mut self, refused: &[usize]) {
        if refused.len() >= SUSPICIOUS && !self.outcomes.iter().any(Outcome::is_accepted) {
            for row in refused {
                self.hold(*row);
            }
        }
    }

    fn hold(&mut self, row: usize) {
        if let Outcome::Rejected(reason) | Outcome::Retry(reason) = &self.outcomes[row] {
            self.outcomes[row] = Outcome::Held(reason.clone());
        }
    }

    fn settled_by_last_refusal(&mut self, row: usize, outcome: Outcome) {
        let refused = self.requests.iter_mut().rev().find(|it| it.settled.is_empty() && it.conversions.contains(&row));
        if let Some(request) = refused {
            request.settled.push(row);
        }
        self.outcomes[row] = outcome;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;
    use crate::platforms::Reason;

    /// Sends `total` to a platform that refuses requests with a bad one in them; answers the delivery and the requests
    /// it took.
    async fn send(total: usize, bad: &[usize], named: bool, singly: bool) -> (Delivery, usize) {
        let bad: BTreeSet<usize> = bad.iter().copied().collect();
        let requests = Mutex::new(0);
        let reason = || Reason::new("BAD", "");
        let answer = |rows: Vec<usize>| {
            *requests.lock().unwrap() += 1;
            let found: Vec<usize> = (0..rows.len()).filter(|at| bad.contains(&rows[*at])).collect();
            let answered = match found.as_slice() {
                [] => Answered::Each(vec![Outcome::Recorded; rows.len()]),
                [first, ..] if named => Answered::Blamed(vec![(*first, Outcome::Rejected(reason()))]),
                _ => Answered::Unnamed(Outcome::Rejected(reason())),
            };
            async { Some((answered, Exchange::default())) }
        };
        let all: Vec<usize> = (0..total).collect();
        let delivery = if singly {
            deliver(total, &all, Vec::new(), answer).await
        } else {
            deliver(total, &[], vec![all], answer).await
        };
        let requests = *requests.lock().unwrap();
        (delivery, requests)
    }

    /// Everything but the bad went through, and each is settled by exactly one request.
    #[track_caller]
    fn assert_only_bad_refused(delivery: &Delivery, bad: &[usize]) {
        for (row, outcome) in delivery.outcomes.iter().enumerate() {
            assert_eq!(matches!(outcome, Outcome::Rejected(_)), bad.contains(&row), "{row}: {outcome:?}");
            assert!(matches!(outcome, Outcome::Rejected(_) | Outcome::Recorded), "{row}: {outcome:?}");
        }
        let mut settled: Vec<usize> = delivery.requests.iter().flat_map(|it| it.settled.clone()).collect();
        settled.sort_unstable();
        assert!(settled.iter().copied().eq(0..delivery.outcomes.len()), "{settled:?}");
    }

    #[tokio::test]
    async fn bad_ones_are_found_within_the_bound_wherever_they_are() {
        for total in [1, 2, 3, 5, 7, 64, 100, 2000] {
            for count in [0, 1, 2, 5, 20].into_iter().filter(|count| *count < total || total < SUSPICIOUS) {
                for stride in [1, 7, 97] {
                    let bad: BTreeSet<usize> = (0..count).map(|nth| (nth * stride + nth * nth) % total).collect();
                    let bad: Vec<usize> = bad.into_iter().collect();
                    for named in [true, false] {
                        let (delivery, requests) = send(total, &bad, named, false).await;
                        assert_only_bad_refused(&delivery, &bad);
                        let log2 = total.next_power_of_two().trailing_zeros() as usize;
                        let most = 1 + bad.len() * if named { 1 } else { log2 + 1 };
                        assert!(requests <= most, "{requests} requests for {bad:?} of {total}, named: {named}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn a_single_request_blames_its_conversion() {
        for named in [true, false] {
            let (delivery, requests) = send(7, &[2, 6], named, true).await;
            assert_only_bad_refused(&delivery, &[2, 6]);
            assert_eq!(requests, 7);
        }
    }

    /// Sends conversions of these sizes to a platform that takes requests of up to 100.
    async fn send_sizes(sizes: &[usize]) -> (Delivery, usize) {
        let requests = AtomicUsize::new(0);
        let answer = |rows: Vec<usize>| {
            requests.fetch_add(1, Ordering::Relaxed);
            let size: usize = rows.iter().map(|row| sizes[*row]).sum();
            let answered = if size <= 100 {
                Answered::Each(vec![Outcome::Recorded; rows.len()])
            } else {
                Answered::TooLarge(Outcome::Rejected(Reason::new("too_large", "")))
            };
            async { Some((answered, Exchange::default())) }
        };
        let delivery = deliver(sizes.len(), &[], vec![(0..sizes.len()).collect()], answer).await;
        (delivery, requests.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_request_that_is_too_large_is_halved_and_only_what_is_too_large_alone_is_refused() {
        let (delivery, requests) = send_sizes(&[1; 350]).await;
        assert_only_bad_refused(&delivery, &[]);
        assert_eq!(requests, 2 + 4, "350 and 175 are too many, 88 are not");

        let mut sizes = [1; 64];
        (sizes[20], sizes[63]) = (101, 500);
        let (delivery, requests) = send_sizes(&sizes).await;
        assert_only_bad_refused(&delivery, &[20, 63]);
        assert!(requests <= 2 * (2 * 6 + 2), "{requests}");
    }

    #[tokio::test]
    async fn if_every_conversion_alone_is_too_large_something_on_the_way_is_wrong_and_none_is_refused() {
        let (delivery, requests) = send_sizes(&[101; 2000]).await;
        let held = delivery.outcomes.iter().filter(|it| matches!(it, Outcome::Held(_))).count();
        let unsent = delivery.outcomes.iter().filter(|it| **it == Outcome::Unsent).count();
        assert_eq!((held, unsent), (SUSPICIOUS, 2000 - SUSPICIOUS));
        assert!(requests <= SUSPICIOUS * 12, "{requests}");
    }

    #[tokio::test]
    async fn when_every_conversion_seems_bad_none_pays() {
        let all: Vec<usize> = (0..200).collect();
        for (singly, expected) in [(false, 31), (true, 200)] {
            let (delivery, _) = send(200, &all, false, singly).await;
            let rejected = delivery.outcomes.iter().filter(|it| matches!(it, Outcome::Rejected(_))).count();
            let held = delivery.outcomes.iter().filter(|it| matches!(it, Outcome::Held(_))).count();
            assert_eq!((rejected, held), (0, expected));
        }
    }

    #[tokio::test]
    async fn a_failed_request_ends_it_and_the_rest_stays_unsent() {
        let failed = |_: Vec<usize>| async {
            Some((Answered::Failed(Outcome::Unavailable(Reason::new("http_503", ""), None)), Exchange::default()))
        };
        let all: Vec<usize> = (0..100).collect();
        let sent = |delivery: Delivery| delivery.outcomes.iter().filter(|it| **it != Outcome::Unsent).count();
        // Ten were in flight.
        assert!((FAILURES..=IN_FLIGHT + FAILURES).contains(&sent(deliver(100, &all, Vec::new(), failed).await)));
        let together = deliver(100, &all[..50], vec![all[50..].to_vec()], failed).await;
        assert!(together.outcomes[50..].iter().all(|it| *it == Outcome::Unsent));
    }
}
