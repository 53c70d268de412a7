//! The one writer of policy statuses: the leader, on change only, each write an apply that names the object's uid.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use llmcache_crds::status::{InvalidationState, condition};
use llmcache_crds::{LLMCachePolicy, LLMCachePolicyStatus};
use llmcache_policy::push::Sighting;
use serde_json::json;

use crate::conditions::{self, Facts, Health, State};
use crate::facts::Key;
use crate::lease::Leadership;
use crate::metrics::Reporting;
use crate::plan::{Judged, Order};
use crate::sidecars::Sidecars;
use crate::world::{World, Worlds};

/// Who owns the fields of a status.
pub const FIELD_MANAGER: &str = "llmcache-operator";
/// Time that sidecars have to answer before the next look.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest time between two looks: silence is a change that nothing announces.
const BEAT: Duration = Duration::from_secs(1);
/// Longest write.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time that a write takes to come back through the watch, milliseconds.
const ECHO_MS: i64 = 10_000;

/// Gives what a policy's watched objects were when last acted on.
pub type Watched = Arc<dyn Fn(&World, &Judged) -> Vec<InvalidationState> + Send + Sync>;

/// The writer.
pub struct Writer {
    /// Writes statuses.
    pub client: Client,
    /// What is ordered.
    pub worlds: Worlds,
    /// What was answered.
    pub sidecars: Sidecars,
    /// Whether this replica leads; asked before each write.
    pub leads: Leadership,
    /// Metric families.
    pub metrics: Reporting,
    /// Version of this operator.
    pub version: &'static str,
    /// State of watched objects.
    pub watched: Watched,
}

/// What is remembered between two looks, for as long as this replica leads.
#[derive(Default)]
struct Memory {
    since_ms: i64,
    last_heard_ms: HashMap<String, i64>,
    health: HashMap<String, Health>,
    written: HashMap<String, (LLMCachePolicyStatus, i64)>,
    programmed: HashMap<String, String>,
}

impl Writer {
    /// Writes for as long as the process lives.
    pub async fn run(mut self) {
        let mut answers = self.sidecars.subscribe();
        let mut turns = self.leads.subscribe();
        let mut memory: Option<Memory> = None;
        loop {
            let _ = tokio::time::timeout(BEAT, async {
                tokio::select! {
                    _ = self.worlds.changed() => {}
                    _ = answers.changed() => {}
                    _ = turns.changed() => {}
                }
            })
            .await;
            tokio::time::sleep(PAUSE).await;
            answers.borrow_and_update();
            let world = self.worlds.borrow_and_update().clone();
            turns.borrow_and_update();
            if !self.leads.is_leader() || !world.is_complete {
                memory = None;
                continue;
            }
            let now_ms = Timestamp::now().as_millisecond();
            let memory = memory.get_or_insert_with(|| Memory {
                since_ms: now_ms,
                ..Memory::default()
            });
            self.look(&world, memory, now_ms).await;
        }
    }

    async fn look(&self, world: &World, memory: &mut Memory, now_ms: i64) {
        let sightings = self.sidecars.all(now_ms);
        memory.hear(world, &sightings, now_ms);
        self.count(world, &sightings, memory, now_ms);
        let mut written = Vec::new();
        for (key, judged) in &world.plan.policies {
            let uid = judged.policy.metadata.uid.clone().unwrap_or_default();
            let facts = Facts {
                judged,
                pods: judged.pods.iter().map(|uid| &*world.plan.pods[uid].pod).collect(),
                sightings: &sightings,
                last_heard_ms: &memory.last_heard_ms,
                since_ms: memory.since_ms,
                version: self.version,
                invalidations: (self.watched)(world, judged),
                now_ms,
            };
            let status = conditions::status(&facts, memory.health.entry(uid.clone()).or_default());
            self.time(judged, &status, &mut memory.programmed, now_ms);
            if memory.is_news(judged, &uid, &status, now_ms) {
                written.push((key, uid, status));
            }
        }
        for (key, uid, status) in written {
            if !self.leads.is_leader() {
                return;
            }
            if self.write(key, &uid, &status).await {
                memory.written.insert(uid, (status, now_ms));
            }
        }
    }

    async fn write(&self, key: &Key, uid: &str, status: &LLMCachePolicyStatus) -> bool {
        let api: Api<LLMCachePolicy> = Api::namespaced(self.client.clone(), &key.namespace);
        let object = json!({
            "apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCachePolicy",
            "metadata": {"name": key.name, "uid": uid}, "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&object);
        let written = tokio::time::timeout(PATIENCE, api.patch_status(&key.name, &params, &patch)).await;
        let problem = match written {
            Ok(Ok(_)) => {
                self.metrics.wrote("ok");
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        self.metrics.wrote("error");
        tracing::warn!(%key, problem, "cannot write the status; trying again");
        false
    }

    /// Observes how long the last sidecar took, once per revision.
    fn time(
        &self,
        judged: &Judged,
        status: &LLMCachePolicyStatus,
        programmed: &mut HashMap<String, String>,
        now_ms: i64,
    ) {
        let is_programmed = |known: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            known.type_ == condition::PROGRAMMED && known.status == "True"
        };
        let (Some(program), Some(_)) = (&judged.program, status.conditions.iter().find(is_programmed)) else {
            return;
        };
        let uid = judged.policy.metadata.uid.clone().unwrap_or_default();
        let is_first = programmed.insert(uid, program.revision.clone()).as_ref() != Some(&program.revision);
        // A revision that was there before this replica led is no change.
        let was_known = judged
            .policy
            .status
            .as_ref()
            .and_then(|status| status.revision.as_ref())
            == Some(&program.revision);
        if is_first && !was_known {
            let milliseconds = u32::try_from((now_ms - program.since_ms).max(0)).unwrap_or(u32::MAX);
            self.metrics
                .change_to_serving
                .observe(f64::from(milliseconds) / 1_000.0);
        }
    }

    /// Sets the gauges over all pods and policies.
    fn count(&self, world: &World, sightings: &HashMap<String, Sighting>, memory: &Memory, now_ms: i64) {
        let mut states = [
            ("serving", 0),
            ("pending", 0),
            ("stale", 0),
            ("rejected", 0),
            ("outdated", 0),
        ];
        for placed in world.plan.pods.values().filter(|placed| !placed.pod.is_leaving) {
            let program = match &placed.order {
                Order::Run(program) => Some(&**program),
                Order::PassThrough => None,
                Order::Keep => continue,
            };
            let heard_ms = memory
                .last_heard_ms
                .get(&placed.pod.uid)
                .copied()
                .unwrap_or_default()
                .max(memory.since_ms);
            let sighting = sightings.get(&placed.pod.uid);
            let at = match conditions::state(&placed.pod, program, sighting, heard_ms, now_ms) {
                State::Serving => 0,
                State::Pending => 1,
                State::Stale => 2,
                State::Rejected => 3,
            };
            states[at].1 += 1;
            states[4].1 += i64::from(sighting.is_some_and(|sighting| sighting.version != self.version));
        }
        for (state, number) in states {
            self.metrics.sidecars(state, number);
        }
        let refused = world
            .plan
            .policies
            .values()
            .filter(|judged| judged.refusal.is_some())
            .count();
        let accepted = world.plan.policies.len() - refused;
        for (word, number) in [("true", accepted), ("false", refused)] {
            self.metrics.policies(word, i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
}

impl Memory {
    fn hear(&mut self, world: &World, sightings: &HashMap<String, Sighting>, now_ms: i64) {
        self.last_heard_ms.retain(|uid, _| world.plan.pods.contains_key(uid));
        let known = sightings.keys().filter(|uid| world.plan.pods.contains_key(*uid));
        self.last_heard_ms.extend(known.map(|uid| (uid.clone(), now_ms)));
        let is_there = |uid: &String| {
            let mut policies = world.plan.policies.values();
            policies.any(|judged| judged.policy.metadata.uid.as_ref() == Some(uid))
        };
        self.health.retain(|uid, _| is_there(uid));
        self.written.retain(|uid, _| is_there(uid));
        self.programmed.retain(|uid, _| is_there(uid));
    }

    /// Whether a status must be written: it is not what the object has, nor on its way there.
    fn is_news(&self, judged: &Judged, uid: &str, status: &LLMCachePolicyStatus, now_ms: i64) -> bool {
        let is_there = judged.policy.status.as_ref() == Some(status);
        let written = self.written.get(uid);
        let is_coming = written.is_some_and(|(last, at_ms)| last == status && now_ms - at_ms < ECHO_MS);
        !is_there && !is_coming
    }
}
