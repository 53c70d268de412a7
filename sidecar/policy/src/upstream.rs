//! Stage *upstream*: where requests go.

use serde::{Deserialize, Serialize};

/// One upstream for each provider we speak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstreams {
    /// `<proxy>/anthropic/REST` goes to `url/REST`.
    pub anthropic: Upstream,
    /// `<proxy>/openai/v1/REST` goes to `url/REST`.
    pub openai: Upstream,
}

/// One provider's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Means what the SDK's base URL means: OpenAI's includes the version path, Anthropic's does not.
    /// `http` or `https`, no trailing slash.
    pub url: String,
    /// PEM certificates to trust instead of the system roots.
    pub ca_bundle: Option<String>,
    /// What may be spliced into requests; Anthropic upstreams are always `Native`.
    pub dialect: Dialect,
}

/// How faithfully an upstream follows its provider's documented API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// The provider itself: every listed splice is allowed.
    Native,
    /// Speaks the same format: no splice but the model, unknown fields belong to the key.
    Compatible,
}
