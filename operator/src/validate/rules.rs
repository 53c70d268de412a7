//! The CEL rules of the definition, run here as the API server runs them.

mod culprits;

use kube_cel::{CompiledSchema, ErrorKind, Validator};
use llmcache_crds::rule::Words;
use serde_json::Value;

use super::problem::{Problems, shown};

/// Judges `spec`, after its schema.
pub(super) fn check(rules: &CompiledSchema, object: &Value, problems: &mut Problems<'_>) {
    let spec = &object["spec"];
    let Err(failures) = Validator::new().validate_compiled(rules, spec, None) else {
        return;
    };
    // A rule over a malformed value cannot be evaluated; then that value is named already.
    let is_named = !problems.is_empty();
    for failure in failures {
        if is_named && failure.kind != ErrorKind::ValidationFailure {
            continue;
        }
        let below = failure.field_path.trim_start_matches('.');
        let path = format!("spec.{below}");
        // The bounds of a number are a rule too, for the API server's sake; the schema has said the same.
        if pointer(spec, below).is_some_and(Value::is_number) && problems.touches(&path) {
            continue;
        }
        let value = culprits::of(spec, below, &failure.message)
            .or_else(|| pointer(spec, below).map(shown))
            .unwrap_or_default();
        let words = Words::of(&failure.message);
        let path = path.trim_end_matches('.');
        problems.push_words(path, &value, &words.message, &words.allowed, &words.fix);
    }
}

/// The value at a path such as `ttlClasses[1].ttl`.
fn pointer<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '['])
        .filter(|step| !step.is_empty())
        .try_fold(value, |value, step| {
            match step.strip_suffix(']').map(str::parse::<usize>) {
                Some(Ok(index)) => value.get(index),
                _ => value.get(step),
            }
        })
}
