//! Whether a pod has a sidecar, by the code by which the operator injects, and the command that gives it one.

use k8s_openapi::api::core::v1::{self as core, LimitRange};
use llmcache_operator::facts::{Key, Pod};
use llmcache_operator::index::Index;
use llmcache_operator::inject::{Context, Controller, Limit, Namespace, Resources, Settings, State, explain};
use llmcache_operator::policy::names;
use llmcache_operator::settings;
use serde::Serialize;
use serde_json::json;

/// What is true of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Injection {
    /// `Injected`, `Missing`, `NotAsked`, `Disabled`, `Unclear`, or `Skipped` with the reason.
    pub(crate) state: String,
    pub(crate) is_injected: bool,
    /// Whether it asks for a sidecar that it has not.
    #[serde(skip)]
    pub(crate) is_wanted: bool,
    /// Why.
    pub(crate) message: String,
    /// The command that gives it a sidecar; none where it has one, or no command does.
    pub(crate) fix: Option<String>,
}

/// Judges one pod.
pub(super) fn judge(pod: &core::Pod, fact: &Pod, index: &Index, settings: &settings::Settings) -> Injection {
    let owner = index.root_owner(fact).map(|owner| Controller {
        word: owner.annotations.get(names::ANNOTATION_INJECT).cloned(),
        kind: owner.kind,
        name: owner.key.name,
    });
    let namespace = Key {
        namespace: String::new(),
        name: fact.key.namespace.clone(),
    };
    let labels = index.namespaces.get(&namespace).map(|known| &known.labels);
    let ranges = index
        .limit_ranges
        .values()
        .filter(|range| range.key.namespace == fact.key.namespace);
    let namespace = Namespace {
        word: labels.and_then(|labels| labels.get(names::ANNOTATION_INJECT).cloned()),
        limits: ranges.flat_map(|range| Limit::read(&json!(range.items))).collect(),
    };
    let Some(settings) = injected(settings) else {
        return unjudged(fact);
    };
    let context = Context {
        settings: &settings,
        namespace: &namespace,
        server_minor: None,
    };
    let found = explain(&json!(pod), owner.as_ref(), &context);
    Injection {
        state: match found.state {
            State::Skipped(reason) => format!("Skipped {}", reason.word()),
            state => format!("{state:?}"),
        },
        is_injected: found.state == State::Injected,
        is_wanted: matches!(found.state, State::Missing | State::Skipped(_)),
        message: found.message,
        fix: found.fix,
    }
}

/// What an install injects, as far as it decides whether a pod can have it.
fn injected(settings: &settings::Settings) -> Option<Settings> {
    let sidecar = &settings.sidecar;
    Some(Settings {
        image: sidecar.image.clone(),
        image_pull_policy: sidecar.image_pull_policy.clone(),
        log_level: sidecar.log_level.clone(),
        resources: Resources::parse(&sidecar.resources).ok()?,
        operator: String::new(),
        ca_bundle: String::new(),
        prices: None,
    })
}

/// What the labels alone say.
fn unjudged(fact: &Pod) -> Injection {
    Injection {
        state: if fact.is_injected() { "Injected" } else { "Unclear" }.into(),
        is_injected: fact.is_injected(),
        is_wanted: false,
        message: "the install's setting sidecar.resources cannot be read".into(),
        fix: None,
    }
}

/// The bounds of a namespace, as the operator keeps them.
pub(super) fn limits(ranges: Vec<LimitRange>) -> Vec<llmcache_operator::facts::LimitRange> {
    ranges.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests;
