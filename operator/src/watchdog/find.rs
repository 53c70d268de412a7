//! The look itself. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::api::core::v1::ObjectReference;
use llmcache_policy::names;
use llmcache_policy::push::Sighting;

use super::fix;
use crate::events::Notice;
use crate::facts::Pod;
use crate::opt_in::Wish;
use crate::plan::Placed;
use crate::world::World;

/// Age from which a pod without its sidecar is missing one, milliseconds: with a look every ten seconds people are told
/// within a minute.
const MISSING_MS: i64 = 45_000;
/// Time from which a connected sidecar that nobody calls is told of, milliseconds.
const SILENT_MS: i64 = 600_000;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Pods ask for a sidecar and have none.
    InjectionMissing,
    /// Nothing was heard from the app since the sidecar started.
    NoTraffic,
    /// An annotation names a policy that does not exist.
    PolicyNotFound,
}

/// One thing that is wrong, about the root owner of some pods, or a pod without one.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// The object to say it on.
    pub regarding: ObjectReference,
    /// What is wrong and how it is mended.
    pub message: String,
    /// How many pods it is about.
    pub pods: usize,
}

/// The look, with since when annotated owners have had pods that know nothing of it, by uid.
#[derive(Debug, Default)]
pub struct Watchdog {
    unheard: HashMap<String, i64>,
}

/// Findings by kind and object: many pods of one owner are one.
type Findings = BTreeMap<(Kind, String), Finding>;

impl Watchdog {
    /// Everything that is wrong now, `sightings` by pod uid.
    pub fn find(&mut self, world: &World, sightings: &HashMap<String, Sighting>, now_ms: i64) -> Vec<Finding> {
        let mut findings = Findings::new();
        for placed in world.plan.pods.values().filter(|placed| !placed.pod.is_leaving) {
            missing(world, placed, now_ms, &mut findings);
            silent(world, placed, sightings.get(&placed.pod.uid), now_ms, &mut findings);
            if let Some(policy) = &placed.missing {
                let message = fix::no_policy(policy, &placed.pod);
                add(
                    &mut findings,
                    Kind::PolicyNotFound,
                    fix::root(&world.index, &placed.pod),
                    message,
                );
            }
        }
        self.unheard(world, now_ms, &mut findings);
        findings.into_values().collect()
    }

    /// Owners whose annotation has not reached any of their pods: it was written while the webhook was away.
    fn unheard(&mut self, world: &World, now_ms: i64, findings: &mut Findings) {
        let mut owners: BTreeMap<String, (ObjectReference, usize)> = BTreeMap::new();
        let mut heard = HashSet::new();
        for pod in world.index.pods.values().filter(|pod| !pod.is_leaving) {
            let Some(owner) = world.index.root_owner(pod) else {
                continue;
            };
            let asks = owner.annotations.get(names::ANNOTATION_INJECT).map(String::as_str) == Some("enabled");
            if !asks || !fix::is_copied_into(&owner.kind) {
                continue;
            }
            if is_deaf(world, pod) {
                let entry = owners.entry(owner.uid.clone());
                entry.or_insert_with(|| (fix::reference(&owner), 0)).1 += 1;
            } else {
                heard.insert(owner.uid);
            }
        }
        owners.retain(|uid, _| !heard.contains(uid));
        self.unheard.retain(|uid, _| owners.contains_key(uid));
        for (uid, (owner, pods)) in owners {
            let since_ms = *self.unheard.entry(uid).or_insert(now_ms);
            if now_ms - since_ms >= MISSING_MS {
                let message = fix::annotate_again(&owner);
                add(findings, Kind::InjectionMissing, owner, message).pods = pods;
            }
        }
    }
}

impl Finding {
    /// The Event that says it.
    pub(super) fn notice(self) -> Notice {
        Notice {
            regarding: self.regarding,
            reason: self.kind.reason(),
            action: "Watch",
            message: self.message,
            is_warning: true,
        }
    }
}

impl Kind {
    /// The reason of its Event.
    pub fn reason(self) -> &'static str {
        match self {
            Self::InjectionMissing => "InjectionMissing",
            Self::NoTraffic => "NoTraffic",
            Self::PolicyNotFound => "PolicyNotFound",
        }
    }
}

/// Whether a pod neither says anything itself nor heard its owner, nor its namespace says it for all.
fn is_deaf(world: &World, pod: &Pod) -> bool {
    let is_injected = world
        .plan
        .pods
        .get(&pod.uid)
        .is_some_and(|placed| placed.pod.is_injected());
    let says = [names::ANNOTATION_INJECT, names::ANNOTATION_FROM_OWNER];
    let is_silent = !says.iter().any(|name| pod.annotations.contains_key(*name));
    is_silent && !is_injected && pod.wish(fix::namespace_labels(world, pod)) == Wish::Absent
}

fn missing(world: &World, placed: &Placed, now_ms: i64, findings: &mut Findings) {
    let pod = &placed.pod;
    if !pod.is_injected() && now_ms - pod.created_ms >= MISSING_MS {
        let root = fix::root(&world.index, pod);
        let message = fix::inject(&root);
        add(findings, Kind::InjectionMissing, root, message);
    }
}

fn silent(world: &World, placed: &Placed, sighting: Option<&Sighting>, now_ms: i64, findings: &mut Findings) {
    let Some(sighting) = sighting else { return };
    let connected_ms = i64::try_from(sighting.connected_ms).unwrap_or(i64::MAX);
    let calls = sighting.report.as_ref().map(|report| report.requests);
    if calls == Some(0) && now_ms.saturating_sub(connected_ms) >= SILENT_MS {
        let root = fix::root(&world.index, &placed.pod);
        add(findings, Kind::NoTraffic, root, fix::no_traffic());
    }
}

/// Adds a finding, or a pod to one that is known.
fn add(findings: &mut Findings, kind: Kind, regarding: ObjectReference, message: String) -> &mut Finding {
    let id = regarding.uid.clone().unwrap_or_default();
    let finding = findings.entry((kind, id)).or_insert(Finding {
        kind,
        regarding,
        message,
        pods: 0,
    });
    finding.pods += 1;
    finding
}
