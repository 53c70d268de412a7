//! The custom resource definitions: what the derive makes, cleaned of what the API server would warn about or misread.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Number, Value};

use crate::{LLMCacheInvalidation, LLMCachePolicy};

/// The definition of `LLMCachePolicy` as JSON, ready to apply.
pub fn policy_definition() -> Value {
    cleaned(&LLMCachePolicy::crd())
}

/// The definition of `LLMCacheInvalidation` as JSON, ready to apply.
pub fn invalidation_definition() -> Value {
    cleaned(&LLMCacheInvalidation::crd())
}

/// The schema of a whole `LLMCachePolicy` object, as in [`policy_definition`].
pub fn policy_schema() -> Value {
    schema_of(policy_definition())
}

/// The schema of a whole `LLMCacheInvalidation` object, as in [`invalidation_definition`].
pub fn invalidation_schema() -> Value {
    schema_of(invalidation_definition())
}

fn cleaned(definition: &CustomResourceDefinition) -> Value {
    let mut definition = serde_json::to_value(definition).unwrap_or_default();
    clean(&mut definition);
    definition
}

fn schema_of(mut definition: Value) -> Value {
    definition
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
        .map(Value::take)
        .unwrap_or_default()
}

/// A field says what its enum means there; the enum's own description would replace that.
pub(crate) fn strip_description(schema: &mut schemars::Schema) {
    schema.remove("description");
}

/// An absent field is absent, not null: an explicit null is refused where a value was meant. Bounds of integers are
/// integers, and the `double` format says nothing that `number` does not.
fn clean(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("nullable");
            if members.get("format") == Some(&Value::from("double")) {
                members.remove("format");
            }
            if let Some(Value::Array(variants)) = members.get_mut("enum") {
                variants.retain(|variant| !variant.is_null());
            }
            members.values_mut().for_each(clean);
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() < 1e15);
            if let Some(whole) = whole {
                #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
                let whole = whole as i64;
                *number = Number::from(whole);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
