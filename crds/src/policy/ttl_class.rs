//! TTL classes: how long an answer lives, by what was asked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{duration, rule, text};

/// One class of answers and their life.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TtlClass {
    /// Name of the class (a DNS label), unique in the list; `{class}` in tags.
    #[schemars(length(min = 1, max = 63), regex(pattern = text::LABEL))]
    pub name: String,
    /// Life of an entry; a hit never extends it. At most `resultCache.maxAge`.
    #[schemars(
        length(max = duration::MAX_LENGTH),
        regex(pattern = duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("1s", "2160h"))
    )]
    pub ttl: String,
    /// Which requests are of this class; all conditions must hold. Default: absent, the class is for everything else.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Match>,
    /// How long past its `ttl` an entry is served, marked as stale, while one refresh runs behind. At most
    /// `resultCache.maxAge`. Default: `0s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = duration::MAX_LENGTH),
        regex(pattern = duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("0s", "2160h"))
    )]
    pub stale_while_revalidate: Option<String>,
    /// How long past its `ttl` an entry is served, marked as stale, when the provider fails (5xx, 429, 529, timeout). At
    /// most `resultCache.maxAge`. Default: `0s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = duration::MAX_LENGTH),
        regex(pattern = duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("0s", "2160h"))
    )]
    pub stale_if_error: Option<String>,
    /// Floor of the semantic similarity (cosine) for this class. Default: `semanticCache.similarityThreshold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        range(min = 0.50, max = 0.99),
        extend("x-kubernetes-validations" = rule::number_between("0.5", "0.99"))
    )]
    pub similarity_threshold: Option<f64>,
}

/// Conditions over a request; all that are present must hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct Match {
    /// At least one of these is in the last user text: case-folded, not touching a letter or digit, white space in a
    /// keyword matching any run. Default: no condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 64), regex(pattern = text::NOT_BLANK)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub any_keyword: Option<Vec<String>>,
    /// None of these is in the last user text. Default: no condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 64), regex(pattern = text::NOT_BLANK)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub no_keyword: Option<Vec<String>>,
    /// Request headers with the value each must have, at most four. Default: no condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "headers")]
    pub header: Option<BTreeMap<String, String>>,
    /// Glob over the model that answers; `*` matches any run. Default: no condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = text::MODEL_GLOB))]
    pub model: Option<String>,
}

/// A condition over request headers, shared by TTL classes and routing rules.
pub(crate) fn headers(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 256},
        "minProperties": 1,
        "maxProperties": 4,
        "x-kubernetes-validations": rule::header_names(),
    })
}

pub(crate) fn list_rules() -> Value {
    let mut rules = rule::unique_names();
    if let Value::Array(rules) = &mut rules {
        rules.push(rule::rule(
            "self.filter(c, !has(c.match)).size() <= 1",
            "more than one class has no match",
            "at most one class without match, which is for everything else",
            "add a match to all classes but one",
        ));
    }
    json!(rules)
}
