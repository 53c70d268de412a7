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
/// `off`: this request must not be answered by an equivalent question's answer.
pub const HEADER_SEMANTIC: &str = "x-llmcache-semantic";
/// Cosine of the two questions of a semantic hit.
pub const HEADER_SIMILARITY: &str = "x-llmcache-similarity";
/// The least similarity that was served at that moment.
pub const HEADER_THRESHOLD: &str = "x-llmcache-threshold";
/// `wanted; candidate=<id>`: a word on that answer is a label.
pub const HEADER_FEEDBACK: &str = "x-llmcache-feedback";
/// Audience of the tokens that sidecars and operator replicas show each other.
pub const AUDIENCE: &str = "llmcache.dev";
/// Folder of the projected token, whose file is `token`.
pub const TOKEN_FOLDER: &str = "/var/run/llmcache/token";
/// Folder of the last-good snapshot.
pub const STATE_FOLDER: &str = "/var/run/llmcache/state";
/// Service of the operator.
pub const SERVICE: &str = "llmcache-operator";
/// Port on which the operator serves push.
pub const PUSH_PORT: u16 = 15443;
/// Port on which the operator serves its webhook.
pub const WEBHOOK_PORT: u16 = 15444;
/// User and group of our containers.
pub const UID: i64 = 64535;
/// Label of every pod that has our sidecar.
pub const LABEL_INJECTED: &str = "llmcache.dev/injected";
/// Annotation (pod template, owner) and label (namespace) that asks for a sidecar or refuses it: `enabled`, `disabled`.
pub const ANNOTATION_INJECT: &str = "llmcache.dev/inject";
/// Annotation that the webhook copies from an owner into its pod template.
pub const ANNOTATION_FROM_OWNER: &str = "llmcache.dev/inject-from-owner";
/// Pod annotation: name of the policy that alone applies.
pub const ANNOTATION_POLICY: &str = "llmcache.dev/policy";
/// Pod annotation: port of the proxy, 1024–65535; default [`PROXY_PORT`].
pub const ANNOTATION_PROXY_PORT: &str = "llmcache.dev/proxy-port";
/// Pod annotation: port of `/livez`, `/readyz` and `/metrics`, 1024–65535; default [`ADMIN_PORT`].
pub const ANNOTATION_ADMIN_PORT: &str = "llmcache.dev/admin-port";
/// Pod annotation: requests and limits, such as `cpu=20m/1,memory=64Mi/256Mi`.
pub const ANNOTATION_RESOURCES: &str = "llmcache.dev/resources";
/// Pod annotation: least important log line, `error` … `trace`; default `info`.
pub const ANNOTATION_LOG_LEVEL: &str = "llmcache.dev/log-level";
/// Secret of the install namespace with the install secret.
pub const SECRET_INSTALL: &str = "llmcache-install";
/// Secret of the install namespace with the operator's certificates.
pub const SECRET_TLS: &str = "llmcache-operator-tls";

/// Name of the injected container.
pub const CONTAINER: &str = "llmcache";
/// Name of the injected container's admin port.
pub const ADMIN_PORT_NAME: &str = "llmcache-admin";
/// Name of the volume behind [`STATE_FOLDER`].
pub const STATE_VOLUME: &str = "llmcache-state";
/// Name of the volume behind [`TOKEN_FOLDER`].
pub const TOKEN_VOLUME: &str = "llmcache-token";

/// Environment of the sidecar: address of the operator.
pub const ENV_OPERATOR: &str = "LLMCACHE_OPERATOR";
/// Environment of the sidecar: certificates that sign the operator's, PEM.
pub const ENV_CA: &str = "LLMCACHE_CA";
/// Environment of the sidecar: port of the proxy.
pub const ENV_PROXY_PORT: &str = "LLMCACHE_PROXY_PORT";
/// Environment of the sidecar: port of the metrics.
pub const ENV_ADMIN_PORT: &str = "LLMCACHE_ADMIN_PORT";
/// Environment of the sidecar: how much it logs.
pub const ENV_LOG_LEVEL: &str = "LLMCACHE_LOG_LEVEL";
/// Environment of the sidecar: name of its pod.
pub const ENV_POD_NAME: &str = "LLMCACHE_POD_NAME";
/// Environment of the sidecar: namespace of its pod.
pub const ENV_NAMESPACE: &str = "LLMCACHE_NAMESPACE";
/// Environment of the sidecar: service account of its pod.
pub const ENV_SERVICE_ACCOUNT: &str = "LLMCACHE_SERVICE_ACCOUNT";
/// Environment of the sidecar: the Anthropic base URL that the app had; candidates get `_0`, `_1`, …, the last wins.
pub const ENV_UPSTREAM_ANTHROPIC: &str = "LLMCACHE_UPSTREAM_ANTHROPIC";
/// Environment of the sidecar: the OpenAI base URL that the app had; candidates get `_0`, `_1`, …, the last wins.
pub const ENV_UPSTREAM_OPENAI: &str = "LLMCACHE_UPSTREAM_OPENAI";
/// Environment of the sidecar: the install's own price rows, as a price file holds them.
pub const ENV_PRICES: &str = "LLMCACHE_PRICE_ROWS";

/// Environment of apps: base URL that the Anthropic SDKs read.
pub const ANTHROPIC_BASE_URL: &str = "ANTHROPIC_BASE_URL";
/// Environment of apps: base URL that LangChain reads for Anthropic.
pub const ANTHROPIC_API_URL: &str = "ANTHROPIC_API_URL";
/// Environment of apps: base URL that the OpenAI SDKs read.
pub const OPENAI_BASE_URL: &str = "OPENAI_BASE_URL";
/// Environment of apps: base URL that LangChain and the first OpenAI SDK read.
pub const OPENAI_API_BASE: &str = "OPENAI_API_BASE";
