//! Whether a pod has a sidecar, and where it has not, the reason and the exact command that gives it one.

use llmcache_operator::facts::{Owner, Pod};
use llmcache_operator::index::{Index, OptIn, opt_in};
use llmcache_operator::policy::names;
use serde::Serialize;

/// What is true of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Injection {
    /// One word.
    pub(crate) state: State,
    /// Why.
    pub(crate) message: String,
    /// The command that gives it a sidecar; none where it has one.
    pub(crate) fix: Option<String>,
}

/// Whether a pod has a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum State {
    /// It or its owner refuses one.
    Disabled,
    /// It has one.
    Injected,
    /// It asks for one and has none.
    Missing,
    /// Nobody asks for one.
    NotAsked,
}

/// Judges one pod; `skips` are what the operator said when it passed the pod over.
pub(super) fn judge(pod: &Pod, index: &Index, skips: &[String]) -> Injection {
    let command = Command::new(pod, index);
    let injection = |state, message: String, fix: Option<String>| Injection { state, message, fix };
    if pod.is_injected() {
        return injection(State::Injected, "it has the sidecar".into(), None);
    }
    let owner = command.owner.as_ref();
    let word = owner.and_then(|owner| owner.annotations.get(names::ANNOTATION_INJECT));
    let of_pod = opt_in(&pod.annotations, &command.namespace_labels);
    match (of_pod, word.map(String::as_str)) {
        (OptIn::Enabled, _) => injection(State::Missing, missing(skips), Some(command.again(skips))),
        (OptIn::Silent, Some("enabled")) => {
            let message = "its owner was annotated while the operator's webhook was away, or after this pod was made";
            injection(State::Missing, message.into(), Some(command.again(&[])))
        }
        (OptIn::Disabled, _) => {
            let message = format!("{} is disabled by its own word, its owner's or its namespace's", names::ANNOTATION_INJECT);
            injection(State::Disabled, message, Some(command.ask()))
        }
        (OptIn::Unknown, _) => {
            let message = format!("{} is neither enabled nor disabled", names::ANNOTATION_INJECT);
            injection(State::NotAsked, message, Some(command.ask()))
        }
        (OptIn::Silent, _) => {
            let message = format!("neither it, its owner nor its namespace says {}: enabled", names::ANNOTATION_INJECT);
            injection(State::NotAsked, message, Some(command.ask()))
        }
    }
}

fn missing(skips: &[String]) -> String {
    skips.first().map_or_else(
        || "it asks for a sidecar and has none: it is older than the annotation, or the operator's webhook was away when it was made".into(),
        |skip| format!("the operator passed it over: {skip}"),
    )
}

/// Commands about one pod.
struct Command<'a> {
    pod: &'a Pod,
    owner: Option<Owner>,
    namespace_labels: std::collections::BTreeMap<String, String>,
}

impl<'a> Command<'a> {
    fn new(pod: &'a Pod, index: &Index) -> Self {
        let namespace = index.namespaces.iter().find(|(key, _)| key.name == pod.key.namespace);
        Self {
            pod,
            owner: index.root_owner(pod),
            namespace_labels: namespace.map(|(_, known)| known.labels.clone()).unwrap_or_default(),
        }
    }

    /// Asks for a sidecar where the word lasts.
    fn ask(&self) -> String {
        let namespace = &self.pod.key.namespace;
        let said_by_pod = self.pod.annotations.contains_key(names::ANNOTATION_INJECT);
        match &self.owner {
            Some(owner) if owner.kind == "Job" => self.anew(),
            Some(owner) if said_by_pod => template(namespace, owner, names::ANNOTATION_INJECT, "enabled"),
            Some(owner) => format!(
                "kubectl -n {namespace} annotate {} {} {}=enabled --overwrite",
                owner.kind.to_lowercase(),
                owner.key.name,
                names::ANNOTATION_INJECT
            ),
            None => self.anew(),
        }
    }

    /// Makes the pod again.
    fn again(&self, skips: &[String]) -> String {
        if !skips.is_empty() {
            return "change what the message names; the next pod is judged anew".into();
        }
        let namespace = &self.pod.key.namespace;
        match &self.owner {
            Some(owner) if matches!(owner.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet") => format!(
                "kubectl -n {namespace} rollout restart {}/{}",
                owner.kind.to_lowercase(),
                owner.key.name
            ),
            Some(owner) if owner.kind == "CronJob" => format!(
                "kubectl -n {namespace} create job --from=cronjob/{} {}-again",
                owner.key.name, owner.key.name
            ),
            Some(owner) if owner.kind == "ReplicaSet" => format!("kubectl -n {namespace} delete pod {}", self.pod.key.name),
            _ => self.anew(),
        }
    }

    fn anew(&self) -> String {
        format!(
            "set the annotation {}: enabled in the manifest, delete and create it again (pods and Jobs are injected only \
             when they are created)",
            names::ANNOTATION_INJECT
        )
    }
}

/// Sets an annotation of an owner's pod template.
pub(crate) fn template(namespace: &str, owner: &Owner, name: &str, value: &str) -> String {
    let patch = serde_json::json!({"template": {"metadata": {"annotations": {name: value}}}});
    let patch = match owner.kind.as_str() {
        "CronJob" => serde_json::json!({"spec": {"jobTemplate": {"spec": patch}}}),
        _ => serde_json::json!({"spec": patch}),
    };
    format!(
        "kubectl -n {namespace} patch {} {} --type=merge -p '{patch}'",
        owner.kind.to_lowercase(),
        owner.key.name
    )
}

#[cfg(test)]
mod tests;
