//! A module uses its own layer and those above it: the order of the modules in `lib.rs`, which a blank line and a
//! comment part into layers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The layer of each module, counted from the ground.
fn layers(lib: &str) -> BTreeMap<&str, usize> {
    let mut layer = 0;
    let mut layers = BTreeMap::new();
    for line in lib.lines() {
        if line.is_empty() {
            layer += 1;
        }
        let name = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ").and_then(|it| it.split(';').next());
        if let Some(name) = name {
            layers.insert(name, layer);
        }
    }
    layers
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

/// The modules that a source names by `crate::`.
fn used(source: &str) -> impl Iterator<Item = &str> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap_or_default())
}

#[test]
fn modules_only_use_their_own_layer_and_those_above() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = std::fs::read_to_string(root.join("lib.rs")).expect("lib.rs");
    let layers = layers(&lib);
    assert!(layers.len() > 20, "{layers:?}");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("src/lib.rs")) {
        let of_src = file.strip_prefix(&root).expect("below src");
        let module = of_src.iter().next().and_then(|it| it.to_str()).expect("a name").trim_end_matches(".rs");
        let own = layers.get(module).unwrap_or_else(|| panic!("lib.rs doesn't list {module}"));
        let source = std::fs::read_to_string(file).expect("a source");
        for name in used(&source) {
            // A group would hide the names in it.
            if name.is_empty() {
                wrong.push(format!("{} doesn't name one module after crate::", of_src.display()));
            }
            if layers.get(name).is_some_and(|layer| layer > own) {
                wrong.push(format!("{} uses {name}, which is in a layer below", of_src.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
