//! Bans written down in the policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text;

/// A ban that runs by its name, or when an object changes.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invalidation {
    /// Name of the ban (a DNS label), unique in the list.
    #[schemars(length(min = 1, max = 63), regex(pattern = text::LABEL))]
    pub name: String,
    /// Pattern over tags: `*` matches any run, a closing `:*` also nothing.
    #[schemars(length(min = 1, max = 128), regex(pattern = text::TAG_PATTERN))]
    pub pattern: String,
    /// What runs the ban by itself. Default: nothing, it runs by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_change: Option<OnChange>,
}

/// An object of the policy's namespace whose changes run a ban.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnChange {
    /// Name of a ConfigMap in the policy's namespace.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = text::SUBDOMAIN)
    )]
    pub config_map: String,
}
