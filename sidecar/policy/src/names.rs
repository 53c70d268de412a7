//! Every name that operator, sidecar and users must spell alike, once.

/// API group of the kinds we own; prefix of our annotations and labels.
pub const GROUP: &str = "llmcache.dev";
/// Port of the proxy, loopback only.
pub const PROXY_PORT: u16 = 15480;
/// Port of `/livez`, `/readyz` and `/metrics`.
pub const ADMIN_PORT: u16 = 15490;
/// Path prefix under which the proxy serves the Anthropic API.
pub const ANTHROPIC_PREFIX: &str = "/anthropic";
/// Path prefix under which the proxy serves the OpenAI API; clients append `/v1`.
pub const OPENAI_PREFIX: &str = "/openai";
/// Path prefix of our own endpoints on the proxy port.
pub const LOCAL_PREFIX: &str = "/llmcache";
/// Prefix of every metric family.
pub const METRIC_PREFIX: &str = "llmcache";
/// Name under which we speak in `Cache-Status` (RFC 9211).
pub const CACHE_NAME: &str = "llmcache";
/// Prefix of every header that controls us; such request headers never reach the provider.
pub const HEADER_PREFIX: &str = "x-llmcache-";
/// Response: the model that answered.
pub const HEADER_MODEL: &str = "x-llmcache-model";
/// Response: one word per stage that decided something.
pub const HEADER_REASON: &str = "x-llmcache-reason";
/// Response: our id of the request, as in the ledger.
pub const HEADER_REQUEST_ID: &str = "x-llmcache-request-id";
/// Response: dollars saved net, nine decimal places, may be negative.
pub const HEADER_SAVED_USD: &str = "x-llmcache-saved-usd";
/// Request: `requested` or a tier's name.
pub const HEADER_PIN: &str = "x-llmcache-pin";
/// Request: tags of the answer, comma-separated.
pub const HEADER_TAGS: &str = "x-llmcache-tags";
