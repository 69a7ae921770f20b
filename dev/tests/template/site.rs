//! The distribution in front of the website passes on what its pages call, and says who called.

use dev::functions::ENDPOINTS;
use regex::Regex;
use serde_json::{Value, json};
use shared::http::Caller;
use shared::http::entrance::{CLIENT_ADDRESS_HEADER, PROXY_KEY_HEADER};

use crate::document::Template;
use crate::every_change_is_named;

/// The id of CloudFront's policy of this name.
const CACHING_DISABLED: &str = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad";

pub fn faults(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    for (_, distribution) in template.resources("AWS::CloudFront::Distribution") {
        let config = &distribution["DistributionConfig"];
        let behaviours: Vec<_> = config["CacheBehaviors"].as_array().into_iter().flatten().collect();
        for endpoint in ENDPOINTS {
            // At the site's own host the tag's paths need no /api in front.
            // And whoever has a source calls the API itself.
            let is_passed =
                |it: &&str| !it.starts_with("/api/t/") && *it != "/api/t.js" && *it != "/api/leads/{source}";
            for path in endpoint.paths().filter(is_passed) {
                let behaviour = behaviours.iter().find(|it| fits(&it["PathPattern"], path));
                match (behaviour, endpoint.caller) {
                    (None, Caller::Browser | Caller::Anyone) => faults.push(format!("the site doesn't pass on {path}")),
                    (Some(_), Caller::Server) => faults.push(format!("the site takes {path}, which no page calls")),
                    _ => {}
                }
            }
        }
        for behaviour in behaviours {
            let pattern = &behaviour["PathPattern"];
            if !ENDPOINTS.iter().flat_map(|endpoint| endpoint.paths()).any(|path| fits(pattern, path)) {
                faults.push(format!("the site passes on {pattern}, which is no endpoint"));
            }
            let caches = behaviour["CachePolicyId"] != CACHING_DISABLED;
            let is_the_same_for_all = !ENDPOINTS
                .iter()
                .any(|endpoint| endpoint.caller != Caller::Anyone && endpoint.paths().any(|path| fits(pattern, path)));
            if caches != is_the_same_for_all {
                let word = if caches { "caches" } else { "doesn't cache" };
                faults.push(format!("the distribution {word} {pattern}"));
            }
            let function = behaviour["FunctionAssociations"][0]["FunctionARN"]["Fn::GetAtt"].as_str();
            let says_who_calls = function == Some("SiteClientAddress.FunctionARN");
            if !says_who_calls && !is_the_same_for_all || behaviour["TargetOriginId"] != "api" {
                faults.push(format!("{pattern} doesn't go to the API with its caller's address"));
            }
        }
        let origins = config["Origins"].as_array().into_iter().flatten();
        let key = origins.filter(|it| it["Id"] == "api").any(|api| {
            let header = &api["OriginCustomHeaders"][0];
            let name = header["HeaderName"].as_str().unwrap_or_default();
            let value = header["HeaderValue"].to_string();
            name.eq_ignore_ascii_case(PROXY_KEY_HEADER) && value.contains("${SecretArn}:SecretString:PROXY_KEY}}")
        });
        if !key {
            faults.push(format!("the distribution doesn't send {PROXY_KEY_HEADER}"));
        }
    }
    for (name, function) in template.resources("AWS::CloudFront::Function") {
        let code = function["FunctionCode"].as_str().unwrap_or_default();
        if !code.contains(&format!("headers['{CLIENT_ADDRESS_HEADER}'] = {{value: event.viewer.ip}}")) {
            faults.push(format!("{name} doesn't set {CLIENT_ADDRESS_HEADER}"));
        }
    }
    faults
}

/// As CloudFront compares a path: a star stands for anything.
fn fits(pattern: &Value, path: &str) -> bool {
    let pattern = regex::escape(pattern.as_str().unwrap_or_default()).replace(r"\*", ".*");
    Regex::new(&format!("^{pattern}$")).expect("a pattern").is_match(path)
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    let behaviours = "/Resources/SiteDistribution/Properties/DistributionConfig/CacheBehaviors";
    let origin = "/Resources/SiteDistribution/Properties/DistributionConfig/Origins/1";
    every_change_is_named(
        faults,
        &[
            (&format!("{behaviours}/1"), Value::Null, "the site doesn't pass on /api/consent"),
            (&format!("{behaviours}/3"), Value::Null, "the site doesn't pass on /t.js"),
            (&format!("{behaviours}/4"), Value::Null, "the site doesn't pass on /t/v"),
            (&format!("{behaviours}/3/CachePolicyId"), json!(CACHING_DISABLED), "doesn't cache \"/t.js\""),
            (&format!("{behaviours}/4/CachePolicyId"), json!("x"), "caches \"/t/*\""),
            (
                &format!("{behaviours}/1/PathPattern"),
                json!("/api/*"),
                "takes /api/webhooks/{source}, which no page calls",
            ),
            (&format!("{behaviours}/1/PathPattern"), json!("/x"), "passes on \"/x\", which is no endpoint"),
            (&format!("{behaviours}/0/FunctionAssociations"), Value::Null, "with its caller's address"),
            (&format!("{origin}/OriginCustomHeaders"), Value::Null, "doesn't send x-adtrail-proxy-key"),
            (
                "/Resources/SiteClientAddress/Properties/FunctionCode",
                json!("function handler(event) { return event.request; }"),
                "SiteClientAddress doesn't set x-adtrail-client-address",
            ),
        ],
    );
}
