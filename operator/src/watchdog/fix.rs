//! What to say: the object that people know, and the exact command. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use llmcache_policy::names;

use crate::facts::{Key, Owner, Pod};
use crate::index::Index;
use crate::world::World;

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

/// The object at the end of a pod's chain of owners, or the pod itself.
pub(super) fn root(index: &Index, pod: &Pod) -> ObjectReference {
    if let Some(owner) = index.root_owner(pod) {
        return reference(&owner);
    }
    let about = |api_version: &str, kind: &str, name: &str, uid: &str| ObjectReference {
        api_version: Some(api_version.into()),
        kind: Some(kind.into()),
        namespace: Some(pod.key.namespace.clone()),
        name: Some(name.into()),
        uid: Some(uid.into()),
        ..ObjectReference::default()
    };
    match &pod.owner {
        Some(owner) => about(&owner.api_version, &owner.kind, &owner.name, &owner.uid),
        None => about("v1", "Pod", &pod.key.name, &pod.uid),
    }
}

pub(super) fn reference(owner: &Owner) -> ObjectReference {
    ObjectReference {
        api_version: Some(owner.api_version.clone()),
        kind: Some(owner.kind.clone()),
        namespace: Some(owner.key.namespace.clone()),
        name: Some(owner.key.name.clone()),
        uid: Some(owner.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Whether the webhook copies the annotation of such an owner into its pod template.
pub(super) fn is_copied_into(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet" | "CronJob")
}

pub(super) fn namespace_labels<'a>(world: &'a World, pod: &Pod) -> &'a BTreeMap<String, String> {
    let namespace = Key {
        namespace: String::new(),
        name: pod.key.namespace.clone(),
    };
    let known = world.index.namespaces.get(&namespace);
    known.map_or(&NO_LABELS, |namespace| &namespace.labels)
}

/// How pods that were created without their sidecar get one.
pub(super) fn inject(root: &ObjectReference) -> String {
    let (namespace, name) = names_of(root);
    let kind = root.kind.as_deref().unwrap_or_default();
    let fix = match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => {
            format!(
                "kubectl -n {namespace} rollout restart {}/{name}",
                kind.to_ascii_lowercase()
            )
        }
        "Job" => "Jobs are injected at creation; create it again".to_owned(),
        "CronJob" => "Jobs are injected at creation; its next Job is".to_owned(),
        "Pod" => format!("kubectl -n {namespace} delete pod {name}, and create it again"),
        _ => format!("restart the pods of {kind} {name}"),
    };
    format!(
        "pods ask for a sidecar and have none: the operator was away when they were created, or an Event InjectionSkipped \
         here says why not; fix: {fix}"
    )
}

/// How an annotation reaches a pod template that missed it: any write of the object makes the webhook copy it.
pub(super) fn annotate_again(owner: &ObjectReference) -> String {
    let (namespace, name) = names_of(owner);
    let kind = owner.kind.as_deref().unwrap_or_default().to_ascii_lowercase();
    format!(
        "the annotation {inject} has not reached the pods: the operator was away when it was written; fix: kubectl -n \
         {namespace} annotate {kind}/{name} {inject}=enabled --overwrite",
        inject = names::ANNOTATION_INJECT
    )
}

pub(super) fn no_policy(policy: &str, pod: &Pod) -> String {
    format!(
        "the annotation {}: {policy} names no policy of namespace {}, so that everything passes through; fix: create it, \
         name another, or leave the annotation out",
        names::ANNOTATION_POLICY,
        pod.key.namespace
    )
}

pub(super) fn no_traffic() -> String {
    "no request seen since the sidecar started: base URL set in code? fix: let the program read ANTHROPIC_BASE_URL or \
     OPENAI_BASE_URL from its environment, as the SDKs do"
        .into()
}

fn names_of(about: &ObjectReference) -> (&str, &str) {
    (
        about.namespace.as_deref().unwrap_or_default(),
        about.name.as_deref().unwrap_or_default(),
    )
}
