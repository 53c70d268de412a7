//! Sizes, places and contents of files.

use super::house::{assert_none, files, files_ending, text};

const LONGEST: usize = 400;

/// What may stand at the top.
const TOP: [&str; 16] = [
    ".ci",
    ".clippy.toml",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "charts",
    "crds",
    "operator",
    "rustfmt.toml",
    "sidecar",
    "tests",
];

/// Endings of files that are no text of ours.
const OPAQUE: [&str; 5] = [".lock", ".gz", ".onnx", ".png", ".zst"];

/// Written in halves, so that this file does not hold what it looks for.
const MACHINE_PATHS: [(&str, &str); 5] = [
    ("/ho", "me/"),
    ("/Us", "ers/"),
    ("/ro", "ot/"),
    ("/wo", "rk/"),
    ("C:\\Us", "ers"),
];
const REGISTRIES: [(&str, &str); 5] = [
    ("crates", ".io"),
    ("registry.npm", "js.org"),
    ("pypi", ".org"),
    ("python", "hosted.org"),
    ("deb.deb", "ian.org"),
];

/// Rust files that people write; what is generated is no room to live in.
fn written_in_rust() -> impl Iterator<Item = String> {
    files_ending(".rs")
        .into_iter()
        .filter(|name| !name.ends_with("/generated.rs"))
}

#[test]
fn no_rust_file_is_longer_than_a_room() {
    let lengths = written_in_rust().map(|name| (text(&name).lines().count(), name));
    let long: Vec<String> = lengths
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    assert_none("files over 400 lines, split them", &long);
}

#[test]
fn modules_are_files_of_their_own_name() {
    let found: Vec<String> = files().into_iter().filter(|name| name.ends_with("/mod.rs")).collect();
    assert_none("use foo.rs beside foo/", &found);
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    // A test module beside its code needs no introduction.
    let files = written_in_rust().filter(|name| !name.ends_with("tests.rs") && !name.contains("/tests/"));
    let silent: Vec<String> = files.filter(|name| !text(name).starts_with("//!")).collect();
    assert_none("files without a //! line", &silent);
}

#[test]
fn the_top_holds_only_what_the_map_shows() {
    let strangers: Vec<String> = files()
        .into_iter()
        .filter(|name| !TOP.contains(&name.split('/').next().unwrap_or_default()))
        .collect();
    assert_none("not in the map of the house", &strangers);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    assert_none("paths of one machine", &holders(&MACHINE_PATHS));
}

#[test]
fn no_file_names_a_package_registry() {
    assert_none("package registries", &holders(&REGISTRIES));
    let resolved: Vec<String> = files_ending("package-lock.json")
        .into_iter()
        .filter(|name| text(name).contains("\"resolved\""))
        .collect();
    assert_none(
        "package-lock.json with addresses (npm config: omit-lockfile-registry-resolved)",
        &resolved,
    );
}

#[test]
fn no_attribute_silences_a_lint_without_a_reason() {
    let mut problems = Vec::new();
    for name in written_in_rust() {
        for (index, line) in text(&name).lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("#[allow(") || line.starts_with("#![allow(") || line.starts_with("#[ignore") {
                problems.push(format!("{name}:{}: {line}", index + 1));
            }
        }
    }
    assert_none("say #[expect(…, reason = \"…\")] instead", &problems);
}

/// Lines of text files that hold one of the words.
fn holders(words: &[(&str, &str)]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|(head, tail)| format!("{head}{tail}")).collect();
    let mut found = Vec::new();
    for name in files()
        .into_iter()
        .filter(|name| !OPAQUE.iter().any(|ending| name.ends_with(ending)))
    {
        for (index, line) in text(&name).lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                found.push(format!("{name}:{}: {word}", index + 1));
            }
        }
    }
    found
}
