//! What pages load is what tracker/t.js says, and small.

#![expect(clippy::unwrap_used, reason = "a test may end that way")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use shared::identity::Hash;

/// The most bytes of the tag, compressed by gzip -9.
const LIMIT: usize = 1_600;

fn tracker(file: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tracker");
    fs::read(folder.join(file)).unwrap()
}

#[test]
fn the_tag_was_built_from_its_source() {
    let recorded = String::from_utf8(tracker("dist/t.js.source.sha256")).unwrap();
    let source = Hash::of(tracker("t.js"));
    assert_eq!(recorded.trim(), source.as_str(), "tracker/t.js changed: run make tag, and commit tracker/dist");
}

#[test]
fn the_tag_has_at_most_1_600_bytes() {
    let size = gzip(&["-9", "-n"], &tracker("dist/t.js")).len();
    println!("{size:>8} bytes  the tag");
    // What others publish, compressed by gzip -9, as measured in November 2026.
    let peers: BTreeMap<String, usize> = serde_json::from_slice(&tracker("peers.json")).unwrap();
    for (peer, bytes) in peers {
        println!("{bytes:>8} bytes  {peer}");
    }
    assert!(size <= LIMIT, "{size} bytes are more than {LIMIT}");
}

#[test]
fn what_is_served_compressed_is_the_tag() {
    assert_eq!(gzip(&["-d"], &tracker("dist/t.js.gz")), tracker("dist/t.js"));
    assert!(tracker("dist/t.js.br").len() < tracker("dist/t.js.gz").len());
}

#[test]
fn the_tag_reads_no_cookie_and_evaluates_nothing() {
    let tag = String::from_utf8(tracker("dist/t.js")).unwrap();
    let never = [
        ".cookie",
        "eval(",
        "Function(",
        "import(",
        "innerHTML",
        "canvas",
        "getContext",
        "hardwareConcurrency",
        "plugins",
        "screen.",
        "localStorage",
        ".style",
    ];
    for word in never {
        assert!(!tag.contains(word), "{word}");
    }
}

fn gzip(arguments: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(bytes).unwrap();
    gzip.wait_with_output().unwrap().stdout
}
