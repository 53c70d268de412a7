//! A policy or invalidation is valid or every problem is named at once, with its path, value, what is allowed and the fix.
//!
//! Schema and CEL rules come from the definition that the API server holds, so both give the same verdict at the same
//! path; what neither can see is judged here alone. Nothing here knows a client or a clock.

mod definition;
mod document;
mod meaning;
mod metadata;
mod problem;
mod rules;
mod schema;
mod suggest;
mod warning;

use llmcache_crds::{LLMCacheInvalidation, LLMCachePolicy};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use document::{MAX_BYTES, MAX_DEPTH, MAX_NODES};
pub use problem::Problem;
pub use warning::{Warning, local_warnings};

use definition::{Definition, INVALIDATION, POLICY};
use document::{Document, Marks};
use problem::Problems;

/// The policies of one file, at least one.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// In the order of the file, each with what this version does not act on.
    pub policies: Vec<(Validated, Vec<Warning>)>,
}

/// What one file holds, at least one object.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Policies in the order of the file, each with what this version does not act on.
    pub policies: Vec<(Validated, Vec<Warning>)>,
    /// Invalidations in the order of the file.
    pub invalidations: Vec<LLMCacheInvalidation>,
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
    let objects = read(text, |_| &POLICY)?;
    Ok(Loaded {
        policies: objects.policies,
    })
}

/// Reads a file of policies and invalidations as [`load`] reads policies.
pub fn objects(text: &str) -> Result<Objects, Vec<Problem>> {
    read(text, Definition::of)
}

fn read(text: &str, definition: impl Fn(&Value) -> &'static Definition) -> Result<Objects, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut objects = Objects::default();
    for document in document::read(text)? {
        let definition = definition(&document.value);
        if definition.kind == INVALIDATION.kind {
            match judge(document, definition) {
                Ok(invalidation) => objects.invalidations.push(invalidation),
                Err(found) => problems.extend(found),
            }
            continue;
        }
        match judge(document, definition).map(Validated) {
            Ok(policy) => {
                let warnings = warning::warnings(&policy);
                objects.policies.push((policy, warnings));
            }
            Err(found) => problems.extend(found),
        }
    }
    let policies = objects.policies.iter().map(|(policy, _)| &policy.policy().metadata);
    problems.extend(metadata::repetitions("policies", policies));
    let invalidations = objects.invalidations.iter().map(|invalidation| &invalidation.metadata);
    problems.extend(metadata::repetitions("invalidations", invalidations));
    if objects.policies.is_empty() && objects.invalidations.is_empty() && problems.is_empty() {
        problems.push(Problem::of_file("the file holds no policy", "write an LLMCachePolicy"));
    }
    if problems.is_empty() {
        Ok(objects)
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
    judge(Document::new(value), &POLICY).map(Validated)
}

/// Judges a typed invalidation as [`objects`] judges a file.
pub fn validate_invalidation(invalidation: &LLMCacheInvalidation) -> Result<(), Vec<Problem>> {
    let value = serde_json::to_value(invalidation).map_err(|error| {
        let message = format!("the invalidation cannot be written as JSON: {error}");
        vec![Problem::of_file(&message, "report this invalidation")]
    })?;
    judge::<LLMCacheInvalidation>(Document::new(value), &INVALIDATION).map(|_| ())
}

fn judge<T: DeserializeOwned>(document: Document, definition: &Definition) -> Result<T, Vec<Problem>> {
    let Document {
        mut value,
        marks,
        found,
        number,
    } = document;
    let mut problems = Problems::new(&marks, found);
    metadata::check(&value, definition, &mut problems);
    if let Some(object) = value.as_object_mut() {
        // Status is the operator's; an object copied out of a cluster may carry it.
        object.remove("status");
    }
    check_spec(&value, definition, &marks, &mut problems);
    let found = problems.sorted(number);
    if !found.is_empty() {
        return Err(found);
    }
    serde_json::from_value(value).map_err(|error| {
        let message = format!("the object cannot be read: {error}");
        vec![Problem::of_file(&message, "compare it with the policy reference")]
    })
}

fn check_spec(object: &Value, definition: &Definition, marks: &Marks, problems: &mut Problems<'_>) {
    let Some(spec) = object.get("spec") else {
        problems.push("spec", None, "is missing", "a block", definition.least);
        return;
    };
    schema::check(&definition.spec, spec, marks, problems);
    rules::check(&definition.rules, object, problems);
    if definition.kind == POLICY.kind {
        meaning::check(spec, problems);
    }
}

#[cfg(test)]
mod tests;
