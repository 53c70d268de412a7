//! How a command ends when it does not end well: lines on stderr and an exit code.

use std::process::ExitCode;

use crate::output::complain;

/// Ends the process with a code, after lines that name what is wrong and the fix.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Something in the files or in the cluster is wrong; exit 1. No line: the result says what.
    Problems(Vec<String>),
    /// The command line cannot be acted on; exit 2.
    Usage(Vec<String>),
    /// The API server does not answer, or not to this account; exit 3.
    Unreachable(Vec<String>),
}

impl Failure {
    /// A command line that cannot be acted on, for one reason.
    pub(crate) fn usage(line: impl Into<String>) -> Self {
        Self::Usage(vec![line.into()])
    }

    /// Writes the lines; gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (lines, code) = match self {
            Self::Problems(lines) => (lines, 1),
            Self::Usage(lines) => (lines, 2),
            Self::Unreachable(lines) => (lines, 3),
        };
        for line in lines {
            complain(&format!("error: {line}"));
        }
        ExitCode::from(code)
    }
}
