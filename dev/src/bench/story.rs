//! The calls of `make bench`: two people on their way from the first visit to a deal; at least one for each function.

use lambda_http::http::StatusCode;

use super::call::{Call, Person, Secrets};
use super::sandbox::UPLOADER;

/// One request to a function.
pub struct Step {
    pub function: &'static str,
    pub case: &'static str,
    /// None is the schedule.
    pub call: Option<Call>,
    /// The promised number of transactions.
    pub transactions: Option<u64>,
}

/// The story of these two, of whom the first has visited before, with everything that may happen twice happening twice.
/// Every sandbox's first request is in it.
pub fn story(secrets: &Secrets, [jane, joe]: &[Person; 2]) -> Vec<Step> {
    const VISIT: &str = "track-visit";
    const EVENT: &str = "track-event";
    const CONSENT: &str = "record-consent";
    const LEAD: &str = "create-lead";
    const DEAL: &str = "crm-conversion";
    let request = |function, case, call| Step { function, case, call: Some(call), transactions: Some(1) };
    let refused = |function, call| Step { transactions: Some(0), ..request(function, "refused", call) };
    let run = |case| Step { function: UPLOADER, case, call: None, transactions: None };
    vec![
        request(VISIT, "new visitor", joe.visit()),
        request(VISIT, "known visitor", jane.visit()),
        refused(VISIT, Call::empty(&track_visit::ENDPOINT)),
        request(EVENT, "new event", jane.event()),
        request(EVENT, "the same again", jane.event()),
        refused(EVENT, Call::empty(&track_event::ENDPOINT)),
        request(CONSENT, "new answer", jane.consent("denied")),
        request(CONSENT, "the same again", jane.consent("denied")),
        request(CONSENT, "a yes after it", jane.consent("granted")),
        refused(CONSENT, Call::empty(&record_consent::ENDPOINT)),
        run("nothing to do"),
        request(DEAL, "no lead yet", joe.deal(secrets).expecting(StatusCode::ACCEPTED)),
        request(LEAD, "new lead", jane.lead()),
        request(LEAD, "the same again", jane.lead().expecting(StatusCode::OK)),
        request(LEAD, "a deal waits for it", joe.lead()),
        refused(LEAD, Call::empty(&create_lead::ENDPOINT)),
        request(DEAL, "its lead is there", jane.deal(secrets)),
        request(DEAL, "the same again", jane.deal(secrets)),
        // That it was refused is counted.
        Step { transactions: Some(1), ..request(DEAL, "refused", Call::unsigned()) },
        run("two conversions due"),
        request("tracking-health", "", Call::health(secrets)),
        Step { transactions: Some(0), ..request("serve-tag", "", Call::tag()) },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::sandbox::functions;
    use super::*;

    #[test]
    fn every_function_is_measured() {
        let story = story(&Secrets::new(), &Person::two());
        let missing: Vec<_> =
            functions().filter(|function| !story.iter().any(|step| step.function == *function)).collect();
        assert!(missing.is_empty(), "the story has no step for {missing:?}");
    }
}
