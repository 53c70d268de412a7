//! How long the certificates are still good.

use prometheus::{Error, GaugeVec, IntCounterVec, Opts, Registry};

/// The certificates' metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    expiry: GaugeVec,
    rejected: IntCounterVec,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let expiry = GaugeVec::new(
            Opts::new(
                "llmcache_operator_certificate_expiry_seconds",
                "seconds until a certificate in use expires; negative once it has",
            ),
            &["certificate"],
        )?;
        let rejected = IntCounterVec::new(
            Opts::new(
                "llmcache_operator_certificate_rejected_total",
                "contents of the certificates' Secret that were not put to use",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(expiry.clone()))?;
        registry.register(Box::new(rejected.clone()))?;
        Ok(Self { expiry, rejected })
    }

    pub(super) fn expire(&self, certificate: &str, seconds: f64) {
        self.expiry.with_label_values(&[certificate]).set(seconds);
    }

    pub(super) fn reject(&self, reason: &str) {
        self.rejected.with_label_values(&[reason]).inc();
    }
}
