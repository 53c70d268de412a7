//! One thing wrong with a policy, and the list of them.

use std::fmt;

use serde_json::Value;

use super::document::Marks;

/// Most characters of a value that a problem repeats.
const MAX_VALUE: usize = 80;

/// One thing wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which document of the file, from 1; 0 = the file as a whole.
    pub document: usize,
    /// Line in the file, from 1, where known.
    pub line: Option<usize>,
    /// Field path as the API server writes it, such as `spec.ttlClasses[1].ttl`; empty = the document.
    pub path: String,
    /// The value as JSON, shortened; absent when the field is.
    pub value: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub allowed: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.document > 1 {
            write!(f, "document {}: ", self.document)?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        if let Some(value) = &self.value {
            write!(f, "{value}: ")?;
        }
        f.write_str(&self.message)?;
        if !self.allowed.is_empty() {
            write!(f, "; allowed: {}", self.allowed)?;
        }
        write!(f, "; fix: {}", self.fix)
    }
}

impl std::error::Error for Problem {}

impl Problem {
    /// A problem of the file, not of a field.
    pub(super) fn of_file(message: &str, fix: &str) -> Self {
        Self {
            document: 0,
            line: None,
            path: String::new(),
            value: None,
            message: message.into(),
            allowed: String::new(),
            fix: fix.into(),
        }
    }
}

/// What one document has wrong so far.
pub(super) struct Problems<'a> {
    marks: &'a Marks,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(marks: &'a Marks, found: Vec<Problem>) -> Self {
        Self { marks, found }
    }

    pub(super) fn push(&mut self, path: &str, value: Option<&Value>, message: &str, allowed: &str, fix: &str) {
        self.found.push(Problem {
            document: 1,
            line: self.marks.line(path),
            path: path.into(),
            value: value.map(shown),
            message: message.into(),
            allowed: allowed.into(),
            fix: fix.into(),
        });
    }

    /// Adds a problem whose value is shown as it was written.
    pub(super) fn push_words(&mut self, path: &str, written: &str, message: &str, allowed: &str, fix: &str) {
        self.push(path, None, message, allowed, fix);
        if let Some(problem) = self.found.last_mut().filter(|_| !written.is_empty()) {
            problem.value = Some(shorten(written));
        }
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The word without quotes that was read as a boolean at a path.
    pub(super) fn bare(&self, path: &str) -> Option<&'a str> {
        self.marks.bare(path)
    }

    /// Whether something at a path or beneath it is wrong already.
    pub(super) fn touches(&self, path: &str) -> bool {
        self.found.iter().any(|problem| {
            problem
                .path
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// All of them by path, list items by number.
    pub(super) fn sorted(mut self, document: usize) -> Vec<Problem> {
        for problem in &mut self.found {
            problem.document = document;
        }
        self.found.sort_by_cached_key(|problem| steps(&problem.path));
        self.found.dedup();
        self.found
    }
}

/// A value as a problem shows it.
pub(super) fn shown(value: &Value) -> String {
    shorten(&value.to_string())
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

fn steps(path: &str) -> Vec<(String, usize)> {
    path.split(['.', '['])
        .map(|step| match step.strip_suffix(']').map(str::parse) {
            Some(Ok(index)) => (String::new(), index),
            _ => (step.into(), 0),
        })
        .collect()
}
