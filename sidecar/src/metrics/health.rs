//! Stores and the policy in force.

use prometheus::{Error, Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use super::Store;
use super::family::{counts, register};

#[derive(Debug)]
pub(super) struct Health {
    pub(super) budget_exceeded: IntCounterVec,
    pub(super) breaker_open: GaugeVec,
    pub(super) snapshot_age: Gauge,
    pub(super) regressions: IntCounter,
}

impl Health {
    pub(super) fn register(r: &Registry) -> Result<Self, Error> {
        let breaker = GaugeVec::new(
            Opts::new("store_breaker_open", "1 while a store is avoided"),
            &["store"],
        );
        let regressions = IntCounter::new("generation_regressions_total", "older policies applied after a restore");
        let exceeded = "requests that went on without a slow store";
        let health = Self {
            budget_exceeded: counts(r, "store_budget_exceeded_total", exceeded, &["store"])?,
            breaker_open: register(r, breaker)?,
            snapshot_age: register(r, Gauge::new("snapshot_age_seconds", "age of the policy in force"))?,
            regressions: register(r, regressions)?,
        };
        health.budget_exceeded.with_label_values(&[Store::Redis.word()]);
        health.breaker_open.with_label_values(&[Store::Redis.word()]);
        Ok(health)
    }
}
