use serde_json::{Value, json};

use super::*;

mod explanations;
mod golden;
mod owners;
mod random;
mod repairs;
mod sizes;

/// Variables that injection may change in containers of others.
const MANAGED: [&str; 6] = [
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_API_URL",
    "OPENAI_BASE_URL",
    "OPENAI_API_BASE",
    "NO_PROXY",
    "no_proxy",
];

fn settings() -> Settings {
    Settings {
        image: "registry.example/llmcache-sidecar:0.1.0".into(),
        image_pull_policy: "IfNotPresent".into(),
        log_level: "info".into(),
        resources: Resources::default(),
        operator: "https://llmcache-operator.llmcache-system.svc:15443".into(),
        ca_bundle: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".into(),
        prices: None,
    }
}

fn judge(pod: &Value) -> Outcome {
    let (settings, namespace) = (settings(), Namespace::default());
    super::pod(pod, &context(&settings, &namespace))
}

fn context<'a>(settings: &'a Settings, namespace: &'a Namespace) -> Context<'a> {
    Context {
        settings,
        namespace,
        server_minor: Some(34),
    }
}

/// A pod that asks, with these app containers.
fn asking(containers: &Value) -> Value {
    json!({
        "metadata": {"name": "chat", "namespace": "shop", "annotations": {"llmcache.dev/inject": "enabled"}},
        "spec": {"containers": containers},
    })
}

/// The pod after its first review.
fn injected(pod: &Value) -> Value {
    match judge(pod) {
        Outcome::Injected { patch, .. } => applied(pod, &patch),
        other => panic!("not injected: {other:#?}"),
    }
}

/// The pod after a patch, by another's implementation of RFC 6902.
fn applied(pod: &Value, patch: &Patch) -> Value {
    let operations = serde_json::to_value(patch).unwrap();
    let operations: json_patch::Patch = serde_json::from_value(operations).unwrap();
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &operations).unwrap_or_else(|error| panic!("{error}: {patch:#?}"));
    pod
}

/// The pod without anything that injection may add, for comparison.
fn bare(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let ours = |item: &Value| text_of(item).starts_with("llmcache");
    for field in ["initContainers", "volumes"] {
        if let Some(items) = pod["spec"][field].as_array_mut() {
            items.retain(|item| !ours(item));
        }
        drop_empty(&mut pod["spec"], field);
    }
    if let Some(labels) = pod["metadata"]["labels"].as_object_mut() {
        labels.shift_remove("llmcache.dev/injected");
    }
    drop_empty(&mut pod["metadata"], "labels");
    for field in ["containers", "initContainers"] {
        for container in pod["spec"][field].as_array_mut().into_iter().flatten() {
            if let Some(env) = container["env"].as_array_mut() {
                env.retain(|entry| !MANAGED.contains(&text_of(entry)));
            }
            drop_empty(container, "env");
        }
    }
    pod
}

fn text_of(item: &Value) -> &str {
    item["name"].as_str().unwrap_or_default()
}

/// What is null, empty or absent is one to Kubernetes.
fn drop_empty(object: &mut Value, field: &str) {
    let is_empty = match &object[field] {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    if let (true, Some(object)) = (is_empty, object.as_object_mut()) {
        object.shift_remove(field);
    }
}

/// What must hold after any first review.
fn check(pod: &Value, context: &Context<'_>) -> Outcome {
    let outcome = super::pod(pod, context);
    if let Outcome::Injected { patch, .. } = &outcome {
        let patched = applied(pod, patch);
        let second = super::pod(&patched, context);
        let nothing = Outcome::Already {
            patch: Patch::default(),
            warnings: Vec::new(),
        };
        assert_eq!(second, nothing, "a second review changes what the first left");
        assert_eq!(bare(&patched), bare(pod), "something of another's was touched");
    }
    outcome
}
