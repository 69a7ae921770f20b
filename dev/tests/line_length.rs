//! No line of a comment or of SQL is longer than 120 characters. rustfmt wraps neither.

#![expect(clippy::unwrap_used, reason = "a test may end that way")]

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

const LONGEST: usize = 120;

/// Databases hold the checksums of these, so they stay as they are.
const LANDED: [&str; 10] = [
    "000_leads.sql",
    "001_visitors.sql",
    "002_conversions.sql",
    "003_conversion_queue.sql",
    "004_tracking_events.sql",
    "005_leads_extension.sql",
    "006_delivery.sql",
    "007_session_attributes.sql",
    "008_adjustments.sql",
    "009_webhooks.sql",
];

#[test]
fn no_line_of_a_comment_or_of_sql_is_longer_than_120_characters() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut offenders = Vec::new();
    for (extension, too_long) in [
        ("rs", too_long_in_rust as fn(&str) -> Vec<usize>),
        ("sql", |text| too_long(text, 0..text.len())),
        ("toml", too_long_after_hash),
        ("sh", too_long_after_hash),
    ] {
        let files = files(repository, extension);
        assert!(!files.is_empty(), "there is no .{extension} file");
        for file in files.iter().filter(|file| !LANDED.iter().any(|landed| file.ends_with(landed))) {
            let lines = too_long(&fs::read_to_string(file).unwrap());
            let path = file.strip_prefix(repository).unwrap().display();
            offenders.extend(lines.iter().map(|line| format!("{path}:{line}")));
        }
    }
    assert!(offenders.is_empty(), "longer than {LONGEST} characters:\n{}\n", offenders.join("\n"));
}

#[test]
fn a_long_line_is_found_in_comments_and_in_sql_and_nowhere_else() {
    let long = "x".repeat(LONGEST);
    let text = format!(
        r##"// {long}
let url = "https://{long}";
let quote = ('"', '\'', "\"// {long}");
/// {long}
let sql = "select '{long}'
    from leads";
let raw = r#"-- name
    with "{long}" as (select 1)"#;
// {}
"##,
        "ü".repeat(LONGEST - 3)
    );
    assert_eq!(too_long_in_rust(&text), [1, 4, 5, 8]);
    assert_eq!(too_long_after_hash(&format!("# {long}\nkey = \"{long}\"\n  # {long}\n#\n")), [1, 3]);
}

/// The files of a folder that somebody wrote: not what cargo built or npm fetched, and nothing hidden.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if name == "target" || name == "node_modules" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            files.extend(self::files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            files.push(path);
        }
    }
    files.sort_unstable();
    files
}

/// The lines of comments and SQL that are too long. All of Rust that can hide the beginning of either is a token here:
/// a comment, a raw string, a string, a character.
fn too_long_in_rust(text: &str) -> Vec<usize> {
    let token = Regex::new(
        r#"(?sx) (?<comment>//[^\n]*) | r\#"(?<raw>.*?)"\# | r"(?<bare>[^"]*)" | "(?<string>(?:[^"\\]|\\.)*)"
            | '(?:[^'\\]|\\[^\n]+?)'"#,
    )
    .unwrap();
    let sql = Regex::new(r"^\s*(--|(alter|create|delete|drop|insert|select|set|truncate|update|with)\s)").unwrap();
    let mut lines = Vec::new();
    for token in token.captures_iter(text) {
        let string = ["raw", "bare", "string"].into_iter().find_map(|name| token.name(name));
        let wanted = token.name("comment").or(string.filter(|string| sql.is_match(string.as_str())));
        lines.extend(wanted.map(|it| too_long(text, it.range())).unwrap_or_default());
    }
    lines.dedup();
    lines
}

/// The comments of TOML and shell that are too long.
fn too_long_after_hash(text: &str) -> Vec<usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with('#'));
    lines.filter(|(_, line)| line.chars().count() > LONGEST).map(|(nth, _)| nth + 1).collect()
}

/// The numbers of the lines that are too long and have a part in this range.
fn too_long(text: &str, range: std::ops::Range<usize>) -> Vec<usize> {
    let first = text[..range.start].matches('\n').count();
    let count = text[range].matches('\n').count() + 1;
    let lines = text.lines().enumerate().skip(first).take(count);
    lines.filter(|(_, line)| line.chars().count() > LONGEST).map(|(nth, _)| nth + 1).collect()
}
