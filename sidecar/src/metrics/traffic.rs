//! Requests: how many, how they ended, how long they took.

use std::sync::Arc;

use llmcache_provider::Endpoint;
use parking_lot::Mutex;
use prometheus::{Error, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::family::{counts, register, seconds};
use super::{Bypasses, NONE};
use crate::account::{Delivery, Line};
use crate::outcome::{Layer, Outcome};

#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) bypass: IntCounterVec,
    pub(super) lookup: HistogramVec,
    pub(super) followers: IntCounter,
    /// Of the policy in force, and those before it: each has series of its own.
    policies: Mutex<Vec<Arc<str>>>,
    requests: IntCounterVec,
    duration: HistogramVec,
    added: HistogramVec,
    upstream: IntCounterVec,
}

/// Policies told apart over the life of a process.
const MAX_POLICIES: usize = 32;
const OTHER: &str = "other";
/// From an in-process hit (target: 99 % within 0.3 ms) to answers that think for minutes.
const DURATION_BUCKETS: [f64; 8] = [0.0003, 0.001, 0.01, 0.1, 1.0, 5.0, 20.0, 120.0];
/// Around the targets: 0.1 to 0.3 ms for a hit and a stream's first byte, 3 and 8 ms for a question that is embedded,
/// 25 ms a store's budget.
const ADDED_BUCKETS: [f64; 8] = [0.0001, 0.0002, 0.0003, 0.001, 0.003, 0.008, 0.025, 0.1];
/// Statuses that call for different actions; others are `other`.
const STATUSES: [(u16, &str); 15] = [
    (200, "200"),
    (400, "400"),
    (401, "401"),
    (402, "402"),
    (403, "403"),
    (404, "404"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (429, "429"),
    (500, "500"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (529, "529"),
];

impl Traffic {
    pub(super) fn register(r: &Registry, bypasses: Bypasses<'_>) -> Result<Self, Error> {
        let requests = &["outcome", "layer", "endpoint", "tier", "policy"];
        let durations = &["outcome", "layer", "stream"];
        let whole = "first request byte to last answer byte";
        let followers = IntCounter::new(
            "singleflight_followers_total",
            "requests answered by an identical one's call",
        );
        let traffic = Self {
            policies: Mutex::default(),
            requests: counts(r, "requests_total", "accepted requests", requests)?,
            bypass: counts(
                r,
                "bypass_total",
                "requests a layer did not act on",
                &["layer", "reason"],
            )?,
            duration: seconds(r, "request_duration_seconds", whole, durations, &DURATION_BUCKETS)?,
            added: seconds(
                r,
                "added_seconds",
                "time added to the upstream's",
                &["outcome"],
                &ADDED_BUCKETS,
            )?,
            lookup: seconds(r, "lookup_seconds", "time of one lookup", &["layer"], &ADDED_BUCKETS)?,
            upstream: counts(
                r,
                "upstream_requests_total",
                "requests sent to providers",
                &["model", "status"],
            )?,
            followers: register(r, followers)?,
        };
        traffic.start_at_zero(bypasses);
        Ok(traffic)
    }

    /// Counts under this policy's name from now on; gives the label, which is `other` for one policy too many.
    pub(super) fn policy(&self, name: &str) -> Arc<str> {
        let name = if name.is_empty() { NONE } else { name };
        let mut policies = self.policies.lock();
        let known = policies.iter().position(|known| **known == *name);
        let label = match known {
            Some(at) => policies.remove(at),
            None if policies.len() < MAX_POLICIES => name.into(),
            None => OTHER.into(),
        };
        policies.retain(|known| **known != *label);
        policies.push(label.clone());
        label
    }

    pub(super) fn upstream(&self, model: &str, status: Option<u16>) {
        let status = match status {
            None => "unreachable",
            Some(status) => STATUSES
                .iter()
                .find(|(code, _)| *code == status)
                .map_or("other", |(_, word)| word),
        };
        self.upstream.with_label_values(&[model, status]).inc();
    }

    pub(super) fn record(&self, endpoint: Option<Endpoint>, line: &Line, delivery: Option<&Delivery>) {
        let outcome = line.outcome.word();
        let layer = line.layer.map_or(NONE, Layer::word);
        let endpoint = endpoint.map_or("other", Endpoint::name);
        let tier = delivery.and_then(|delivery| delivery.tier.as_deref()).unwrap_or(NONE);
        let policy = self.policies.lock().last().cloned();
        self.requests
            .with_label_values(&[outcome, layer, endpoint, tier, policy.as_deref().unwrap_or(NONE)])
            .inc();
        if let Some(delivery) = delivery {
            let stream = if delivery.is_stream { "true" } else { "false" };
            self.duration
                .with_label_values(&[outcome, layer, stream])
                .observe(delivery.duration.as_secs_f64());
            self.added
                .with_label_values(&[outcome])
                .observe(delivery.added.as_secs_f64());
        }
    }

    fn start_at_zero(&self, bypasses: Bypasses<'_>) {
        for (layer, reasons) in bypasses {
            for reason in *reasons {
                self.bypass.with_label_values(&[*layer, *reason]);
            }
        }
        let [exact, equivalent] = [Layer::ResultCache, Layer::SemanticCache].map(Layer::word);
        for layer in [exact, equivalent] {
            self.lookup.with_label_values(&[layer]);
        }
        for (outcome, layer) in [
            (Outcome::Hit, exact),
            (Outcome::Hit, equivalent),
            (Outcome::Miss, NONE),
            (Outcome::Bypass, NONE),
        ] {
            self.added.with_label_values(&[outcome.word()]);
            for stream in ["false", "true"] {
                self.duration.with_label_values(&[outcome.word(), layer, stream]);
            }
        }
    }
}
