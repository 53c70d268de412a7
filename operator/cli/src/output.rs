//! Lines for people, JSON for programs. A closed pipe is not an error.

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde_json::Value;

/// Form of the result on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// One JSON object.
    Json,
    /// Lines for people.
    Text,
}

/// Writes one line to stdout.
pub(crate) fn say(line: &str) {
    // Whoever closed the pipe has read enough.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Writes one line to stderr.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes one JSON value to stdout.
pub(crate) fn say_json(value: &Value) {
    say(&format!("{value:#}"));
}
