//! Our two volumes and the label of injected pods.

use llmcache_policy::names::{AUDIENCE, LABEL_INJECTED, STATE_VOLUME, TOKEN_VOLUME};
use serde_json::{Value, json};

use super::patch::{Patch, pointer};
use super::read::{list, text};

/// Room for the last good snapshot.
const STATE_SIZE: &str = "4Mi";
/// Life of a token; the kubelet renews it in time.
const TOKEN_SECONDS: u32 = 3600;

/// Adds the volumes that the pod lacks.
pub(super) fn add(patch: &mut Patch, pod: &Value) {
    let present = list(&pod["spec"], "volumes");
    let missing = [state(), token()]
        .into_iter()
        .filter(|volume| !present.iter().any(|other| other["name"] == volume["name"]));
    let missing: Vec<Value> = missing.collect();
    if pod["spec"]["volumes"].is_array() {
        for volume in missing {
            patch.add(&pointer(&["spec", "volumes", "-"]), volume);
        }
    } else {
        patch.add(&pointer(&["spec", "volumes"]), Value::Array(missing));
    }
}

/// Adds the label that selects injected pods.
pub(super) fn label(patch: &mut Patch, pod: &Value) {
    let metadata = &pod["metadata"];
    if metadata["labels"][LABEL_INJECTED] == "true" {
        return;
    }
    if metadata["labels"].is_object() {
        patch.add(&pointer(&["metadata", "labels", LABEL_INJECTED]), "true".into());
    } else if metadata.is_object() {
        patch.add(&pointer(&["metadata", "labels"]), json!({LABEL_INJECTED: "true"}));
    } else {
        patch.add(&pointer(&["metadata"]), json!({"labels": {LABEL_INJECTED: "true"}}));
    }
}

/// Whether a volume of one of our names is what we make.
pub(super) fn is_ours(volume: &Value) -> bool {
    match text(volume, "name") {
        STATE_VOLUME => volume["emptyDir"]["medium"] == "Memory",
        TOKEN_VOLUME => list(&volume["projected"], "sources")
            .iter()
            .any(|source| source["serviceAccountToken"]["audience"] == AUDIENCE),
        _ => false,
    }
}

fn state() -> Value {
    json!({"name": STATE_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": STATE_SIZE}})
}

fn token() -> Value {
    let token = json!({"audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"});
    json!({"name": TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}})
}
