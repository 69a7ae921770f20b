//! Which endpoints there are: the document's against the code's.

use std::collections::BTreeSet;

use shared::http::{Caller, Endpoint};

use crate::document::Document;

/// Every line that only one of the two has.
pub fn differences(document: &Document, endpoints: &[&Endpoint]) -> Vec<String> {
    let operations = document.operations();
    let documented: BTreeSet<_> = operations.iter().map(documented).chain(documented_aliases(document)).collect();
    let implemented: BTreeSet<_> = endpoints.iter().flat_map(|endpoint| implemented(endpoint)).collect();
    let promised = documented.difference(&implemented).map(|line| format!("only in the document: {line}"));
    let secret = implemented.difference(&documented).map(|line| format!("only in the code: {line}"));
    promised.chain(secret).collect()
}

fn documented(operation: &crate::document::Operation) -> String {
    let limit = operation.value["x-body-limit-bytes"].as_u64();
    line(&operation.method, operation.path, operation.caller(), limit)
}

/// Other paths of an endpoint are documented once, beside its own.
fn documented_aliases(document: &Document) -> Vec<String> {
    let aliases = document.members("/paths").into_iter().flat_map(|(path, item)| {
        let aliases: Vec<String> = serde_json::from_value(item.value["x-aliases"].clone()).unwrap_or_default();
        aliases.into_iter().map(move |alias| of_alias(&alias, path))
    });
    aliases.collect()
}

fn of_alias(alias: &str, path: &str) -> String {
    format!("{alias} for {path}")
}

fn implemented(endpoint: &Endpoint) -> Vec<String> {
    let caller = endpoint.caller;
    let limit = u64::try_from(endpoint.body_limit).ok();
    let mut lines = vec![line(endpoint.method.as_str(), endpoint.path, caller, limit)];
    // The source that is always there is documented by its own name, too.
    lines.extend(endpoint.path.ends_with("{source}").then(|| lines[0].replace("{source}", "crm-conversion")));
    lines.extend(endpoint.aliases.iter().map(|alias| of_alias(alias, endpoint.path)));
    let besides = match caller {
        Caller::Browser => Some(line("OPTIONS", endpoint.path, caller, None)),
        Caller::Anyone => Some(line("HEAD", endpoint.path, caller, limit)),
        Caller::Server => None,
    };
    lines.extend(besides);
    lines
}

fn line(method: &str, path: &str, caller: Caller, limit: Option<u64>) -> String {
    let caller = match caller {
        Caller::Browser => "browsers",
        Caller::Server => "systems that authenticate",
        Caller::Anyone => "anyone",
    };
    let limit = limit.map_or_else(|| "no body".into(), |limit| format!("at most {limit} bytes"));
    format!("{method} {path} for {caller}, {limit}")
}

#[cfg(test)]
mod tests {
    use dev::functions::ENDPOINTS;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_kind_of_difference_is_reported() {
        let leads = "/paths/~1api~1leads";
        let mistakes = [
            (
                "/post/x-body-limit-bytes",
                json!(7),
                "only in the document: POST /api/leads for browsers, at most 7 bytes",
            ),
            ("/post/security", json!([{"HealthKey": []}]), "only in the code: POST /api/leads for browsers"),
            ("/put", json!({"security": []}), "only in the document: PUT /api/leads for browsers, no body"),
            ("/x-aliases", json!(["/t/x"]), "only in the document: /t/x for /api/leads"),
            ("/x-aliases", Value::Null, "only in the code: /t/l for /api/leads"),
            ("/options", Value::Null, "only in the code: OPTIONS /api/leads for browsers, no body"),
            ("/post", Value::Null, "only in the code: POST /api/leads for browsers, at most 262144 bytes"),
        ];
        for (at, mistake, expected) in mistakes {
            let mut document = Document::read();
            document.put(&format!("{leads}{at}"), mistake);
            let found = differences(&document, ENDPOINTS);
            assert!(found.iter().any(|line| line.starts_with(expected)), "{at}: {expected} not in {found:#?}");
        }
        assert_eq!(differences(&Document::read(), &ENDPOINTS[1..]).len(), 4);
    }
}
