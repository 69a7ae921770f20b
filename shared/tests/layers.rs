//! A module uses only the modules on the lines above its own in `lib.rs`, so no two use each other.

use std::path::{Path, PathBuf};

/// The module that a line of `lib.rs` declares.
fn declared(line: &str) -> Option<&str> {
    line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?.split(';').next()
}

/// How many groups of modules there are between blank lines.
fn layers(lib: &str) -> usize {
    lib.split("\n\n").filter(|group| group.lines().any(|line| declared(line).is_some())).count()
}

/// What a source uses although it shouldn't. `own` is the module of `lib.rs` that it belongs to, and `depth` the number
/// of modules from the root to the source.
fn faults(modules: &[&str], own: &str, depth: usize, source: &str) -> Vec<String> {
    let position = |name: &str| modules.iter().position(|module| *module == name);
    let mut faults = Vec::new();
    // The indentation of each module with a body that is open.
    let mut open = Vec::new();
    for line in source.lines() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        for rest in code.split("crate::").skip(1) {
            let name = rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap_or_default();
            if position(name).is_none() {
                // A group would hide the names in it.
                faults.push(format!("doesn't name a module after crate::, {code}"));
            } else if position(name) > position(own) {
                faults.push(format!("uses {name}, which is below {own}"));
            }
        }
        if code.contains(&"super::".repeat(depth + open.len())) {
            faults.push(format!("reaches the root by super::, {code}"));
        }
        let indentation = line.len() - code.len();
        if code == "}" && open.last() == Some(&indentation) {
            open.pop();
        } else if code.ends_with('{') && code.split(' ').any(|word| word == "mod") {
            open.push(indentation);
        }
    }
    faults
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn modules_only_use_those_above() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = std::fs::read_to_string(root.join("lib.rs")).expect("lib.rs");
    let modules: Vec<_> = lib.lines().filter_map(declared).collect();
    assert!(modules.len() > 20, "{modules:?}");
    assert_eq!(layers(&lib), 6, "docs/architecture.md lists as many");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("src/lib.rs")) {
        let of_src = file.strip_prefix(&root).expect("below src");
        let own = of_src.iter().next().and_then(|it| it.to_str()).expect("a name").trim_end_matches(".rs");
        assert!(modules.contains(&own), "lib.rs doesn't list {own}");
        let source = std::fs::read_to_string(file).expect("a source");
        let faults = faults(&modules, own, of_src.iter().count(), &source);
        wrong.extend(faults.iter().map(|fault| format!("{} {fault}", of_src.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn uses_of_modules_below_are_found() {
    let modules = ["consent", "http", "crm", "config", "intake"];
    let tests = "mod tests {\n    use super::super::intake;\n}";
    for (own, depth, source) in [
        ("http", 1, "use crate::crm::Source;"),
        ("config", 1, "let outcome = crate::intake::receive(tx);"),
        ("http", 1, "use crate::{consent, crm};"),
        ("http", 1, "use crate::Unknown;"),
        ("consent", 1, "use super::intake;"),
        ("consent", 2, "use super::super::intake;"),
        ("consent", 1, tests),
        ("consent", 1, "mod tests {\n    use super::*;\n}\nuse super::intake;"),
    ] {
        assert_eq!(faults(&modules, own, depth, source).len(), 1, "{own}: {source}");
    }
    for (own, depth, source) in [
        ("crm", 1, "use crate::http::Problem;\nuse crate::crm::Source;"),
        ("crm", 2, "use super::Source;"),
        ("crm", 2, tests),
        ("crm", 1, "// use super::intake;"),
    ] {
        assert_eq!(faults(&modules, own, depth, source), [""; 0], "{own}: {source}");
    }
}
