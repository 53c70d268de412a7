//! A ban as its issuer states it, and what can be wrong with it.

use std::time::Duration;

use crate::entry::Layer;

/// Longest pattern in characters.
pub const PATTERN_MAX: usize = 128;

/// Longest model glob in characters.
pub const MODEL_MAX: usize = 256;

/// Longest class name in characters: a DNS label.
pub const CLASS_MAX: usize = 63;

/// What to kill; every condition given must hold, and at least one must be given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ban {
    /// Matched against each tag: `*` is any run, a closing `:*` also nothing; `*` alone matches every entry.
    pub pattern: Option<String>,
    /// Glob over the model that answered.
    pub model: Option<String>,
    /// Name of a TTL class.
    pub class: Option<String>,
    /// Only entries whose request started at least this long before the ban.
    pub older_than: Option<Duration>,
    /// Only entries of this cache; a condition beside the others, not on its own.
    pub layer: Option<Layer>,
}

/// One thing wrong with a ban.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Problem {
    /// Name of the member as the caller wrote it.
    pub field: &'static str,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl Ban {
    /// Every problem at once; empty when the ban can be issued.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let is_bare = Self {
            layer: None,
            ..self.clone()
        } == Self::default();
        if is_bare {
            problems.push(Problem {
                field: "pattern",
                message: "give at least one of pattern, model, class, olderThan".into(),
            });
        }
        let bounded = [
            ("pattern", &self.pattern, PATTERN_MAX),
            ("model", &self.model, MODEL_MAX),
            ("class", &self.class, CLASS_MAX),
        ];
        for (field, value, max) in bounded {
            let Some(value) = value else { continue };
            if let Some(message) = text_problem(value, max) {
                problems.push(Problem { field, message });
            }
        }
        problems
    }

    pub(crate) fn check(&self) -> Result<(), Vec<Problem>> {
        let problems = self.problems();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

fn text_problem(value: &str, max: usize) -> Option<String> {
    let length = value.chars().count();
    if value.trim().is_empty() {
        return Some("is empty, give a value or leave it out".into());
    }
    if length > max {
        return Some(format!("has {length} characters, at most {max} are allowed"));
    }
    if value.chars().any(char::is_control) {
        return Some("holds a control character, remove it".into());
    }
    None
}
