//! Lists of endpoints that no compiler reads are complete, and the page on adding an endpoint names files that exist.

use std::fs;
use std::path::Path;

use anyhow::Context;
use dev::functions::{BINARIES, ENDPOINTS};
use regex::Regex;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn read(file: &str) -> anyhow::Result<String> {
    fs::read_to_string(Path::new(ROOT).join(file)).context(file.to_owned())
}

#[test]
fn cargo_lambda_watch_routes_every_endpoint() -> anyhow::Result<()> {
    let manifest: toml::Table = read("Cargo.toml")?.parse()?;
    let router = &manifest["workspace"]["metadata"]["lambda"]["watch"]["router"];

    let expected = ENDPOINTS
        .iter()
        .zip(BINARIES)
        .flat_map(|(endpoint, binary)| endpoint.paths().map(|path| (path.into(), (*binary).into())));

    assert_eq!(router, &toml::Value::Table(expected.collect()));
    Ok(())
}

#[test]
fn the_readme_names_every_endpoint() -> anyhow::Result<()> {
    let readme = read("README.md")?;
    for endpoint in ENDPOINTS {
        let row = format!("\n| `{} {}` |", endpoint.method, endpoint.path);
        assert!(readme.contains(&row), "the table of endpoints has no row {row}");
    }
    Ok(())
}

#[test]
fn the_page_on_adding_an_endpoint_names_files_that_exist() -> anyhow::Result<()> {
    let page = read("docs/adding-an-endpoint.md")?;
    let file = Regex::new(r"`([\w./-]*[\w-]\.(?:rs|toml|yaml|md)|Cargo\.lock|functions/[\w/-]+)`")?;

    let named: Vec<_> = file.captures_iter(&page).map(|found| found[1].to_owned()).collect();
    let missing: Vec<_> =
        named.iter().filter(|name| !name.contains("track-call") && !Path::new(ROOT).join(name).exists()).collect();

    assert!(named.len() > 10, "only {named:?}");
    assert!(missing.is_empty(), "there is no {missing:?}");
    Ok(())
}
