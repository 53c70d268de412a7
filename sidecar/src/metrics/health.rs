//! Stores and the policy in force.

use std::sync::atomic::Ordering;

use llmcache_cache::budget::StoreStats;
use prometheus::{Error, Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use super::Store;
use super::family::{counts, register};

#[derive(Debug)]
pub(super) struct Health {
    budget_exceeded: IntCounterVec,
    breaker_open: GaugeVec,
    bad_entries: IntCounterVec,
    shed: IntCounterVec,
    pub(super) snapshot_age: Gauge,
    pub(super) regressions: IntCounter,
    pub(super) push_connected: Gauge,
    pub(super) rejections: IntCounter,
    policy_info: GaugeVec,
}

impl Health {
    pub(super) fn register(r: &Registry) -> Result<Self, Error> {
        let breaker = GaugeVec::new(
            Opts::new("store_breaker_open", "1 while a store is avoided"),
            &["store"],
        );
        let regressions = IntCounter::new("generation_regressions_total", "older policies applied after a restore");
        let rejections = IntCounter::new("snapshot_rejected_total", "snapshots that were refused");
        let connected = Gauge::new("push_connected", "1 while an operator is connected");
        let info = GaugeVec::new(Opts::new("policy_info", "the policy in force"), &["policy", "revision"]);
        let exceeded = "requests that went on without a slow store";
        let bad = "values that are not ours, or do not open";
        let shed = "writes dropped because a store was slow or away";
        let health = Self {
            budget_exceeded: counts(r, "store_budget_exceeded_total", exceeded, &["store"])?,
            bad_entries: counts(r, "store_bad_entries_total", bad, &["store"])?,
            shed: counts(r, "store_writes_shed_total", shed, &["store"])?,
            breaker_open: register(r, breaker)?,
            snapshot_age: register(
                r,
                Gauge::new(
                    "snapshot_age_seconds",
                    "time since the policy in force was applied or confirmed",
                ),
            )?,
            push_connected: register(r, connected)?,
            rejections: register(r, rejections)?,
            policy_info: register(r, info)?,
            regressions: register(r, regressions)?,
        };
        health.store(Store::Redis.word(), &StoreStats::default());
        Ok(health)
    }

    /// One series at a time: a dashboard joins it to the others of its pod.
    pub(super) fn policy(&self, policy: &str, revision: &str) {
        self.policy_info.reset();
        self.policy_info.with_label_values(&[policy, revision]).set(1.0);
    }

    pub(super) fn store(&self, store: &str, stats: &StoreStats) {
        for (family, sum) in [
            (&self.budget_exceeded, &stats.budget_exceeded),
            (&self.bad_entries, &stats.bad_entries),
            (&self.shed, &stats.shed),
        ] {
            let counter = family.with_label_values(&[store]);
            counter.inc_by(sum.load(Ordering::Relaxed).saturating_sub(counter.get()));
        }
        let is_open = stats.breaker_open.load(Ordering::Relaxed) > 0;
        let gauge = self.breaker_open.with_label_values(&[store]);
        gauge.set(if is_open { 1.0 } else { 0.0 });
    }
}
