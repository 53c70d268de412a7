//! One thing that is wrong, and the exact command that mends it.

use serde::Serialize;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) problem: String,
    pub(super) fix: String,
}

impl Finding {
    /// A problem and its fix.
    pub(super) fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            fix: fix.into(),
        }
    }
}

/// All of them for people.
pub(super) fn lines(findings: &[Finding]) -> String {
    let lines = findings
        .iter()
        .map(|Finding { problem, fix }| format!("problem: {problem}\n  fix: {fix}\n"));
    lines.collect()
}
