//! The files of the project, for the checks to read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
        .to_owned()
}

/// Every file of the project, relative to the root.
pub(super) fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args([
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .expect("git lists the files of the project");
    assert!(
        listed.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let files: Vec<String> = names
        .split_terminator('\0')
        .filter(|name| root().join(name).exists())
        .map(str::to_owned)
        .collect();
    assert!(
        files.iter().any(|name| name == "Cargo.toml"),
        "git ls-files must see the workspace"
    );
    files
}

/// The files whose name ends so.
pub(super) fn files_ending(suffix: &str) -> Vec<String> {
    files().into_iter().filter(|name| name.ends_with(suffix)).collect()
}

/// A file's text.
pub(super) fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Fails with every problem at once.
pub(super) fn assert_none(what: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{what}:\n  {}", problems.join("\n  "));
}
