//! Stage *prompt cache*: marks for the provider's own prefix cache.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::{duration, rule};

/// Where and when marks are placed; see the providers' prompt-caching pages for what they cost.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptCache {
    /// `Observe` plans marks and places none. Default: `Enforce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// `Always` marks every prefix that may be marked; `Economic` those whose expected reads pay the write premium.
    /// Default: `Economic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Life of what a mark writes: `5m` (written at 1.25 of the input price), `1h` (at 2), or chosen (`Auto`).
    /// Default: `Auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<MarkTtl>,
    /// Longest time that concurrent first requests wait for the first answer, so that they read what it wrote.
    /// Default: `0ms`, no waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = duration::MAX_LENGTH),
        regex(pattern = duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("0ms", "5s"))
    )]
    pub hold: Option<String>,
}

/// Which prefixes are marked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum Strategy {
    /// Every prefix that may be.
    Always,
    /// Those whose expected reads pay the write premium.
    Economic,
}

/// Life of what a mark writes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum MarkTtl {
    /// Chosen by the expected gaps between requests.
    Auto,
    /// 5 minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// 1 hour.
    #[serde(rename = "1h")]
    OneHour,
}
