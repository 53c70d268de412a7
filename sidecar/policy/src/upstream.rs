//! Stage *upstream*: where requests go.

use serde::{Deserialize, Serialize};

/// Anthropic's documented base URL.
pub const ANTHROPIC: &str = "https://api.anthropic.com";
/// OpenAI's documented base URL.
pub const OPENAI: &str = "https://api.openai.com/v1";

const OPENAI_HOST: &str = "api.openai.com";
/// What an OpenAI URL without a path means, as in the SDK's default.
const OPENAI_VERSION: &str = "/v1";

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

/// An Anthropic base URL as the sidecar uses it: without a closing slash.
pub fn anthropic_url(url: &str) -> String {
    url.trim_end_matches('/').into()
}

/// An OpenAI base URL as the sidecar uses it: without a closing slash, with the version path when it has no path.
pub fn openai_url(url: &str) -> String {
    let url = url.trim_end_matches('/');
    match split(url) {
        (_, "") => format!("{url}{OPENAI_VERSION}"),
        _ => url.into(),
    }
}

/// The dialect of an OpenAI base URL that states none.
pub fn openai_dialect(url: &str) -> Dialect {
    let (authority, _) = split(url);
    let host = authority.split(':').next().unwrap_or_default();
    if host.eq_ignore_ascii_case(OPENAI_HOST) {
        Dialect::Native
    } else {
        Dialect::Compatible
    }
}

/// Authority and path of an address.
fn split(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash))
}
