//! Which pods a policy applies to: a label selector with bounds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::rule;

/// A label selector; all of its requirements must hold, and an empty one selects every pod.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// Labels a pod must have, with their values. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "labels")]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Further requirements over labels. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Option<Vec<Requirement>>,
}

/// One requirement over a label.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = requirement_rules()))]
pub struct Requirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label is judged: its value is `In` or `NotIn` the values, or it `Exists` or `DoesNotExist`.
    pub operator: Operator,
    /// Values for `In` and `NotIn`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        inner(length(max = 63)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub values: Option<Vec<String>>,
}

/// How a label is judged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum Operator {
    /// Its value is one of `values`.
    In,
    /// It is absent or its value is none of `values`.
    NotIn,
    /// It is present.
    Exists,
    /// It is absent.
    DoesNotExist,
}

fn labels(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 63},
        "maxProperties": 32,
    })
}

fn requirement_rules() -> Value {
    json!([rule::rule(
        "(self.operator in ['In', 'NotIn']) == has(self.values)",
        "values and operator do not fit together",
        "values with In and NotIn only",
        "add values to In or NotIn, remove them from Exists or DoesNotExist",
    )])
}
