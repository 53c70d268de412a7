//! Who looks all the while: a thread in each pod's network asks its sidecar what it executes, a task reads the status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use kube::Api;
use llmcache_crds::LLMCachePolicy;
use llmcache_tests::kit::{Process, get};
use parking_lot::Mutex;
use serde_json::Value;

use crate::history::{History, Said, Sample};

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(40);
/// Longest read of a status; the API server may be frozen.
const PATIENCE: Duration = Duration::from_secs(1);

/// The looks, until it is dropped.
pub(crate) struct Lookout {
    began: Instant,
    seen: Arc<Mutex<History>>,
    is_over: Arc<AtomicBool>,
}

impl Lookout {
    /// Begins to look at these pods, each by a process of it that lives, and at the policy.
    pub(crate) fn begin(pods: &BTreeMap<String, Process>, policies: Api<LLMCachePolicy>) -> anyhow::Result<Self> {
        let lookout = Self {
            began: Instant::now(),
            seen: Arc::default(),
            is_over: Arc::default(),
        };
        for (pod, process) in pods {
            lookout.seen.lock().pods.insert(pod.clone(), Vec::new());
            let (pod, began) = (pod.clone(), lookout.began);
            let (seen, is_over) = (lookout.seen.clone(), lookout.is_over.clone());
            process.in_network(move || {
                while !is_over.load(Ordering::Relaxed) {
                    // A proxy that was killed or is frozen says nothing.
                    if let Ok(sample) = look(began) {
                        seen.lock().pods.entry(pod.clone()).or_default().push(sample);
                    }
                    std::thread::sleep(PAUSE);
                }
            })?;
        }
        let (seen, is_over, began) = (lookout.seen.clone(), lookout.is_over.clone(), lookout.began);
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                if let Ok(Ok(policy)) = tokio::time::timeout(PATIENCE, policies.get(crate::scene::POLICY)).await {
                    let said = said(&policy, ms(began));
                    seen.lock().said.push(said);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Ok(lookout)
    }

    /// All that was seen.
    pub(crate) fn history(&self) -> History {
        self.seen.lock().clone()
    }

    /// Milliseconds since it began.
    pub(crate) fn now_ms(&self) -> u64 {
        ms(self.began)
    }

    /// What a pod executed when it was last asked.
    pub(crate) fn generation(&self, pod: &str) -> Option<i64> {
        Some(self.seen.lock().pods.get(pod)?.last()?.generation)
    }

    /// The status that was read last.
    pub(crate) fn said(&self) -> Option<Said> {
        self.seen.lock().said.last().cloned()
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn ms(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn look(began: Instant) -> anyhow::Result<Sample> {
    let asked_ms = ms(began);
    let shown: Value = serde_json::from_str(&get(15480, "/llmcache/snapshot")?)?;
    let identity = &shown["snapshot"]["identity"];
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    Ok(Sample {
        asked_ms,
        told_ms: ms(began),
        uid: text(&identity["uid"]).context("the snapshot has no uid")?,
        generation: identity["generation"]
            .as_i64()
            .context("the snapshot has no generation")?,
        revision: text(&shown["revision"]).context("the snapshot has no revision")?,
    })
}

fn said(policy: &LLMCachePolicy, read_ms: u64) -> Said {
    let status = policy.status.clone().unwrap_or_default();
    let counts = status.sidecars.unwrap_or_default();
    let mut conditions = status.conditions.iter();
    Said {
        read_ms,
        generation: status.observed_generation.unwrap_or_default(),
        revision: status.revision.unwrap_or_default(),
        is_programmed: conditions.any(|known| known.type_ == "Programmed" && known.status == "True"),
        serving: counts.serving,
        matched: counts.matched,
    }
}
