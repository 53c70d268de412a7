//! Every metric family of the sidecar in one registry; label sets are closed words, never a client's text.
//!
//! Families without model, tier or policy exist from the start: with three outcomes, one caching layer and forty bypass
//! reasons they are about 200 series, at most 300. Dollars are kept as integers and converted once, when read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use llmcache_policy::names::METRIC_PREFIX;
use llmcache_provider::Endpoint;
use llmcache_provider::usage::Usage;
use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    CounterVec, Error, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    TextEncoder,
};

use crate::account::{Delivery, Line, Nano, Settlement};
use crate::outcome::{Layer, Outcome};

/// All families of the sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    policy: String,
    requests: IntCounterVec,
    bypass: IntCounterVec,
    duration: HistogramVec,
    added: HistogramVec,
    lookup: HistogramVec,
    tokens: IntCounterVec,
    saved_tokens: IntCounterVec,
    cost_usd: CounterVec,
    saved_usd: CounterVec,
    overhead_usd: CounterVec,
    upstream: IntCounterVec,
    prompt_cache: IntCounterVec,
    followers: IntCounter,
    budget_exceeded: IntCounterVec,
    breaker_open: GaugeVec,
    snapshot_age: Gauge,
    regressions: IntCounter,
    dollars: Mutex<Dollars>,
}

/// The reasons for which one layer is bypassed, for the series that exist from the start.
pub type Bypasses<'a> = &'a [(&'static str, &'a [&'static str])];

/// A store that can be slow or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The shared result store.
    Redis,
}

/// From an in-process hit (target: half within 0.1 ms, 99 % within 0.3 ms) to the providers' ten-minute limit.
const DURATION_BUCKETS: [f64; 12] = [0.0001, 0.0003, 0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];
/// Around the targets: 0.1 and 0.2 ms for a pass-through and a hit, 2 ms for large bodies, 25 ms the store's budget.
const ADDED_BUCKETS: [f64; 11] = [
    0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1,
];
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
const NONE: &str = "none";

/// Sums behind the dollar counters.
#[derive(Debug, Default)]
struct Dollars {
    cost: BTreeMap<Arc<str>, Nano>,
    saved: BTreeMap<&'static str, Nano>,
    overhead: BTreeMap<(&'static str, &'static str), Nano>,
}

impl Metrics {
    /// Registers all families; `policy` is the label of this process's policy.
    pub fn new(policy: &str, bypasses: Bypasses<'_>) -> Result<Self, Error> {
        let registry = Registry::new_custom(Some(METRIC_PREFIX.to_owned()), None)?;
        let r = &registry;
        let metrics = Self {
            policy: policy.to_owned(),
            requests: counts(
                r,
                "requests_total",
                "accepted requests",
                &["outcome", "layer", "endpoint", "tier", "policy"],
            )?,
            bypass: counts(
                r,
                "bypass_total",
                "requests a layer did not act on, by reason",
                &["layer", "reason"],
            )?,
            duration: times(
                r,
                "request_duration_seconds",
                "first request byte to last answer byte",
                &["outcome", "layer", "stream"],
                &DURATION_BUCKETS,
            )?,
            added: times(
                r,
                "added_seconds",
                "time added to the upstream's",
                &["outcome"],
                &ADDED_BUCKETS,
            )?,
            lookup: times(r, "lookup_seconds", "time of one lookup", &["layer"], &ADDED_BUCKETS)?,
            tokens: counts(
                r,
                "tokens_total",
                "tokens billed; input includes cached",
                &["kind", "model"],
            )?,
            saved_tokens: counts(
                r,
                "saved_tokens_total",
                "prompt tokens not sent, or read for our marks",
                &["layer"],
            )?,
            cost_usd: dollars(r, "cost_usd_total", "dollars paid to providers", &["model"])?,
            saved_usd: dollars(r, "saved_usd_total", "dollars saved, gross", &["layer"])?,
            overhead_usd: dollars(r, "overhead_usd_total", "dollars a layer cost", &["layer", "kind"])?,
            upstream: counts(
                r,
                "upstream_requests_total",
                "requests sent to providers",
                &["model", "status"],
            )?,
            prompt_cache: counts(
                r,
                "prompt_cache_requests_total",
                "answers by use of the prompt cache",
                &["result"],
            )?,
            followers: register(
                r,
                IntCounter::new("singleflight_followers_total", "requests answered by another's call"),
            )?,
            budget_exceeded: counts(
                r,
                "store_budget_exceeded_total",
                "requests that left a slow store",
                &["store"],
            )?,
            breaker_open: register(
                r,
                GaugeVec::new(
                    Opts::new("store_breaker_open", "1 while a store is avoided"),
                    &["store"],
                ),
            )?,
            snapshot_age: register(r, Gauge::new("snapshot_age_seconds", "age of the policy in force"))?,
            regressions: register(
                r,
                IntCounter::new("generation_regressions_total", "older policies applied after a restore"),
            )?,
            dollars: Mutex::default(),
            registry,
        };
        metrics.start_at_zero(bypasses);
        Ok(metrics)
    }

    /// One layer did not act on a request.
    pub fn bypass(&self, layer: &'static str, reason: &'static str) {
        self.bypass.with_label_values(&[layer, reason]).inc();
    }

    /// One lookup of a layer ended.
    pub fn lookup(&self, layer: Layer, took: Duration) {
        self.lookup
            .with_label_values(&[layer.word()])
            .observe(took.as_secs_f64());
    }

    /// One request was sent to a provider; `model` is a label, `status` absent when no response came.
    pub fn upstream(&self, model: &str, status: Option<u16>) {
        let status = match status {
            None => "unreachable",
            Some(status) => STATUSES
                .iter()
                .find(|(code, _)| *code == status)
                .map_or("other", |(_, word)| word),
        };
        self.upstream.with_label_values(&[model, status]).inc();
    }

    /// One request is answered by an identical one's call.
    pub fn follower(&self) {
        self.followers.inc();
    }

    /// One request went on without a store that was too slow.
    pub fn budget_exceeded(&self, store: Store) {
        self.budget_exceeded.with_label_values(&[store.word()]).inc();
    }

    /// A store is avoided from now on, or no more.
    pub fn breaker(&self, store: Store, is_open: bool) {
        self.breaker_open
            .with_label_values(&[store.word()])
            .set(if is_open { 1.0 } else { 0.0 });
    }

    /// Age of the policy in force.
    pub fn snapshot_age(&self, age: Duration) {
        self.snapshot_age.set(age.as_secs_f64());
    }

    /// An older generation of a policy was applied.
    pub fn regression(&self) {
        self.regressions.inc();
    }

    /// The text exposition format.
    pub fn render(&self) -> Result<String, Error> {
        let dollars = self.dollars.lock();
        for (model, nano) in &dollars.cost {
            set(&self.cost_usd, &[model], *nano);
        }
        for (layer, nano) in &dollars.saved {
            set(&self.saved_usd, &[layer], *nano);
        }
        for ((layer, kind), nano) in &dollars.overhead {
            set(&self.overhead_usd, &[layer, kind], *nano);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Counts one request; only the account calls it, once per request.
    pub(crate) fn record(
        &self,
        endpoint: Option<Endpoint>,
        model: &Arc<str>,
        line: &Line,
        delivery: Option<&Delivery>,
    ) {
        let outcome = line.outcome.word();
        let layer = line.layer.map_or(NONE, Layer::word);
        let endpoint = endpoint.map_or("other", Endpoint::name);
        let tier = delivery.and_then(|delivery| delivery.tier.as_deref()).unwrap_or(NONE);
        self.requests
            .with_label_values(&[outcome, layer, endpoint, tier, self.policy.as_str()])
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
        self.settled(model, &line.settlement);
    }

    fn settled(&self, model: &Arc<str>, settlement: &Settlement) {
        let Settlement {
            billed, answer, saved, ..
        } = settlement;
        if settlement.is_upstream && billed.input > 0 {
            self.billed(model, billed);
        }
        self.saved_tokens
            .with_label_values(&["prompt_cache"])
            .inc_by(settlement.reads_gained);
        if !settlement.is_upstream {
            self.saved_tokens
                .with_label_values(&["result_cache"])
                .inc_by(answer.input);
        }
        let mut dollars = self.dollars.lock();
        if settlement.is_upstream && (billed.input > 0 || settlement.actual != Nano::ZERO) {
            *dollars.cost.entry(Arc::clone(model)).or_default() += settlement.actual;
        }
        dollars.saved("routing", saved.routing);
        dollars.saved("result_cache", saved.result_cache);
        dollars.saved("prompt_cache", saved.prompt_cache);
        *dollars.overhead.entry(("prompt_cache", "write_premium")).or_default() += settlement.write_premium;
    }

    fn billed(&self, model: &Arc<str>, usage: &Usage) {
        let kinds = [
            ("input", usage.input),
            ("cache_read", usage.cache_read),
            ("cache_write", usage.cache_write()),
            ("output", usage.output),
        ];
        for (kind, tokens) in kinds {
            self.tokens.with_label_values(&[kind, &**model]).inc_by(tokens);
        }
        let result = match (usage.cache_read, usage.cache_write()) {
            (0, 0) => NONE,
            (0, _) => "write",
            _ => "read",
        };
        self.prompt_cache.with_label_values(&[result]).inc();
    }

    fn start_at_zero(&self, bypasses: Bypasses<'_>) {
        for (layer, reasons) in bypasses {
            for reason in *reasons {
                self.bypass.with_label_values(&[*layer, *reason]);
            }
        }
        for (outcome, layer) in [
            (Outcome::Hit, Layer::ResultCache.word()),
            (Outcome::Miss, NONE),
            (Outcome::Bypass, NONE),
        ] {
            self.added.with_label_values(&[outcome.word()]);
            for stream in ["false", "true"] {
                self.duration.with_label_values(&[outcome.word(), layer, stream]);
            }
        }
        self.lookup.with_label_values(&[Layer::ResultCache.word()]);
        for result in [NONE, "read", "write"] {
            self.prompt_cache.with_label_values(&[result]);
        }
        self.budget_exceeded.with_label_values(&[Store::Redis.word()]);
        self.breaker_open.with_label_values(&[Store::Redis.word()]);
        let mut dollars = self.dollars.lock();
        for layer in ["routing", "result_cache", "prompt_cache"] {
            dollars.saved.insert(layer, Nano::ZERO);
            dollars.overhead.insert((layer, "loss"), Nano::ZERO);
        }
        for layer in ["result_cache", "prompt_cache"] {
            self.saved_tokens.with_label_values(&[layer]);
        }
        dollars.overhead.insert(("prompt_cache", "write_premium"), Nano::ZERO);
    }
}

impl Store {
    /// The word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Redis => "redis",
        }
    }
}

impl Dollars {
    /// A counter cannot fall: what a layer lost on a request counts as its overhead.
    fn saved(&mut self, layer: &'static str, saved: Nano) {
        if saved >= Nano::ZERO {
            *self.saved.entry(layer).or_default() += saved;
        } else {
            *self.overhead.entry((layer, "loss")).or_default() += -saved;
        }
    }
}

fn set(counters: &CounterVec, labels: &[&str], nano: Nano) {
    let counter = counters.with_label_values(labels);
    counter.reset();
    counter.inc_by(nano.dollars());
}

fn counts(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn dollars(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, Error> {
    register(registry, CounterVec::new(Opts::new(name, help), labels))
}

fn times(registry: &Registry, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec, Error> {
    register(
        registry,
        HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels),
    )
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, family: Result<C, Error>) -> Result<C, Error> {
    let family = family?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

#[cfg(test)]
mod tests;
