use llmcache_operator::index::{Change, Delta};
use serde_json::Value;

use super::*;

fn judged(pod: Value, owner: Option<&str>) -> Injection {
    let mut index = Index::default();
    let annotations = owner.map(|word| json!({names::ANNOTATION_INJECT: word}));
    let deployment = json!({"metadata": {"name": "chat", "namespace": "shop", "uid": "d", "annotations": annotations}});
    let set = json!({"metadata": {"name": "chat-5d", "namespace": "shop", "uid": "r", "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat", "uid": "d", "controller": true}]}});
    index.apply(Change::Owners(
        "Deployment",
        Delta::All(vec![partial::<Deployment>(deployment).into()]),
    ));
    index.apply(Change::Owners(
        "ReplicaSet",
        Delta::All(vec![partial::<ReplicaSet>(set).into()]),
    ));
    let pod: core::Pod = serde_json::from_value(pod).unwrap();
    let fact = super::super::fact(&pod);
    judge(&pod, &fact, &index, &settings::Settings::assumed())
}

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::core::PartialObjectMeta;

fn partial<K>(object: Value) -> PartialObjectMeta<K> {
    serde_json::from_value(object).unwrap()
}

fn pod(spec: &Value) -> Value {
    json!({
        "metadata": {"name": "chat-5d-x", "namespace": "shop", "uid": "p", "labels": {"pod-template-hash": "5d"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-5d", "uid": "r", "controller": true}]},
        "spec": spec,
    })
}

#[test]
fn an_uninjected_pod_has_the_command_that_injects_it() {
    let plain = pod(&json!({"containers": [{"name": "app", "image": "i"}]}));
    let asked = judged(plain.clone(), Some("enabled"));
    assert_eq!(
        (asked.state.as_str(), asked.is_wanted, asked.is_injected),
        ("Missing", true, false)
    );
    assert_eq!(
        asked.fix.as_deref(),
        Some("kubectl -n shop rollout restart deployment/chat")
    );
    let silent = judged(plain.clone(), None);
    assert_eq!((silent.state.as_str(), silent.is_wanted), ("NotAsked", false));
    let fix = "kubectl -n shop annotate deployment chat llmcache.dev/inject=enabled --overwrite";
    assert_eq!(silent.fix.as_deref(), Some(fix));
    assert_eq!(judged(plain, Some("disabled")).state, "Disabled");
}

#[test]
fn a_skipped_pod_says_the_reason() {
    let host = pod(&json!({"hostNetwork": true, "containers": [{"name": "app", "image": "i"}]}));
    let skipped = judged(host, Some("enabled"));
    assert_eq!(
        (skipped.state.as_str(), skipped.is_wanted),
        ("Skipped HostNetwork", true)
    );
    assert!(skipped.message.contains("spec.hostNetwork"), "{}", skipped.message);
}
