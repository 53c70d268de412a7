//! Policies as their status says, and what is wrong with them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use llmcache_crds::status::{LayerState, SidecarCounts, condition, reason};
use llmcache_crds::{LLMCachePolicy, Mode};
use serde::Serialize;

use crate::age::age;

/// One policy.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Ceiling of its layers.
    pub(crate) mode: Mode,
    pub(crate) generation: i64,
    /// Generation that the status describes; null = the operator has written none.
    pub(crate) observed_generation: Option<i64>,
    pub(crate) revision: Option<String>,
    pub(crate) sidecars: SidecarCounts,
    pub(crate) layers: Vec<LayerState>,
    pub(crate) conditions: Vec<Condition>,
    #[serde(skip)]
    pub(crate) age: String,
}

impl Row {
    /// One policy as its status says.
    pub(crate) fn new(policy: &LLMCachePolicy, now_ms: i64) -> Self {
        let metadata = &policy.metadata;
        let status = policy.status.clone().unwrap_or_default();
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            mode: policy.spec.mode.unwrap_or(Mode::Enforce),
            generation: metadata.generation.unwrap_or_default(),
            observed_generation: status.observed_generation,
            revision: status.revision,
            sidecars: status.sidecars.unwrap_or_default(),
            layers: status.layers,
            conditions: status.conditions,
            age: age(metadata.creation_timestamp.as_ref(), now_ms),
        }
    }

    /// Status of a condition; `-` where nobody has judged.
    pub(crate) fn word(&self, kind: &str) -> &str {
        self.condition(kind).map_or("-", |condition| &condition.status)
    }

    /// What people need to know, one line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let name = format!("{}/{}", self.namespace, self.name);
        let mut lines = Vec::new();
        match self.observed_generation {
            None => lines.push(format!("{name}: the operator has not judged it yet")),
            Some(observed) if observed < self.generation => lines.push(format!(
                "{name}: the operator has judged generation {observed}, not yet {}",
                self.generation
            )),
            Some(_) => {}
        }
        let not_true = self.conditions.iter().filter(|condition| condition.status != "True");
        lines.extend(not_true.map(|condition| {
            let Condition {
                type_,
                status,
                reason,
                message,
                ..
            } = condition;
            format!("{name}: {type_}={status} {reason}: {message}")
        }));
        let layers = self.layers.iter().filter(|layer| !layer.message.is_empty());
        lines.extend(layers.map(|layer| format!("{name}: {} {}: {}", layer.name, layer.state, layer.message)));
        lines
    }

    /// How much of it is wrong.
    pub(crate) fn problems(&self) -> usize {
        let known = [condition::ACCEPTED, condition::PROGRAMMED, condition::HEALTHY];
        known.into_iter().filter_map(|kind| self.wrong(kind)).count()
    }

    /// A condition that does not hold; one that only takes its time is not wrong.
    pub(crate) fn wrong(&self, kind: &str) -> Option<&Condition> {
        let takes_time = [reason::PENDING, reason::NO_SIDECARS];
        let found = self.condition(kind).filter(|condition| condition.status == "False");
        found.filter(|condition| !takes_time.contains(&condition.reason.as_str()))
    }

    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == kind)
    }
}
