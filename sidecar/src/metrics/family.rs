//! One-line registration of a family.

use prometheus::core::Collector;
use prometheus::{CounterVec, Error, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

pub(super) fn counts(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

pub(super) fn dollars(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, Error> {
    register(registry, CounterVec::new(Opts::new(name, help), labels))
}

pub(super) fn seconds(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, Error> {
    register(
        registry,
        HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels),
    )
}

pub(super) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: Result<C, Error>,
) -> Result<C, Error> {
    let family = family?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
