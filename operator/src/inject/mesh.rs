//! Containers that other injectors add: they call no model, and their own traffic must not go through us.

/// Names of containers, by their injector.
const NAMES: [&str; 23] = [
    // Istio
    "istio-proxy",
    "istio-init",
    "istio-validation",
    // Linkerd
    "linkerd-proxy",
    "linkerd-init",
    "linkerd-network-validator",
    "linkerd-debug",
    // Consul
    "consul-dataplane",
    "consul-connect-inject-init",
    "consul-connect-envoy-sidecar",
    "consul-sidecar",
    // Kuma
    "kuma-sidecar",
    "kuma-init",
    "kuma-validation",
    // App Mesh, Open Service Mesh, Contour
    "envoy",
    "envoy-sidecar",
    "osm-init",
    // Vault
    "vault-agent",
    "vault-agent-init",
    // Dapr
    "daprd",
    // OpenTelemetry
    "otc-container",
    // Datadog
    "datadog-init-apm-inject",
    "datadog-agent-injected",
];
/// Beginnings of names; the rest names a language.
const PREFIXES: [&str; 2] = ["opentelemetry-auto-instrumentation", "datadog-lib-"];

/// Whether a container is another injector's.
pub(super) fn is_foreign(name: &str) -> bool {
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
