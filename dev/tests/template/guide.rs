//! `docs/deploy.md` names what there is, and all that one is asked.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::document::Template;
use crate::every_change_is_named;

pub const PAGE: &str = include_str!("../../../docs/deploy.md");

pub fn faults(template: &Template, page: &str) -> Vec<String> {
    let keys = |section: &str| template.value[section].as_object().into_iter().flat_map(Map::keys);
    let is_in_page = |name: &str| page.contains(&format!("`{name}`"));
    let parameters = keys("Parameters").filter(|name| !is_in_page(name));
    let mut faults: Vec<_> =
        parameters.map(|name| format!("docs/deploy.md doesn't mention the parameter {name}")).collect();

    let known: BTreeSet<_> = ["Parameters", "Outputs", "Resources"].into_iter().flat_map(keys).collect();
    let name = Regex::new("`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`").expect("a pattern");
    // A property of the template, not a name in it.
    let named: BTreeSet<_> = name.captures_iter(page).map(|found| found[1].to_owned()).collect();
    let unknown = named.iter().filter(|name| *name != "RouteSettings" && !known.contains(name));
    faults.extend(unknown.map(|name| format!("docs/deploy.md mentions {name}, which the template doesn't have")));

    let makefile = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Makefile")).expect("the Makefile");
    let target = Regex::new(r"(?m)(?:^|`)make ([a-z-]+)").expect("a pattern");
    let targets: BTreeSet<_> = target.captures_iter(page).map(|found| found[1].to_owned()).collect();
    let missing = targets.iter().filter(|target| !makefile.contains(&format!("\n{target}:")));
    faults.extend(missing.map(|target| format!("docs/deploy.md says make {target}, which the Makefile doesn't have")));
    faults
}

#[test]
fn what_the_page_says_wrong_is_named() {
    let page = format!("{}\n`make launch` sets `DatabaseUrl`\n", PAGE.replace("`AlarmEmail`", "your address"));
    assert_eq!(
        faults(&Template::read(), &page),
        [
            "docs/deploy.md doesn't mention the parameter AlarmEmail",
            "docs/deploy.md mentions DatabaseUrl, which the template doesn't have",
            "docs/deploy.md says make launch, which the Makefile doesn't have",
        ]
    );
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    every_change_is_named(
        |it| faults(it, PAGE),
        &[
            ("/Parameters/Memory", json!({"Type": "Number"}), "docs/deploy.md doesn't mention the parameter Memory"),
            ("/Outputs/UploaderRoleName", Value::Null, "docs/deploy.md mentions UploaderRoleName"),
        ],
    );
}
