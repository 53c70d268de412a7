//! Families of the webhook; every series exists from the start.

use prometheus::{Error, HistogramOpts, HistogramTimer, HistogramVec, IntCounterVec, Opts, Registry};

use super::review::Route;
use crate::inject::Reason;

const PREFIX: &str = "llmcache_operator_";
/// The webhook could not judge.
pub(super) const ERROR: &str = "error";
const RESULTS: [&str; 5] = ["already", "disabled", ERROR, "injected", "skipped"];
/// A verdict takes some 100 µs, our target for the slowest of a burst is 3 ms, and the API server waits 2 s.
const BUCKETS: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0,
];

/// What the webhook counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    injections: IntCounterVec,
    skips: IntCounterVec,
    duration: HistogramVec,
    errors: IntCounterVec,
}

impl Metrics {
    /// Registers all families.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let counts = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, Error> {
            let family = IntCounterVec::new(Opts::new(format!("{PREFIX}{name}"), help), &[label])?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let options = HistogramOpts::new(
            format!("{PREFIX}webhook_duration_seconds"),
            "Seconds from a review's head to its answer.",
        );
        let duration = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["path"])?;
        registry.register(Box::new(duration.clone()))?;
        let metrics = Self {
            injections: counts("injections_total", "Pods reviewed, by what happened to them.", "result")?,
            skips: counts(
                "injection_skips_total",
                "Pods that asked and could not be injected.",
                "reason",
            )?,
            duration,
            errors: counts("webhook_errors_total", "Reviews that could not be judged.", "path")?,
        };
        metrics.exist();
        Ok(metrics)
    }

    fn exist(&self) {
        for result in RESULTS {
            self.injections.with_label_values(&[result]);
        }
        for reason in Reason::ALL {
            self.skips.with_label_values(&[reason.word()]);
        }
        for route in Route::ALL {
            self.duration.with_label_values(&[route.path()]);
            self.errors.with_label_values(&[route.path()]);
        }
    }

    pub(super) fn injection(&self, result: &str) {
        self.injections.with_label_values(&[result]).inc();
    }

    pub(super) fn skip(&self, reason: Reason) {
        self.skips.with_label_values(&[reason.word()]).inc();
    }

    pub(super) fn error(&self, route: Route) {
        self.errors.with_label_values(&[route.path()]).inc();
    }

    pub(super) fn timer(&self, route: Route) -> HistogramTimer {
        self.duration.with_label_values(&[route.path()]).start_timer()
    }
}
