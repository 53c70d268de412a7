//! Which shared store stands behind the in-process one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text;

/// The shared store of a policy.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stores {
    /// A store class of the install (a DNS label); `default` always exists. Default: `default` when the block is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = text::LABEL))]
    pub class: Option<String>,
}
