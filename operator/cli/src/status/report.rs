//! The whole answer of `status`, for programs; what people see is made of it.

use k8s_openapi::api::core::v1::Pod;
use llmcache_crds::status::SidecarCounts;
use llmcache_operator::facts::Key;
use serde::Serialize;
use serde_json::{Value, json};

use super::policies::Row;
use super::tally::{LAYERS, Tally};
use crate::container;
use crate::scene::{Injection, Scene};

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Null = all.
    pub(crate) namespace: Option<String>,
    pub(crate) policies: Vec<Row>,
    pub(crate) sidecars: Sidecars,
    pub(crate) traffic: Traffic,
    /// What this account could not read, and what follows.
    pub(crate) notes: Vec<String>,
}

/// Sidecars by state.
#[derive(Debug, Serialize)]
pub(crate) struct Sidecars {
    /// Sums over the policies' statuses.
    #[serde(flatten)]
    pub(crate) counts: SidecarCounts,
    /// Pods that have one.
    pub(crate) injected: usize,
    /// Pods that have one which does not run.
    pub(crate) broken: Vec<Named>,
    /// Pods that ask for one and have none.
    pub(crate) missing: Vec<Missing>,
}

/// A pod and what is true of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Named {
    /// Namespace and name.
    pub(crate) pod: String,
    pub(crate) reason: String,
}

/// A pod without the sidecar it asks for.
#[derive(Debug, Serialize)]
pub(crate) struct Missing {
    /// Namespace and name.
    pub(crate) pod: String,
    #[serde(flatten)]
    pub(crate) injection: Injection,
}

/// What the sidecars counted since their processes started.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// Sidecars that answered.
    pub(crate) answered: usize,
    pub(crate) unreachable: Vec<Named>,
    pub(crate) tally: Tally,
}

impl Report {
    /// Puts together what was read.
    pub(crate) fn new(
        namespace: Option<&str>,
        scene: &Scene,
        pages: Vec<(Key, Result<Tally, String>)>,
        now_ms: i64,
    ) -> Self {
        let policies = scene.index.policies.values().map(|policy| Row::new(policy, now_ms));
        let policies: Vec<_> = policies.collect();
        Self {
            namespace: namespace.map(str::to_owned),
            sidecars: Sidecars {
                counts: counts(&policies),
                injected: scene.index.pods.values().filter(|pod| pod.is_injected()).count(),
                broken: broken(scene),
                missing: missing(scene),
            },
            policies,
            traffic: Traffic::new(pages),
            notes: scene.notes.clone(),
        }
    }

    /// How much is wrong.
    pub(crate) fn problems(&self) -> usize {
        let of_policies: usize = self.policies.iter().map(Row::problems).sum();
        of_policies + self.sidecars.broken.len() + self.sidecars.missing.len()
    }
}

fn counts(policies: &[Row]) -> SidecarCounts {
    let mut sum = SidecarCounts::default();
    for counts in policies.iter().map(|policy| &policy.sidecars) {
        sum.matched += counts.matched;
        sum.serving += counts.serving;
        sum.pending += counts.pending;
        sum.stale += counts.stale;
        sum.rejected += counts.rejected;
        sum.outdated += counts.outdated;
    }
    sum.summary = format!("{}/{}", sum.serving, sum.matched);
    sum
}

fn broken(scene: &Scene) -> Vec<Named> {
    let found = scene.pods.iter().filter_map(|(key, pod): (&Key, &Pod)| {
        let reason = container::trouble(pod)?;
        Some(Named {
            pod: key.to_string(),
            reason,
        })
    });
    found.collect()
}

fn missing(scene: &Scene) -> Vec<Missing> {
    let found = scene.uninjected().into_iter();
    let found = found.map(|(key, injection)| Missing {
        pod: key.to_string(),
        injection,
    });
    found.collect()
}

impl Traffic {
    fn new(pages: Vec<(Key, Result<Tally, String>)>) -> Self {
        let mut traffic = Self {
            answered: 0,
            unreachable: Vec::new(),
            tally: Tally::default(),
        };
        for (key, page) in pages {
            match page {
                Ok(tally) => {
                    traffic.answered += 1;
                    traffic.tally.add(&tally);
                }
                Err(reason) => traffic.unreachable.push(Named {
                    pod: key.to_string(),
                    reason,
                }),
            }
        }
        traffic
    }

    /// For programs.
    fn json(&self) -> Value {
        let tally = &self.tally;
        let mut rates = serde_json::Map::new();
        for layer in LAYERS {
            rates.insert(
                layer.into(),
                json!({"byRequests": tally.by_requests(layer), "byTokens": tally.by_tokens(layer)}),
            );
        }
        let combined = json!({"byRequests": tally.combined_by_requests(), "byTokens": tally.combined_by_tokens()});
        rates.insert("combined".into(), combined);
        let mut overhead = serde_json::Map::new();
        for ((layer, kind), usd) in &tally.overhead {
            let layer = overhead.entry(layer.clone()).or_insert_with(|| json!({}));
            layer[kind] = json!(usd);
        }
        let net = tally.gross() - tally.costs();
        json!({
            "answered": self.answered,
            "connected": tally.connected,
            "unreachable": self.unreachable,
            "requests": {"total": tally.requests, "bypass": tally.bypass, "opaque": tally.opaque, "hit": tally.hits},
            "tokens": tally.tokens,
            "hitRates": rates,
            "usd": {
                "counterfactual": tally.actual + net, "actual": tally.actual, "saved": tally.saved, "overhead": overhead,
                "net": net,
            },
        })
    }
}

impl Serialize for Traffic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json().serialize(serializer)
    }
}
