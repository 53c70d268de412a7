//! Stage *semantic cache*: reuse of the answer to an equivalent question.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::{rule, text};

/// The semantic cache, off without this block.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SemanticCache {
    /// `Observe` gathers evidence and serves nothing. Default: `Observe` when the block is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Floor of the similarity (cosine) of two questions; the threshold that serves comes from evidence and is never
    /// below. Default: `0.80`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        range(min = 0.50, max = 0.99),
        extend("x-kubernetes-validations" = rule::number_between("0.5", "0.99"))
    )]
    pub similarity_threshold: Option<f64>,
    /// Budget of wrong answers among those served, as a share of 1. Default: `0.01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        range(min = 0.001, max = 0.10),
        extend("x-kubernetes-validations" = rule::number_between("0.001", "0.1"))
    )]
    pub max_false_hit_rate: Option<f64>,
    /// A model that judges drawn pairs of questions, at your cost. Default: none, only feedback is evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judge>,
}

/// A model that judges whether an answer fits a question.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judge {
    /// Model that judges, of the provider whose requests it judges.
    #[schemars(length(min = 1, max = 128), regex(pattern = text::MODEL))]
    pub model: String,
    /// Share of pairs that are judged, of 1. Default: `0.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub sample: Option<f64>,
}
