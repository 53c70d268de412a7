//! The sidecar: a native one, so that it is up before the app and ends after it, under the restricted Pod Security.

use llmcache_policy::names::{
    ADMIN_PORT_NAME, CONTAINER, ENV_ADMIN_PORT, ENV_CA, ENV_LOG_LEVEL, ENV_NAMESPACE, ENV_OPERATOR, ENV_POD_NAME,
    ENV_PRICES, ENV_PROXY_PORT, ENV_SERVICE_ACCOUNT, STATE_FOLDER, STATE_VOLUME, TOKEN_FOLDER, TOKEN_VOLUME, UID,
};
use serde_json::{Value, json};

use super::annotation::Choice;
use super::environment::entry;
use super::proxy::Carried;
use super::read::{list, text};
use super::resources::Resources;
use super::upstream::{self, Upstream};
use super::{Settings, apps};

/// Where Kubernetes mounts an API token; our own token there keeps admission from adding one.
pub(super) const API_TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Index of our sidecar among the init containers.
pub(super) fn find(pod: &Value) -> Option<usize> {
    list(&pod["spec"], "initContainers").iter().position(is_ours)
}

/// Whether a container is our sidecar, and not somebody's container of its name.
pub(super) fn is_ours(container: &Value) -> bool {
    text(container, "name") == CONTAINER
        && apps::is_native_sidecar(container)
        && entry(container, ENV_OPERATOR).is_some()
}

/// The sidecar of one pod.
pub(super) fn render(
    settings: &Settings,
    choice: &Choice,
    resources: &Resources,
    upstreams: &[Upstream],
    carried: Carried,
) -> Value {
    let mut env = own_environment(settings, choice);
    env.extend(upstream::handed(upstreams));
    env.extend(carried.env);
    let mut mounts = vec![
        json!({"name": STATE_VOLUME, "mountPath": STATE_FOLDER}),
        json!({"name": TOKEN_VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true}),
        json!({"name": TOKEN_VOLUME, "mountPath": API_TOKEN_DIR, "readOnly": true}),
    ];
    mounts.extend(carried.mounts);
    json!({
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "ports": [{"name": ADMIN_PORT_NAME, "containerPort": choice.admin_port, "protocol": "TCP"}],
        "env": env,
        "resources": resources.render(),
        "volumeMounts": mounts,
        "lifecycle": {"postStart": {"exec": {"command": ["/llmcache", "wait", "2s"]}}},
        "livenessProbe": {
            "exec": {"command": ["/llmcache", "probe"]},
            "periodSeconds": 10,
            "timeoutSeconds": 2,
            "terminationGracePeriodSeconds": 1,
        },
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": UID,
            "runAsGroup": UID,
            "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

fn own_environment(settings: &Settings, choice: &Choice) -> Vec<Value> {
    let literal = |name: &str, value: &str| json!({"name": name, "value": value});
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut environment = vec![
        literal(ENV_OPERATOR, &settings.operator),
        literal(ENV_CA, &settings.ca_bundle),
        literal(ENV_PROXY_PORT, &choice.proxy_port.to_string()),
        literal(ENV_ADMIN_PORT, &choice.admin_port.to_string()),
        literal(ENV_LOG_LEVEL, &choice.log_level),
        field(ENV_POD_NAME, "metadata.name"),
        field(ENV_NAMESPACE, "metadata.namespace"),
        field(ENV_SERVICE_ACCOUNT, "spec.serviceAccountName"),
    ];
    environment.extend(settings.prices.iter().map(|rows| literal(ENV_PRICES, rows)));
    environment
}
