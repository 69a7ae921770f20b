//! docs/adding-a-platform.md leaves no question out, and names files that exist.

use std::fs;
use std::path::Path;

use regex::Regex;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What a trait asks for, or a struct has.
fn names(source: &str, item: &str) -> Vec<String> {
    let (_, after) = source.split_once(&format!("\npub {item} {{\n")).unwrap();
    let (body, _) = after.split_once("\n}\n").unwrap();
    let name = Regex::new(r"(?m)^    (?:fn |pub )(\w+)").unwrap();
    name.captures_iter(body).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_guide_answers_every_question() {
    let guide = read("docs/adding-a-platform.md");
    for (file, item, count) in [
        ("shared/src/platforms.rs", "struct Entry", 6),
        ("shared/src/platforms.rs", "trait Lane: Send + Sync", 8),
        ("shared/src/platforms/plan.rs", "trait Platform: fmt::Debug + Send + Sync", 7),
        ("dev/tests/conformance/platforms.rs", "trait Sandbox", 10),
    ] {
        let names = names(&read(file), item);
        assert_eq!(names.len(), count, "{item}: {names:?}");
        let missing: Vec<_> = names.iter().filter(|name| !guide.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{item} asks for {missing:?}");
    }
}

#[test]
fn the_guide_names_files_that_exist() {
    let file = Regex::new(r"`((?:docs|dev|shared)/[\w./-]*)`").unwrap();
    let guide = read("docs/adding-a-platform.md");
    let named: Vec<_> = file.captures_iter(&guide).map(|found| found[1].to_owned()).collect();
    let missing: Vec<_> = named.iter().filter(|name| !Path::new(ROOT).join(name).exists()).collect();
    assert!(named.len() > 10 && missing.is_empty(), "there is no {missing:?}");
}
