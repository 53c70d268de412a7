//! What came of one ban, from the answers of the sidecars that it is for. Pure.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::core::v1::ObjectReference;
use llmcache_crds::invalidation::{LLMCacheInvalidationStatus, condition, reason};
use llmcache_crds::{LLMCacheInvalidation, LLMCachePolicy};
use llmcache_policy::push::{BanResult, Sighting};

use super::condition::{condition, created, find};
use crate::events::Notice;
use crate::facts::Key;
use crate::index::Index;
use crate::world::World;

/// Time in which sidecars that are not connected are waited for, milliseconds: they come back within it after a restart
/// of the operator.
const RECONNECT_MS: i64 = 30_000;
/// Most names or reasons that a message lists.
const MAX_LISTED: usize = 8;

/// The policies that a ban is for; none = every policy, and sidecars without one.
pub(super) type Reach = Option<BTreeSet<String>>;

/// A status to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The status.
    pub status: LLMCacheInvalidationStatus,
    /// What it is now and was not before, if that is final.
    pub outcome: Option<Outcome>,
}

/// How a ban ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every connected sidecar obeys it.
    Complete,
    /// Some sidecar could not.
    Failed,
    /// It names nothing.
    NotFound,
}

/// What the connected sidecars answered.
#[derive(Default)]
struct Tally {
    connected: usize,
    obeyed: usize,
    matched: u64,
    matched_in_store: u64,
    counted: bool,
    errors: BTreeSet<String>,
    awaited: Vec<String>,
}

/// The status to write for an object, if it is not written already; `leading_ms` is when this replica began to lead.
pub(super) fn judge(
    object: &LLMCacheInvalidation,
    world: &World,
    sightings: &HashMap<String, Sighting>,
    leading_ms: i64,
    now_ms: i64,
) -> Option<Verdict> {
    // What every connected sidecar obeyed stays so: those that come later change nothing about it.
    let complete = find(object, condition::COMPLETE).filter(|known| known.status == "True");
    if complete.is_some_and(|known| known.reason != reason::NO_SIDECARS) {
        return None;
    }
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let status = match reach(object, namespace, &world.index) {
        Err(problem) => not_found(object, problem, now_ms),
        Ok(reach) => {
            let is_early = now_ms - leading_ms.max(created(object)) < RECONNECT_MS;
            let tally = tally(object, &reach, world, sightings, is_early);
            found(object, &tally, now_ms)
        }
    };
    // It found nobody at its time: that stays true until somebody obeys it.
    let is_better = || status.conditions.iter().any(|now| now.reason == reason::COMPLETE);
    if complete.is_some() && !is_better() {
        return None;
    }
    let outcome = outcome(object, &status);
    (object.status.as_ref() != Some(&status)).then_some(Verdict { status, outcome })
}

/// Whose answers a ban is for, or what its names miss.
pub(super) fn reach(object: &LLMCacheInvalidation, namespace: &str, index: &Index) -> Result<Reach, String> {
    let spec = &object.spec;
    if spec.policy.is_none() && spec.name.is_none() {
        return Ok(None);
    }
    let own = index.policies.iter().filter(|(key, _)| key.namespace == namespace);
    let own: Vec<(&str, &LLMCachePolicy)> = own.map(|(key, policy)| (key.name.as_str(), &**policy)).collect();
    let is_meant = |name: &str| spec.policy.as_deref().is_none_or(|policy| policy == name);
    let meant: Vec<_> = own.iter().filter(|(name, _)| is_meant(name)).collect();
    if let Some(policy) = spec.policy.as_ref().filter(|_| meant.is_empty()) {
        let there = listed(own.iter().map(|(name, _)| *name));
        return Err(format!(
            "spec.policy: {policy} is no policy of this namespace; it has {there}; fix: create an invalidation that \
             names one of these"
        ));
    }
    let Some(name) = &spec.name else {
        return Ok(spec.policy.clone().map(|policy| BTreeSet::from([policy])));
    };
    let with_name = meant
        .iter()
        .filter(|(_, policy)| entries(policy).any(|entry| entry == name));
    let with_name: BTreeSet<String> = with_name.map(|(policy, _)| (*policy).to_owned()).collect();
    if with_name.is_empty() {
        let there = listed(meant.iter().flat_map(|(_, policy)| entries(policy)));
        return Err(format!(
            "spec.name: {name} is no entry of spec.invalidation of the policies meant; they have {there}; fix: create an \
             invalidation that names one of these, or that has a pattern"
        ));
    }
    Ok(Some(with_name))
}

fn entries(policy: &LLMCachePolicy) -> impl Iterator<Item = &str> {
    let entries = policy.spec.invalidation.iter().flatten();
    entries.map(|entry| entry.name.as_str())
}

fn tally(
    object: &LLMCacheInvalidation,
    reach: &Reach,
    world: &World,
    sightings: &HashMap<String, Sighting>,
    is_early: bool,
) -> Tally {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let id = object.metadata.uid.as_deref().unwrap_or_default();
    let is_meant = |uid: &str| {
        let Some(policies) = reach else { return true };
        let policy = world.plan.pods.get(uid).and_then(|placed| placed.policy.as_ref());
        policy.is_some_and(|key| policies.contains(&key.name))
    };
    let mut tally = Tally {
        counted: true,
        ..Tally::default()
    };
    for sighting in sightings.values() {
        if sighting.namespace == namespace && is_meant(&sighting.pod_uid) {
            let result = sighting.ban_results.iter().find(|result| result.id == id);
            tally.add(&sighting.pod, result);
        }
    }
    for placed in world.plan.pods.values() {
        let pod = &placed.pod;
        // One that is younger than the ban holds nothing that it means.
        let may_hold = pod.is_injected() && !pod.is_leaving && pod.created_ms <= created(object);
        let is_away = pod.key.namespace == namespace && may_hold && !sightings.contains_key(&pod.uid);
        if is_away && is_meant(&pod.uid) && (is_early || tally.connected == 0) {
            tally.awaited.push(pod.key.name.clone());
        }
    }
    tally.awaited.sort();
    tally
}

impl Tally {
    fn add(&mut self, pod: &str, result: Option<&BanResult>) {
        self.connected += 1;
        match result {
            None => self.awaited.push(pod.to_owned()),
            Some(result) if !result.error.is_empty() => {
                self.errors.insert(format!("{pod}: {}", result.error));
            }
            Some(result) => {
                self.obeyed += 1;
                self.counted &= result.is_complete;
                // Every sidecar on a store counts the same entries.
                if result.is_in_store {
                    self.matched_in_store = self.matched_in_store.max(result.matched);
                } else {
                    self.matched = self.matched.saturating_add(result.matched);
                }
            }
        }
    }

    fn matched(&self) -> u64 {
        self.matched.saturating_add(self.matched_in_store)
    }
}

fn not_found(object: &LLMCacheInvalidation, problem: String, now_ms: i64) -> LLMCacheInvalidationStatus {
    let accepted = condition(object, condition::ACCEPTED, "False", reason::NOT_FOUND, problem, now_ms);
    LLMCacheInvalidationStatus {
        matched: None,
        sidecars: None,
        conditions: vec![accepted],
    }
}

fn found(object: &LLMCacheInvalidation, tally: &Tally, now_ms: i64) -> LLMCacheInvalidationStatus {
    let is_dry = object.spec.dry_run.unwrap_or_default();
    let (status, reason, message) = complete(tally, is_dry);
    let accepted = "what it names exists".to_owned();
    let accepted = condition(object, condition::ACCEPTED, "True", reason::ACCEPTED, accepted, now_ms);
    let complete = condition(object, condition::COMPLETE, status, reason, message, now_ms);
    LLMCacheInvalidationStatus {
        matched: (tally.obeyed > 0).then(|| i64::try_from(tally.matched()).unwrap_or(i64::MAX)),
        sidecars: Some(format!("{}/{}", tally.obeyed, tally.connected)),
        conditions: vec![accepted, complete],
    }
}

/// Status, reason and message of the condition `Complete`.
fn complete(tally: &Tally, is_dry: bool) -> (&'static str, &'static str, String) {
    if !tally.errors.is_empty() {
        let errors = listed(tally.errors.iter().map(String::as_str));
        return ("False", reason::FAILED, errors);
    }
    if !tally.awaited.is_empty() {
        let awaited = listed(tally.awaited.iter().map(String::as_str));
        return ("False", reason::PENDING, format!("not answered yet: {awaited}"));
    }
    if tally.connected == 0 {
        let nobody = "no sidecar is connected that it is for; the next one obeys it";
        return ("True", reason::NO_SIDECARS, nobody.into());
    }
    let verb = if is_dry { "would be cleared" } else { "cleared" };
    // Counting stops after a while; what is banned is banned.
    let at_least = if tally.counted { "" } else { "at least " };
    let message = format!("{at_least}{} answers {verb}", tally.matched());
    ("True", reason::COMPLETE, message)
}

fn outcome(object: &LLMCacheInvalidation, status: &LLMCacheInvalidationStatus) -> Option<Outcome> {
    let is_new = |kind: &str, reason: &str| {
        let now = status.conditions.iter().find(|known| known.type_ == kind);
        let is_now = now.is_some_and(|now| now.reason == reason);
        is_now && find(object, kind).is_none_or(|known| known.reason != reason)
    };
    if is_new(condition::ACCEPTED, reason::NOT_FOUND) {
        Some(Outcome::NotFound)
    } else if is_new(condition::COMPLETE, reason::FAILED) {
        Some(Outcome::Failed)
    } else if is_new(condition::COMPLETE, reason::COMPLETE) || is_new(condition::COMPLETE, reason::NO_SIDECARS) {
        Some(Outcome::Complete)
    } else {
        None
    }
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    if words.is_empty() {
        return "none".into();
    }
    let first = words.iter().take(MAX_LISTED).copied().collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(MAX_LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

impl Outcome {
    /// Its value of the metric `invalidations_total`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::NotFound => "not_found",
        }
    }
}

impl Verdict {
    /// The Event that says it, on the object.
    pub(super) fn notice(&self, object: &LLMCacheInvalidation, key: &Key, outcome: Outcome) -> Notice {
        let spec = &object.spec;
        let means = [
            ("policy", &spec.policy),
            ("name", &spec.name),
            ("pattern", &spec.pattern),
            ("model", &spec.model),
            ("class", &spec.class),
            ("olderThan", &spec.older_than),
        ];
        let means = means
            .iter()
            .filter_map(|(field, value)| Some(format!("{field} {}", value.as_ref()?)));
        let means = means.collect::<Vec<_>>().join(", ");
        let said = self.status.conditions.last().map_or("", |last| last.message.as_str());
        let sidecars = self.status.sidecars.as_deref().unwrap_or("0/0");
        Notice {
            regarding: ObjectReference {
                api_version: Some("llmcache.dev/v1alpha1".into()),
                kind: Some("LLMCacheInvalidation".into()),
                namespace: Some(key.namespace.clone()),
                name: Some(key.name.clone()),
                uid: object.metadata.uid.clone(),
                ..ObjectReference::default()
            },
            reason: "Invalidated",
            action: if spec.dry_run.unwrap_or_default() {
                "Count"
            } else {
                "Ban"
            },
            message: format!("{means}: {said}; sidecars {sidecars}"),
            is_warning: outcome != Outcome::Complete,
        }
    }
}
