//! Every metric family of the sidecar in one registry; label sets are closed words, never a client's text.
//!
//! Families without model, tier or policy exist from the start: with three outcomes, one caching layer and forty bypass
//! reasons they are about 200 series, at most 300.

use std::sync::Arc;
use std::time::Duration;

use llmcache_cache::budget::StoreStats;
use llmcache_policy::names::METRIC_PREFIX;
use llmcache_provider::Endpoint;
use llmcache_semantic::embedding::Embedder;
use llmcache_semantic::evidence::{Source, Summary};
use llmcache_semantic::guards::Guard;
use prometheus::{Error, Registry, TextEncoder};

use crate::account::{Delivery, Line, Settlement};
use crate::outcome::Layer;

mod family;
mod health;
mod semantic;
mod spend;
mod traffic;

pub use semantic::Candidate;

use health::Health;
use semantic::Semantic;
use spend::Spend;
use traffic::Traffic;

/// All families of the sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    traffic: Traffic,
    spend: Spend,
    health: Health,
    semantic: Semantic,
}

/// The reasons for which one layer is bypassed, for the series that exist from the start.
pub type Bypasses<'a> = &'a [(&'static str, &'a [&'static str])];

/// A store that can be slow or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The shared result store.
    Redis,
    /// The shared index of the semantic cache.
    Qdrant,
}

/// Label where a layer or tier does not apply.
const NONE: &str = "none";

impl Metrics {
    /// Registers all families.
    pub fn new(bypasses: Bypasses<'_>) -> Result<Self, Error> {
        let registry = Registry::new_custom(Some(METRIC_PREFIX.to_owned()), None)?;
        Ok(Self {
            traffic: Traffic::register(&registry, bypasses)?,
            spend: Spend::register(&registry)?,
            health: Health::register(&registry)?,
            semantic: Semantic::register(&registry)?,
            registry,
        })
    }

    /// One layer did not act on a request.
    pub fn bypass(&self, layer: &'static str, reason: &'static str) {
        self.traffic.bypass.with_label_values(&[layer, reason]).inc();
    }

    /// One lookup of a layer ended.
    pub fn lookup(&self, layer: Layer, took: Duration) {
        self.traffic
            .lookup
            .with_label_values(&[layer.word()])
            .observe(took.as_secs_f64());
    }

    /// One request was sent to a provider; `model` is a label, `status` absent when no response came.
    pub fn upstream(&self, model: &str, status: Option<u16>) {
        self.traffic.upstream(model, status);
    }

    /// One request is answered by an identical one's call.
    pub fn follower(&self) {
        self.traffic.followers.inc();
    }

    /// State of a store, by its counters so far.
    pub fn store(&self, store: Store, stats: &StoreStats) {
        self.health.store(store.word(), stats);
    }

    /// Another policy is in force: its name (empty = none) is the label of what is counted from now on.
    pub fn policy(&self, name: &str, revision: &str) {
        let name = self.traffic.policy(name);
        self.health.policy(&name, revision);
    }

    /// Whether an operator is connected.
    pub fn push_connected(&self, is_connected: bool) {
        self.health.push_connected.set(if is_connected { 1.0 } else { 0.0 });
    }

    /// A snapshot was refused.
    pub fn rejection(&self) {
        self.health.rejections.inc();
    }

    /// Time since the policy in force was applied, or confirmed by an operator.
    pub fn snapshot_age(&self, age: Duration) {
        self.health.snapshot_age.set(age.as_secs_f64());
    }

    /// An older generation of a policy was applied.
    pub fn regression(&self) {
        self.health.regressions.inc();
    }

    /// What became of a request's nearest stored answer.
    pub fn candidate(&self, candidate: Candidate) {
        self.semantic.candidate(candidate);
    }

    /// A guard was against a candidate.
    pub fn veto(&self, guard: Guard) {
        self.semantic.veto(guard);
    }

    /// A pair was labelled.
    pub fn label(&self, source: Source, is_wrong: bool) {
        self.semantic.label(source, is_wrong);
    }

    /// The evidence opened a class.
    pub fn opening(&self, class: &str) {
        self.semantic.openings.with_label_values(&[class]).inc();
    }

    /// The evidence closed a class.
    pub fn closing(&self, class: &str) {
        self.semantic.closings.with_label_values(&[class]).inc();
    }

    /// An entry ended because its answer was wrong.
    pub fn killed(&self) {
        self.semantic.killed.inc();
    }

    /// Questions with a stored answer.
    pub fn neighbours(&self, count: usize) {
        // A gauge counts in floating point; the bound is far below where that is exact.
        self.semantic
            .entries
            .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }

    /// How the evidence of a class stands.
    pub fn evidence(&self, class: &str, summary: &Summary) {
        self.semantic.evidence(class, summary);
    }

    /// No policy has the semantic cache any more.
    pub fn forget_classes(&self) {
        self.semantic.forget();
    }

    /// How the embedder is.
    pub fn embedder(&self, embedder: &Embedder) {
        self.semantic.embedder(embedder);
    }

    /// The text exposition format.
    pub fn render(&self) -> Result<String, Error> {
        // Held until all is gathered: dollar counters are set anew for each reading.
        let _dollars = self.spend.publish();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Counts what a call of ours cost that is no request.
    pub(crate) fn spent(&self, model: &Arc<str>, settlement: &Settlement) {
        self.spend.record(model, settlement);
    }

    /// Counts one request; only the account calls it, once per request.
    pub(crate) fn record(
        &self,
        endpoint: Option<Endpoint>,
        model: &Arc<str>,
        line: &Line,
        delivery: Option<&Delivery>,
    ) {
        self.traffic.record(endpoint, line, delivery);
        self.spend.record(model, &line.settlement);
        self.spend.answered(&line.settlement.billed);
    }
}

impl Store {
    /// The word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Qdrant => "qdrant",
        }
    }
}

#[cfg(test)]
mod tests;
