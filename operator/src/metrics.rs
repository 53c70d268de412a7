//! The operator's own metric families; each part of it owns a few.

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Prefix of every family.
pub const PREFIX: &str = "llmcache_operator";

/// Families of the watches.
#[derive(Clone, Debug)]
pub struct Watching {
    restarts: IntCounterVec,
    malformed: IntCounterVec,
    ages: GaugeVec,
}

/// Families of the push server.
#[derive(Clone, Debug)]
pub struct Pushing {
    /// Sidecars connected to this replica.
    pub connections: IntGauge,
    /// Snapshots sent.
    pub snapshots: IntCounter,
    acks: IntCounterVec,
    rejected: IntCounterVec,
}

/// Families of the status writer.
#[derive(Clone, Debug)]
pub struct Reporting {
    sidecars: IntGaugeVec,
    policies: IntGaugeVec,
    writes: IntCounterVec,
    /// Seconds from a policy's plan to the last sidecar's ack.
    pub change_to_serving: Histogram,
}

impl Watching {
    /// Registers the families.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            restarts: counters(
                registry,
                "watch_restarts_total",
                "Watches begun again after an error.",
                "kind",
            )?,
            malformed: counters(
                registry,
                "malformed_objects_total",
                "Objects skipped because they cannot be read.",
                "kind",
            )?,
            ages: gauges(
                registry,
                "watch_progress_seconds",
                "Seconds since a watch last heard anything.",
                "kind",
            )?,
        })
    }

    /// Has the series of a kind from the start: a rate needs two samples.
    pub(crate) fn watched(&self, kind: &str) {
        self.restarts.with_label_values(&[kind]);
        self.malformed.with_label_values(&[kind]);
    }

    pub(crate) fn restarted(&self, kind: &str) {
        self.restarts.with_label_values(&[kind]).inc();
    }

    pub(crate) fn malformed(&self, kind: &str) {
        self.malformed.with_label_values(&[kind]).inc();
    }

    /// Sets the age of a watch.
    pub fn age(&self, kind: &str, seconds: f64) {
        self.ages.with_label_values(&[kind]).set(seconds);
    }
}

impl Pushing {
    /// Registers the families.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let acks = counters(registry, "push_acks_total", "Answers to snapshots.", "result")?;
        for result in ["ack", "nack"] {
            acks.with_label_values(&[result]);
        }
        let rejected = counters(registry, "push_rejected_total", "Connections refused.", "reason")?;
        for reason in ["busy", "full", "no_token", "not_operator", "refused", "unavailable"] {
            rejected.with_label_values(&[reason]);
        }
        Ok(Self {
            connections: int_gauge(registry, "push_connections", "Sidecars connected to this replica.")?,
            snapshots: counter(registry, "push_snapshots_total", "Snapshots sent.")?,
            acks,
            rejected,
        })
    }

    pub(crate) fn answered(&self, result: &str) {
        self.acks.with_label_values(&[result]).inc();
    }

    pub(crate) fn rejected(&self, reason: &str) {
        self.rejected.with_label_values(&[reason]).inc();
    }
}

impl Reporting {
    /// Registers the families.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let writes = counters(registry, "status_writes_total", "Status patches.", "result")?;
        for result in ["ok", "error"] {
            writes.with_label_values(&[result]);
        }
        let buckets = vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
        let name = format!("{PREFIX}_change_to_serving_seconds");
        let change_to_serving = Histogram::with_opts(
            HistogramOpts::new(name, "Seconds from a changed policy to its last sidecar's ack.").buckets(buckets),
        )?;
        registry.register(Box::new(change_to_serving.clone()))?;
        Ok(Self {
            sidecars: int_gauges(
                registry,
                "sidecars",
                "Sidecars by state, as the leader sees them.",
                "state",
            )?,
            policies: int_gauges(
                registry,
                "policies",
                "Policies by whether they are accepted.",
                "accepted",
            )?,
            writes,
            change_to_serving,
        })
    }

    /// Sets how many sidecars are in a state.
    pub fn sidecars(&self, state: &str, number: i64) {
        self.sidecars.with_label_values(&[state]).set(number);
    }

    /// Sets how many policies are accepted or not.
    pub fn policies(&self, accepted: &str, number: i64) {
        self.policies.with_label_values(&[accepted]).set(number);
    }

    /// Counts a status patch.
    pub fn wrote(&self, result: &str) {
        self.writes.with_label_values(&[result]).inc();
    }
}

/// The exposition of everything registered.
pub fn render(registry: &Registry) -> prometheus::Result<String> {
    TextEncoder::new().encode_to_string(&registry.gather())
}

/// A counter without labels.
pub fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::new(format!("{PREFIX}_{name}"), help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

/// Counters by one label.
pub fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(Opts::new(format!("{PREFIX}_{name}"), help), &[label])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

/// A gauge of whole numbers without labels.
pub fn int_gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let gauge = IntGauge::new(format!("{PREFIX}_{name}"), help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

/// Gauges of whole numbers by one label.
pub fn int_gauges(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(Opts::new(format!("{PREFIX}_{name}"), help), &[label])?;
    registry.register(Box::new(gauges.clone()))?;
    Ok(gauges)
}

/// Gauges by one label.
pub fn gauges(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<GaugeVec> {
    let gauges = GaugeVec::new(Opts::new(format!("{PREFIX}_{name}"), help), &[label])?;
    registry.register(Box::new(gauges.clone()))?;
    Ok(gauges)
}

/// Histograms of seconds by one label.
pub fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
    buckets: &[f64],
) -> prometheus::Result<HistogramVec> {
    let options = HistogramOpts::new(format!("{PREFIX}_{name}"), help).buckets(buckets.to_vec());
    let histograms = HistogramVec::new(options, &[label])?;
    registry.register(Box::new(histograms.clone()))?;
    Ok(histograms)
}
