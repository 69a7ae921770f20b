//! `template.yaml` deploys what the code is, and `docs/deploy.md` describes it: routes, functions, settings, rights,
//! schedule, alarms and parameters. Without the network.

mod dashboard;
mod doctor;
mod document;
mod functions;
mod guide;
mod parameters;
mod rights;
mod routes;
mod runbook;
mod schedule;
mod settings;
mod site;
mod spool;

use serde_json::Value;

use document::Template;

/// Everything that is wrong with the template, in sentences.
fn faults(template: &Template) -> Vec<String> {
    [
        routes::faults(template, &routes::contract()),
        functions::faults(template, &functions::folders()),
        settings::faults(template),
        rights::faults(template, &rights::calls()),
        schedule::faults(template),
        site::faults(template),
        spool::faults(template),
        parameters::faults(template),
        guide::faults(template, guide::PAGE),
        doctor::faults(template),
        runbook::faults(template),
        dashboard::faults(template),
    ]
    .concat()
}

#[test]
fn the_template_fits_the_code_and_the_documents() {
    let faults = faults(&Template::read());

    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Each line: what is changed in the template, to what (null: taken away), and the fault that must be found.
fn every_change_is_named(faults: impl Fn(&Template) -> Vec<String>, changes: &[(&str, Value, &str)]) {
    for (pointer, value, expected) in changes {
        let found = faults(&Template::read().with(pointer, value.clone()));
        assert!(found.iter().any(|fault| fault.contains(expected)), "{pointer}: {expected} not in {found:#?}");
    }
}
