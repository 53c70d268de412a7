//! A policy is valid or every problem is named at once, with its path, value, what is allowed and the fix.
//!
//! Schema and CEL rules come from the definition that the API server holds, so both give the same verdict at the same
//! path; what neither can see is judged here alone. Nothing here knows a client or a clock.

mod document;
mod meaning;
mod metadata;
mod problem;
mod rules;
mod schema;
mod suggest;
mod warning;

use llmcache_crds::LLMCachePolicy;
use serde_json::Value;

pub use document::{MAX_BYTES, MAX_DEPTH, MAX_NODES};
pub use problem::Problem;
pub use warning::{Warning, local_warnings};

use document::{Document, Marks};
use problem::Problems;

/// The policies of one file, at least one.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// In the order of the file, each with what this version does not act on.
    pub policies: Vec<(Validated, Vec<Warning>)>,
}

/// A policy that passed every check; only [`load`] and [`validate()`] make one.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated(LLMCachePolicy);

impl Validated {
    /// The policy as written, without defaults.
    pub fn policy(&self) -> &LLMCachePolicy {
        &self.0
    }
}

/// Reads a file of one or more policies in YAML or JSON, or names every problem in it, sorted by document and path.
pub fn load(text: &str) -> Result<Loaded, Vec<Problem>> {
    let documents = document::read(text)?;
    let mut problems = Vec::new();
    let mut policies: Vec<(Validated, Vec<Warning>)> = Vec::new();
    for document in documents {
        match judge(document) {
            Ok(policy) => {
                let warnings = warning::warnings(&policy);
                policies.push((policy, warnings));
            }
            Err(found) => problems.extend(found),
        }
    }
    problems.extend(metadata::repetitions(&policies));
    if policies.is_empty() && problems.is_empty() {
        problems.push(Problem::of_file("the file holds no policy", "write an LLMCachePolicy"));
    }
    if problems.is_empty() {
        Ok(Loaded { policies })
    } else {
        Err(problems)
    }
}

/// Judges a typed policy as [`load`] judges a file.
pub fn validate(policy: &LLMCachePolicy) -> Result<Validated, Vec<Problem>> {
    let value = serde_json::to_value(policy).map_err(|error| {
        let message = format!("the policy cannot be written as JSON: {error}");
        vec![Problem::of_file(&message, "report this policy")]
    })?;
    judge(Document::new(value))
}

fn judge(document: Document) -> Result<Validated, Vec<Problem>> {
    let Document {
        mut value,
        marks,
        found,
        number,
    } = document;
    let mut problems = Problems::new(&marks, found);
    metadata::check(&value, &mut problems);
    if let Some(object) = value.as_object_mut() {
        // Status is the operator's; a policy copied out of a cluster may carry it.
        object.remove("status");
    }
    check_spec(&value, &marks, &mut problems);
    let found = problems.sorted(number);
    if !found.is_empty() {
        return Err(found);
    }
    serde_json::from_value(value).map(Validated).map_err(|error| {
        let message = format!("the policy cannot be read: {error}");
        vec![Problem::of_file(&message, "compare it with the policy reference")]
    })
}

fn check_spec(object: &Value, marks: &Marks, problems: &mut Problems<'_>) {
    let Some(spec) = object.get("spec") else {
        let fix = "write spec: {} for the defaults";
        problems.push("spec", None, "is missing", "a block", fix);
        return;
    };
    schema::check(spec, marks, problems);
    rules::check(object, problems);
    meaning::check(spec, problems);
}

#[cfg(test)]
mod tests;
