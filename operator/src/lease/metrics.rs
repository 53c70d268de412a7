//! Who leads, as numbers.

use prometheus::{Error, IntCounter, IntGauge, Registry};

/// The election's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(super) is_leader: IntGauge,
    pub(super) transitions: IntCounter,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let is_leader = IntGauge::new("llmcache_operator_is_leader", "1 while this replica leads")?;
        let transitions = IntCounter::new(
            "llmcache_operator_lease_transitions_total",
            "times this replica began or ceased to lead",
        )?;
        registry.register(Box::new(is_leader.clone()))?;
        registry.register(Box::new(transitions.clone()))?;
        Ok(Self { is_leader, transitions })
    }
}
