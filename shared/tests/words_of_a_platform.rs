//! What is a platform's own stands in its folder: nothing else knows its words, so a new platform touches nothing else.

use std::path::{Path, PathBuf};

/// Google's click ids, its account, and the times within which something counts for it.
const WORDS: [&str; 8] =
    ["gclid", "gbraid", "wbraid", "customer_id", "customer id", "days(54)", "days(63)", "click_hold"];

/// Where one may stand nevertheless, and why.
const EXCEPTIONS: [(&str, &str); 5] = [
    ("shared/src/platforms/google", "Google's own"),
    ("shared/src/attribution/networks.rs", "clicks are kept of every network, also of those that have no platform"),
    ("shared/src/attribution/linker.rs", "what Google's tag hands on from site to site, and keeps of its clicks"),
    ("shared/src/health/website.rs", "visits of its ads are counted by the columns that keep their clicks"),
    ("cli/src/setup/google.rs", "what `adtrail setup` asks for it, as the template has parameters for it"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("tests") && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// Without its tests, which stand at the end of a source.
fn code(source: &str) -> &str {
    source.split("#[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn nothing_but_its_folder_knows_google_s_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut files = Vec::new();
    for folder in ["shared/src", "functions", "cli/src"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 150, "{}", files.len());
    let (mut wrong, mut used) = (Vec::new(), [false; EXCEPTIONS.len()]);
    for file in &files {
        let name = file.strip_prefix(root).expect("below the workspace").display().to_string();
        let source = std::fs::read_to_string(file).expect("a source").to_lowercase();
        let found: Vec<_> = WORDS.into_iter().filter(|word| code(&source).contains(word)).collect();
        match EXCEPTIONS.iter().position(|(exception, _)| name.starts_with(exception)) {
            Some(at) => used[at] |= !found.is_empty(),
            None if found.is_empty() => {}
            None => wrong.push(format!("{name} has {}", found.join(", "))),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(used, [true; EXCEPTIONS.len()], "an exception that nothing needs goes");
}
