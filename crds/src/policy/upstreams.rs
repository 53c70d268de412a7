//! Stage *upstream*: where requests go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text;

/// One upstream for each provider.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Upstreams {
    /// Where Anthropic requests go. Default: `https://api.anthropic.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anthropic: Option<AnthropicUpstream>,
    /// Where OpenAI requests go. Default: `https://api.openai.com/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenAiUpstream>,
}

/// The address of an Anthropic API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnthropicUpstream {
    /// Base URL as the provider's SDK takes it, without the version path, credentials, query or fragment.
    /// Default: `https://api.anthropic.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = text::URL))]
    pub url: Option<String>,
    /// Certificates (PEM, at most 32 KiB) to trust instead of the system roots. Default: the system roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32768))]
    pub ca_bundle: Option<String>,
}

/// The address of an OpenAI API or of one that speaks its format.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenAiUpstream {
    /// Base URL as the provider's SDK takes it, with the version path (no path means `/v1`), without credentials, query
    /// or fragment. Default: `https://api.openai.com/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = text::URL))]
    pub url: Option<String>,
    /// Certificates (PEM, at most 32 KiB) to trust instead of the system roots. Default: the system roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32768))]
    pub ca_bundle: Option<String>,
    /// `OpenAI` allows every documented change of a request; `Compatible` changes nothing but the model and keys answers
    /// by unknown fields too. Default: `OpenAI` for the host api.openai.com, else `Compatible`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
}

/// How faithfully an upstream follows the provider's documented API.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum Dialect {
    /// The provider itself.
    #[serde(rename = "OpenAI")]
    OpenAi,
    /// Speaks the same format.
    Compatible,
}
