//! Which request leads to which function, and what API Gateway does before.

use std::collections::{BTreeMap, BTreeSet};

use dev::functions::{BINARIES, ENDPOINTS};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::document::Template;
use crate::every_change_is_named;

/// What the access log may have: nothing of the caller or by the caller, who may put a secret into the path or query.
const LOGGED: [&str; 8] = [
    "error.message",
    "integrationErrorMessage",
    "integrationLatency",
    "requestId",
    "requestTime",
    "responseLatency",
    "routeKey",
    "status",
];

/// `docs/openapi.yaml`.
pub fn contract() -> Value {
    serde_saphyr::from_str(include_str!("../../../docs/openapi.yaml")).expect("docs/openapi.yaml is YAML")
}

/// The functions, by the routes that lead to them.
type Routes<'a> = BTreeMap<String, &'a str>;

pub fn faults(template: &Template, contract: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut routes = Routes::new();
    for (function, event) in template.events("HttpApi") {
        let text = |name: &str| event[name].as_str().unwrap_or("nothing");
        let route = format!("{} {}", text("Method"), text("Path"));
        let binary = template.binary(function);
        let right = ENDPOINTS.iter().zip(BINARIES).find(|(endpoint, _)| endpoint.paths().any(|it| it == text("Path")));
        if right.is_some_and(|(_, right)| *right != binary) {
            faults.push(format!("{route} leads to {binary}, which doesn't answer it"));
        }
        if let Some(other) = routes.insert(route.clone(), binary) {
            faults.push(format!("{route} leads to {other} and {binary}"));
        }
    }

    let operations = operations(contract);
    let undocumented = routes.keys().filter(|route| !operations.contains(*route));
    faults.extend(undocumented.map(|route| format!("{route} isn't in docs/openapi.yaml")));
    let unserved = operations.iter().filter(|operation| !routes.keys().any(|route| leads(route, operation)));
    faults.extend(unserved.map(|operation| format!("no route leads to {operation} of docs/openapi.yaml")));

    for (_, api) in template.resources("AWS::Serverless::HttpApi") {
        faults.extend(gateway(api, &routes));
    }
    faults.extend(outputs(&template.value["Outputs"], &operations));
    faults
}

/// What API Gateway does with a request besides passing it on.
fn gateway(api: &Value, routes: &Routes) -> Vec<String> {
    let mut faults = Vec::new();
    let limits: BTreeSet<_> = api["RouteSettings"].as_object().into_iter().flat_map(Map::keys).collect();
    let served: BTreeSet<_> = routes.keys().collect();
    faults.extend(served.difference(&limits).map(|route| format!("{route} has no limit of its own")));
    faults.extend(limits.difference(&served).map(|route| format!("{route} has a limit, and isn't a route")));
    if !api["CorsConfiguration"].is_null() {
        faults.push("CorsConfiguration makes API Gateway answer preflights, and the functions do that".into());
    }
    let format = api["AccessLogSettings"]["Format"].as_str().unwrap_or_default();
    let variable = Regex::new(r"\$context\.([A-Za-z.]+)").expect("a pattern");
    let logged: BTreeSet<_> = variable.captures_iter(format).map(|found| found[1].to_owned()).collect();
    let allowed = LOGGED.map(String::from).into();
    faults.extend(logged.difference(&allowed).map(|name| format!("the access log has {name}")));
    faults.extend(allowed.difference(&logged).map(|name| format!("the access log lacks {name}")));
    faults
}

/// Those that are URLs of endpoints.
fn outputs(outputs: &Value, operations: &BTreeSet<String>) -> Vec<String> {
    let paths: BTreeSet<_> = operations.iter().filter_map(|operation| operation.split(' ').nth(1)).collect();
    let path = Regex::new(r#"/api/[^"]*"#).expect("a pattern");
    let wrong = ["WebhookUrl", "HealthUrl"].into_iter().filter(|output| {
        let urls = outputs[*output].to_string();
        let found: Vec<_> = path.find_iter(&urls).map(|path| path.as_str()).collect();
        found.is_empty() || !found.iter().all(|path| paths.contains(path))
    });
    wrong.map(|output| format!("the output {output} isn't the URL of an endpoint")).collect()
}

/// `POST /api/leads`, for each method at each path.
fn operations(contract: &Value) -> BTreeSet<String> {
    let paths = contract["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, item)| {
        let aliases = item["x-aliases"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let paths: Vec<_> = std::iter::once(path.as_str()).chain(aliases).collect();
        let methods = item.as_object().into_iter().flatten().filter(|(_, it)| !it["operationId"].is_null());
        methods.flat_map(move |(method, _)| {
            let of = |path: &&str| format!("{} {path}", method.to_uppercase());
            paths.iter().map(of).collect::<Vec<_>>()
        })
    });
    operations.collect()
}

/// Does API Gateway take this operation to this route? A part in braces stands for any.
fn leads(route: &str, operation: &str) -> bool {
    let (route, operation): (Vec<_>, Vec<_>) = (route.split('/').collect(), operation.split('/').collect());
    route.len() == operation.len() && route.iter().zip(operation).all(|(a, b)| a.starts_with('{') || *a == b)
}

#[test]
fn an_operation_that_only_the_contract_has_or_lacks_is_named() {
    let mut more = contract();
    more["paths"]["/api/erase"]["delete"]["operationId"] = "erase".into();
    assert_eq!(faults(&Template::read(), &more), ["no route leads to DELETE /api/erase of docs/openapi.yaml"]);

    let mut less = contract();
    less["paths"].as_object_mut().unwrap().remove("/api/consent");
    let found = faults(&Template::read(), &less);
    let routes =
        ["OPTIONS", "POST"].map(|method| ["/api/consent", "/api/t/c", "/t/c"].map(|it| format!("{method} {it}")));
    let expected = routes.as_flattened().iter().map(|route| format!("{route} isn't in docs/openapi.yaml"));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    every_change_is_named(
        |it| faults(it, &contract()),
        &[
            (
                "/Resources/CrmConversion/Properties/Events/Post",
                Value::Null,
                "no route leads to POST /api/webhooks/crm-conversion",
            ),
            (
                "/Resources/TrackVisit/Properties/Events/Preflight",
                Value::Null,
                "no route leads to OPTIONS /api/track/visit",
            ),
            (
                "/Resources/TrackVisit/Properties/Events/PostAlias",
                Value::Null,
                "no route leads to POST /t/v of docs/openapi.yaml",
            ),
            (
                "/Resources/TrackVisit/Properties/Events/PostAlias/Properties/Path",
                json!("/t/l"),
                "POST /t/l leads to track-visit",
            ),
            (
                "/Resources/TrackVisit/Properties/Events/Post/Properties/Path",
                json!("/api/leads"),
                "POST /api/leads leads to track-visit",
            ),
            (
                "/Resources/TrackVisit/Properties/Events/Post/Properties/Path",
                json!("/x"),
                "POST /x isn't in docs/openapi.yaml",
            ),
            (
                "/Resources/TrackVisit/Properties/Events/Post/Properties/Method",
                json!("ANY"),
                "ANY /api/track/visit isn't in",
            ),
            (
                "/Resources/Api/Properties/RouteSettings/POST ~1api~1leads",
                Value::Null,
                "POST /api/leads has no limit of its own",
            ),
            ("/Resources/Api/Properties/RouteSettings/GET ~1", json!({}), "GET / has a limit, and isn't a route"),
            ("/Resources/Api/Properties/CorsConfiguration", json!(true), "CorsConfiguration"),
            (
                "/Resources/Api/Properties/AccessLogSettings/Format",
                json!("$context.identity.sourceIp"),
                "has identity.sourceIp",
            ),
            (
                "/Outputs/HealthUrl/Value",
                json!({"Fn::Sub": "${Api}/api/health"}),
                "HealthUrl isn't the URL of an endpoint",
            ),
        ],
    );
}
