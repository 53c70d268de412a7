//! YAML or JSON text → values with the line of each field, and which words were written without quotes.
//!
//! Scalars are read as the API server's tools read them: YAML 1.1, in which a bare `off` is a boolean.

mod reader;
mod scalar;

use std::collections::HashMap;

use serde_json::Value;

use super::Problem;
use reader::Reader;

/// Most bytes of a file of policies.
pub const MAX_BYTES: usize = 1 << 20;
/// Most values in a file, repeated ones counted at each use.
pub const MAX_NODES: usize = 50_000;
/// Deepest nesting of a file.
pub const MAX_DEPTH: usize = 64;

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// The content; `null` when something in it could not be read.
    pub(super) value: Value,
    /// What the text said beyond the content.
    pub(super) marks: Marks,
    /// What was wrong with the text.
    pub(super) found: Vec<Problem>,
    /// Which document of the file, from 1.
    pub(super) number: usize,
}

/// What the text of a document said beyond its content, by field path.
#[derive(Debug, Default)]
pub(super) struct Marks {
    lines: HashMap<String, usize>,
    bare: HashMap<String, String>,
}

impl Document {
    /// A document that was never text.
    pub(super) fn new(value: Value) -> Self {
        Self {
            value,
            marks: Marks::default(),
            found: Vec::new(),
            number: 1,
        }
    }
}

impl Marks {
    /// Line of a field, or of the nearest one around it.
    pub(super) fn line(&self, path: &str) -> Option<usize> {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// The word that was written where a boolean was read: `off`, `yes`, …
    pub(super) fn bare(&self, path: &str) -> Option<&str> {
        self.bare.get(path).map(String::as_str)
    }
}

/// Reads every document that is not empty.
pub(super) fn read(text: &str) -> Result<Vec<Document>, Vec<Problem>> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, more than {MAX_BYTES}", text.len());
        let fix = "split it into files of one policy each";
        return Err(vec![Problem::of_file(&message, fix)]);
    }
    Reader::new(text).documents().or_else(|problem| {
        read_json(text)
            .map(|value| vec![Document::new(value)])
            .ok_or_else(|| vec![*problem])
    })
}

/// JSON that is no YAML: escaped surrogate pairs, as some writers make of every letter beyond the basic plane.
fn read_json(text: &str) -> Option<Value> {
    let value = serde_json::from_str(text).ok()?;
    (size(&value) <= MAX_NODES && depth(&value) <= MAX_DEPTH).then_some(value)
}

/// Number of values.
fn size(value: &Value) -> usize {
    1 + inner(value).map(size).sum::<usize>()
}

fn depth(value: &Value) -> usize {
    inner(value).map(|value| 1 + depth(value)).max().unwrap_or(0)
}

fn inner(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(members) => Box::new(members.values()),
        _ => Box::new(std::iter::empty()),
    }
}

#[cfg(test)]
mod tests;
