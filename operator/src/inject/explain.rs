//! Why a running pod has the sidecar or has not, and the command that changes it.

use llmcache_policy::names::{ANNOTATION_INJECT, ANNOTATION_PROXY_PORT, ANNOTATION_RESOURCES};
use serde_json::{Value, json};

use super::read::{list, quoted, text};
use super::skip::Reason;
use super::{Context, Outcome, container, wish};
use crate::opt_in::{Origin, Wish};

/// Free on every node of ours, and nobody else's by convention.
const SPARE_PORT: u16 = 15481;

/// What is known of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Injected, or why not.
    pub state: State,
    /// The same for people.
    pub message: String,
    /// The command that changes it, where one can.
    pub fix: Option<String>,
}

/// Whether a pod has the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Somebody said `disabled`.
    Disabled,
    /// It has the sidecar.
    Injected,
    /// It asked, could have it, and has not: it is older than the word, or came up while the webhook was away.
    Missing,
    /// Nobody asked.
    NotAsked,
    /// It asked and cannot have it.
    Skipped(Reason),
    /// The word is neither `enabled` nor `disabled`.
    Unclear,
}

/// What makes a pod again when it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Its kind: `Deployment`, not the `ReplicaSet` between.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its own annotation `llmcache.dev/inject`.
    pub word: Option<String>,
}

/// Explains a running pod; without a controller it is read off the pod, and its annotation is unknown.
pub fn explain(pod: &Value, controller: Option<&Controller>, context: &Context<'_>) -> Explanation {
    let read = Controller::of(pod);
    let controller = controller.or(read.as_ref());
    let command = Command { pod, controller };
    if container::find(pod).is_some() {
        return explanation(State::Injected, "the pod has the sidecar", None);
    }
    match effective(pod, controller, context) {
        Wish::Absent => {
            let message = format!("nobody asked for the sidecar: no {ANNOTATION_INJECT} on pod, owner or namespace");
            explanation(State::NotAsked, message, Some(command.enable(Origin::Owner)))
        }
        Wish::Disabled(origin) => {
            let message = format!("{ANNOTATION_INJECT} is \"disabled\" on the {}", origin.word());
            explanation(State::Disabled, message, Some(command.enable(origin)))
        }
        Wish::Unclear { origin, word } => {
            let word = quoted(&word);
            let message = format!(
                "{ANNOTATION_INJECT} is {word} on the {}, which means nothing",
                origin.word()
            );
            explanation(State::Unclear, message, Some(command.enable(origin)))
        }
        Wish::Enabled(_) => asked(pod, context, &command),
    }
}

/// A pod that should have it.
fn asked(pod: &Value, context: &Context<'_>, command: &Command<'_>) -> Explanation {
    // The word may stand on an owner whose key never reached the pod; the rest of the judgement does not depend on it.
    match super::inject(pod, context) {
        Outcome::Skipped { skip, .. } => {
            let fix = match skip.reason {
                Reason::LimitRange => Some(command.annotate(ANNOTATION_RESOURCES, "cpu=20m/100m,memory=64Mi/128Mi")),
                Reason::PortCollision => Some(command.annotate(ANNOTATION_PROXY_PORT, &SPARE_PORT.to_string())),
                _ => None,
            };
            explanation(State::Skipped(skip.reason), skip.message, fix)
        }
        Outcome::Already { .. } | Outcome::Disabled { .. } | Outcome::Injected { .. } => {
            let message = "the pod asked for the sidecar and has none: it is older than the request, or came up while \
                           the operator was away";
            explanation(State::Missing, message, Some(command.again()))
        }
    }
}

/// The wish with the owner's own annotation, whose copy may not have reached the pod.
fn effective(pod: &Value, controller: Option<&Controller>, context: &Context<'_>) -> Wish {
    let found = wish(pod, context.namespace);
    let word = controller.and_then(|controller| controller.word.as_deref());
    match (&found, word) {
        (
            Wish::Disabled(Origin::Pod)
            | Wish::Enabled(Origin::Pod)
            | Wish::Unclear {
                origin: Origin::Pod, ..
            },
            _,
        )
        | (_, None) => found,
        (_, Some(word)) => Origin::Owner.says(word),
    }
}

fn explanation(state: State, message: impl Into<String>, fix: Option<String>) -> Explanation {
    Explanation {
        state,
        message: message.into(),
        fix,
    }
}

impl Controller {
    /// The controller as a pod names it; a `ReplicaSet` with the pod's template hash is its Deployment's.
    pub fn of(pod: &Value) -> Option<Self> {
        let metadata = &pod["metadata"];
        let owner = list(metadata, "ownerReferences")
            .iter()
            .find(|owner| owner["controller"] == true)?;
        let (kind, name) = (text(owner, "kind"), text(owner, "name"));
        let hash = text(&metadata["labels"], "pod-template-hash");
        let deployment = name.strip_suffix(hash).and_then(|name| name.strip_suffix('-'));
        let (kind, name) = match deployment {
            Some(deployment) if kind == "ReplicaSet" && !hash.is_empty() => ("Deployment", deployment),
            _ => (kind, name),
        };
        Some(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            word: None,
        })
    }
}

/// Commands about one pod and what makes it.
struct Command<'a> {
    pod: &'a Value,
    controller: Option<&'a Controller>,
}

impl Command<'_> {
    /// Asks for the sidecar, at the place whose word holds.
    fn enable(&self, origin: Origin) -> String {
        match self.lasting() {
            Some(_) if origin == Origin::Pod => self.annotate(ANNOTATION_INJECT, "enabled"),
            Some((kind, name)) => self.on(&format!(
                "annotate {kind} {name} {ANNOTATION_INJECT}=enabled --overwrite"
            )),
            None => self.annotate(ANNOTATION_INJECT, "enabled"),
        }
    }

    /// Sets an annotation of the pod template.
    fn annotate(&self, name: &str, value: &str) -> String {
        let Some((kind, owner)) = self.lasting() else {
            return format!("set annotation {name}: \"{value}\" in the manifest and create it again");
        };
        let template = json!({"template": {"metadata": {"annotations": {name: value}}}});
        let patch = match kind.as_str() {
            "cronjob" => json!({"spec": {"jobTemplate": {"spec": template}}}),
            _ => json!({"spec": template}),
        };
        self.on(&format!("patch {kind} {owner} --type=merge -p '{patch}'"))
    }

    /// Makes the pod again.
    fn again(&self) -> String {
        let name = text(&self.pod["metadata"], "name");
        match self.lasting() {
            Some((kind, name)) if kind == "cronjob" => {
                self.on(&format!("create job {name}-again --from=cronjob/{name}"))
            }
            Some((kind, name)) => self.on(&format!("rollout restart {kind}/{name}")),
            None if self.controller.is_some_and(|controller| controller.kind != "Job") => {
                self.on(&format!("delete pod {name}"))
            }
            None => "jobs and bare pods are injected at creation only: delete it and create it again".to_owned(),
        }
    }

    /// The owner that outlives the pod and whose template can change, as `kubectl` names it.
    fn lasting(&self) -> Option<(String, &str)> {
        let controller = self.controller?;
        let is_lasting = matches!(
            controller.kind.as_str(),
            "Deployment" | "StatefulSet" | "DaemonSet" | "CronJob"
        );
        is_lasting.then(|| (controller.kind.to_ascii_lowercase(), controller.name.as_str()))
    }

    fn on(&self, words: &str) -> String {
        match text(&self.pod["metadata"], "namespace") {
            "" => format!("kubectl {words}"),
            namespace => format!("kubectl -n {namespace} {words}"),
        }
    }
}

impl Origin {
    fn word(self) -> &'static str {
        match self {
            Self::Pod => "pod template",
            Self::Owner => "owner",
            Self::Namespace => "namespace",
        }
    }
}
