//! Which policy each pod executes: from everything known about the cluster to one order per pod. Pure.
//!
//! A pod's own annotation wins, then a policy with a selector over one without, then the oldest, then the first by name.
//! A generation that cannot be accepted changes nothing: what was accepted before keeps being executed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use llmcache_crds::LLMCachePolicy;
use llmcache_policy::Snapshot;

use crate::facts::{Key, Pod};
use crate::index::Index;
use crate::settings::Settings;

mod choose;
mod judge;
#[cfg(test)]
mod tests;

pub(crate) use choose::selects;
pub use judge::Refusal;

/// A policy as sidecars execute it.
#[derive(Debug, PartialEq)]
pub struct Program {
    /// The compiled policy.
    pub snapshot: Snapshot,
    /// Its content hash.
    pub revision: String,
    /// It as sidecars receive it.
    pub json: Bytes,
    /// When it was first ordered, milliseconds since 1970.
    pub since_ms: i64,
}

/// What one pod is to execute.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// A policy.
    Run(Arc<Program>),
    /// No policy applies: everything passes through.
    PassThrough,
    /// What it executes already: the policy that applies has no acceptable generation.
    Keep,
}

/// One pod that asks for a sidecar.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The pod.
    pub pod: Arc<Pod>,
    /// The policy that applies; `None` = none, or the install's defaults.
    pub policy: Option<Key>,
    /// Other policies that select it too, the next in line first.
    pub losers: Vec<Key>,
    /// What it is to execute.
    pub order: Order,
    /// The policy that its annotation names and that does not exist.
    pub missing: Option<String>,
}

/// One policy, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The policy as written.
    pub policy: Arc<LLMCachePolicy>,
    /// Why the written generation is not executed, if it is not.
    pub refusal: Option<Refusal>,
    /// What is executed under its name: the written generation, or the last accepted one.
    pub program: Option<Arc<Program>>,
    /// Pods that it wins, by uid.
    pub pods: Vec<String>,
    /// A policy that wins pods which this one selects too.
    pub loses_to: Option<Key>,
}

/// One order per pod, and the judgement of each policy.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Every policy.
    pub policies: BTreeMap<Key, Judged>,
    /// Every pod that asks for a sidecar or has one, by uid.
    pub pods: HashMap<String, Placed>,
}

/// What was accepted so far: compiling again is not needed, and a refused generation must not take it away.
#[derive(Debug, Default)]
pub struct Planner {
    known: HashMap<String, judge::Known>,
    defaults: HashMap<String, Arc<Program>>,
}

impl Planner {
    /// The plan for what is known now, `now_ms` milliseconds since 1970.
    pub fn plan(&mut self, index: &Index, settings: &Settings, now_ms: i64) -> Plan {
        let mut policies: BTreeMap<Key, Judged> = BTreeMap::new();
        let mut known = HashMap::new();
        for (key, policy) in &index.policies {
            let uid = policy.metadata.uid.clone().unwrap_or_default();
            let entry = judge::judge(policy, self.known.remove(&uid), index, settings, now_ms);
            policies.insert(
                key.clone(),
                Judged {
                    policy: policy.clone(),
                    refusal: entry.refusal.clone(),
                    program: entry.program.clone(),
                    pods: Vec::new(),
                    loses_to: None,
                },
            );
            known.insert(uid, entry);
        }
        self.known = known;
        self.defaults.retain(|name, _| {
            let name = name.clone();
            let namespace = String::new();
            index.namespaces.contains_key(&Key { namespace, name })
        });
        let mut pods = HashMap::new();
        for pod in index.pods.values() {
            if let Some(placed) = self.place(pod, index, settings, &mut policies, now_ms) {
                pods.insert(pod.uid.clone(), placed);
            }
        }
        for judged in policies.values_mut() {
            judge::settle_conflict(judged);
        }
        Plan { policies, pods }
    }

    /// The place of one pod; none for a pod that neither has nor wants a sidecar.
    fn place(
        &mut self,
        pod: &Arc<Pod>,
        index: &Index,
        settings: &Settings,
        policies: &mut BTreeMap<Key, Judged>,
        now_ms: i64,
    ) -> Option<Placed> {
        let namespace = Key {
            namespace: String::new(),
            name: pod.key.namespace.clone(),
        };
        let no_labels = BTreeMap::new();
        let labels = index
            .namespaces
            .get(&namespace)
            .map_or(&no_labels, |known| &known.labels);
        let wants = pod.wish(labels).is_enabled();
        if !wants && !pod.is_injected() {
            return None;
        }
        let choice = choose::choose(pod, policies);
        let order = match &choice.winner {
            Some(key) => {
                let judged = policies.get_mut(key)?;
                if !pod.is_leaving {
                    judged.pods.push(pod.uid.clone());
                }
                judged.program.clone().map_or(Order::Keep, Order::Run)
            }
            None if choice.missing.is_some() => Order::PassThrough,
            None => self.default_order(&pod.key.namespace, settings, now_ms),
        };
        for loser in &choice.losers {
            if let Some(judged) = policies.get_mut(loser) {
                judged.loses_to.clone_from(&choice.winner);
            }
        }
        Some(Placed {
            pod: pod.clone(),
            policy: choice.winner,
            losers: choice.losers,
            order,
            missing: choice.missing,
        })
    }

    /// What a pod executes that no policy selects: the install's defaults, else nothing.
    fn default_order(&mut self, namespace: &str, settings: &Settings, now_ms: i64) -> Order {
        let Some(policy) = settings.default_policy(namespace) else {
            return Order::PassThrough;
        };
        let program = self.defaults.entry(namespace.to_owned());
        Order::Run(
            program
                .or_insert_with(|| Program::new(crate::compile(&policy), now_ms))
                .clone(),
        )
    }
}

impl Judged {
    /// Whether any generation of it was ever accepted: one that never was takes no pods from others.
    fn was_accepted(&self) -> bool {
        let status = self.policy.status.as_ref();
        self.program.is_some() || status.is_some_and(|status| status.revision.is_some())
    }
}

impl Program {
    fn new(snapshot: Snapshot, since_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            revision: snapshot.revision().0,
            // A snapshot holds only strings, numbers and lists, which JSON can always write.
            json: serde_json::to_vec(&snapshot).unwrap_or_default().into(),
            snapshot,
            since_ms,
        })
    }
}

impl Plan {
    /// How many pods that have a sidecar are of this plan.
    pub fn injected(&self) -> usize {
        self.pods.values().filter(|placed| placed.pod.is_injected()).count()
    }
}
