//! The status of a policy, from its judgement and the word of its sidecars. Pure: time is a parameter.

use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use llmcache_crds::LLMCachePolicyStatus;
use llmcache_crds::status::{InvalidationState, SidecarCounts, condition, reason};
use llmcache_policy::push::Sighting;

use crate::facts::Pod;
use crate::plan::{Judged, Program};

mod health;
mod layers;
#[cfg(test)]
mod tests;

pub use health::Health;

/// A pod that was silent for longer is stale, milliseconds.
pub const SILENCE_MS: i64 = 15_000;

/// State of one sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It acknowledged what it is to execute.
    Serving,
    /// It has not answered yet.
    Pending,
    /// Its pod is silent for more than 15 s.
    Stale,
    /// It refused what it is to execute.
    Rejected,
}

/// Everything that a status is made of.
pub struct Facts<'a> {
    /// The policy and what is executed under its name.
    pub judged: &'a Judged,
    /// The pods that it wins.
    pub pods: Vec<&'a Pod>,
    /// What connected sidecars said, by pod uid.
    pub sightings: &'a HashMap<String, Sighting>,
    /// When each pod that is not connected was last heard, milliseconds since 1970.
    pub last_heard_ms: &'a HashMap<String, i64>,
    /// Since when this replica knows the sidecars, milliseconds since 1970.
    pub since_ms: i64,
    /// Version of this operator.
    pub version: &'a str,
    /// What the policy's watched objects were when last acted on.
    pub invalidations: Vec<InvalidationState>,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

/// The status to write; times of conditions that did not change stay.
pub fn status(facts: &Facts<'_>, health: &mut Health) -> LLMCachePolicyStatus {
    let judged = facts.judged;
    let before = judged.policy.status.clone().unwrap_or_default();
    let generation = judged.policy.metadata.generation;
    let counts = counts(facts);
    let reports = || {
        facts
            .pods
            .iter()
            .filter_map(|pod| facts.sightings.get(&pod.uid)?.report.as_ref())
    };
    health.recall(&before.conditions);
    let written = [
        accepted(judged),
        programmed(facts, &counts, &before),
        health.judge(reports(), facts.now_ms),
    ];
    let conditions = written.map(|said| said.condition(generation, &before.conditions, facts.now_ms));
    LLMCachePolicyStatus {
        observed_generation: generation,
        revision: judged
            .program
            .as_ref()
            .map(|program| program.revision.clone())
            .or(before.revision),
        sidecars: Some(counts),
        layers: judged
            .program
            .as_ref()
            .map(|program| layers::layers(&program.snapshot, reports()))
            .unwrap_or_default(),
        conditions: conditions.into(),
        invalidations: facts.invalidations.clone(),
    }
}

/// What a condition says.
#[derive(Debug)]
struct Said {
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl Said {
    fn condition(self, generation: Option<i64>, before: &[Condition], now_ms: i64) -> Condition {
        let known = before
            .iter()
            .find(|known| known.type_ == self.kind && known.status == self.status);
        let now = Time(Timestamp::from_millisecond(now_ms / 1_000 * 1_000).unwrap_or_default());
        Condition {
            type_: self.kind.into(),
            status: self.status.into(),
            reason: self.reason.into(),
            message: self.message,
            observed_generation: generation,
            last_transition_time: known.map_or(now, |known| known.last_transition_time.clone()),
        }
    }
}

/// State of one pod's sidecar under a program (none = it is to pass everything through), last heard at `heard_ms` where it is
/// not connected.
pub fn state(pod: &Pod, program: Option<&Program>, sighting: Option<&Sighting>, heard_ms: i64, now_ms: i64) -> State {
    let wanted = program.map_or("", |program| program.revision.as_str());
    let ordered_ms = program.map_or(0, |program| program.since_ms);
    let Some(sighting) = sighting else {
        return waiting(heard_ms.max(pod.created_ms), now_ms);
    };
    if sighting.acked.as_deref() == Some(wanted) && (wanted.is_empty() || sighting.nacked != wanted) {
        State::Serving
    } else if !sighting.nacked.is_empty() && sighting.nacked == wanted {
        State::Rejected
    } else {
        let connected_ms = i64::try_from(sighting.connected_ms).unwrap_or_default();
        waiting(connected_ms.max(ordered_ms), now_ms)
    }
}

impl Facts<'_> {
    fn state(&self, pod: &Pod) -> State {
        let heard_ms = self.last_heard_ms.get(&pod.uid).copied().unwrap_or_default();
        let program = self.judged.program.as_deref();
        let sighting = self.sightings.get(&pod.uid);
        state(pod, program, sighting, heard_ms.max(self.since_ms), self.now_ms)
    }
}

fn waiting(since_ms: i64, now_ms: i64) -> State {
    if now_ms - since_ms > SILENCE_MS {
        State::Stale
    } else {
        State::Pending
    }
}

fn counts(facts: &Facts<'_>) -> SidecarCounts {
    let mut counts = SidecarCounts::default();
    for pod in &facts.pods {
        counts.matched += 1;
        match facts.state(pod) {
            State::Serving => counts.serving += 1,
            State::Pending => counts.pending += 1,
            State::Stale => counts.stale += 1,
            State::Rejected => counts.rejected += 1,
        }
        let sighting = facts.sightings.get(&pod.uid);
        counts.outdated += i32::from(sighting.is_some_and(|sighting| sighting.version != facts.version));
    }
    counts.summary = format!("{}/{}", counts.serving, counts.matched);
    counts
}

fn accepted(judged: &Judged) -> Said {
    let kind = condition::ACCEPTED;
    let Some(refusal) = &judged.refusal else {
        let message = judged.loses_to.as_ref().map_or_else(
            || "the policy is valid".to_owned(),
            |winner| {
                format!(
                    "the policy is valid; the policy {} wins some of the pods it selects",
                    winner.name
                )
            },
        );
        return Said {
            kind,
            status: "True",
            reason: reason::ACCEPTED,
            message,
        };
    };
    Said {
        kind,
        status: "False",
        reason: refusal.reason,
        message: refusal.message.clone(),
    }
}

/// True only when every sidecar that is connected has acknowledged; a pod that is new or was just lost does not take it
/// back before it counts as stale.
fn programmed(facts: &Facts<'_>, counts: &SidecarCounts, before: &LLMCachePolicyStatus) -> Said {
    let judged = facts.judged;
    let revision = judged.program.as_ref().map(|program| program.revision.as_str());
    let was_true = before.conditions.iter().any(|known| {
        known.type_ == condition::PROGRAMMED && known.status == "True" && before.revision.as_deref() == revision
    });
    let connected_pending = facts
        .pods
        .iter()
        .any(|pod| facts.sightings.contains_key(&pod.uid) && facts.state(pod) == State::Pending);
    let is_refused = judged
        .refusal
        .as_ref()
        .is_some_and(|refusal| refusal.reason != reason::CONFLICTED);
    let of = |number: i32| format!("{number} of {}", counts.matched);
    let (status, why, message) = if counts.matched == 0 {
        ("Unknown", reason::NO_SIDECARS, no_sidecars(judged))
    } else if counts.rejected > 0 {
        let why = first_reason(facts);
        (
            "False",
            reason::REJECTED,
            format!("{} sidecars refuse it: {why}", of(counts.rejected)),
        )
    } else if is_refused {
        let message = "the written generation is not accepted; sidecars keep what they execute";
        ("False", reason::PENDING, message.to_owned())
    } else if counts.stale > 0 {
        let names = stale_names(facts);
        (
            "False",
            reason::STALE,
            format!("{} pods are silent for more than 15 s: {names}", of(counts.stale)),
        )
    } else if connected_pending || (counts.pending > 0 && !was_true) {
        (
            "False",
            reason::PENDING,
            format!("{} sidecars have not answered yet", of(counts.pending)),
        )
    } else {
        (
            "True",
            reason::PROGRAMMED,
            "every connected sidecar executes it".to_owned(),
        )
    };
    Said {
        kind: condition::PROGRAMMED,
        status,
        reason: why,
        message,
    }
}

fn no_sidecars(judged: &Judged) -> String {
    let selects = judged.policy.spec.selector.is_some();
    let whom = if selects {
        "no pod that spec.selector selects"
    } else {
        "no pod of the namespace"
    };
    format!(
        "{whom} has a sidecar; fix: kubectl -n {} annotate deployment NAME {}=enabled",
        judged.policy.metadata.namespace.as_deref().unwrap_or_default(),
        llmcache_policy::names::ANNOTATION_INJECT
    )
}

fn first_reason(facts: &Facts<'_>) -> String {
    let refusing = facts.pods.iter().filter_map(|pod| facts.sightings.get(&pod.uid));
    let mut reasons = refusing.filter(|sighting| !sighting.nacked.is_empty());
    reasons
        .next()
        .map(|sighting| format!("{}: {}", sighting.pod, sighting.nack_reason))
        .unwrap_or_default()
}

/// The first stale pods by name.
fn stale_names(facts: &Facts<'_>) -> String {
    let is_stale = |pod: &&&Pod| facts.state(pod) == State::Stale;
    let mut names: Vec<&str> = facts
        .pods
        .iter()
        .filter(is_stale)
        .map(|pod| pod.key.name.as_str())
        .collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(3);
    names.truncate(3);
    let listed = names.join(", ");
    if more == 0 {
        listed
    } else {
        format!("{listed} and {more} more")
    }
}
