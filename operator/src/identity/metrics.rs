//! How reviews end.

use prometheus::{Error, IntCounterVec, Opts, Registry};

use super::{Failure, Identity};

/// The metrics of token reviews.
#[derive(Debug, Clone)]
pub struct Metrics {
    reviews: IntCounterVec,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let opts = Opts::new(
            "llmcache_operator_token_reviews_total",
            "answers to callers who showed a token: accepted, refused or unavailable by the API server; cached; shed",
        );
        let reviews = IntCounterVec::new(opts, &["result"])?;
        registry.register(Box::new(reviews.clone()))?;
        Ok(Self { reviews })
    }

    pub(super) fn count(&self, outcome: &Result<Identity, Failure>) {
        self.count_as(match outcome {
            Ok(_) => "accepted",
            Err(Failure::Refused(_)) => "refused",
            Err(Failure::Shed) => "shed",
            Err(Failure::Unavailable(_)) => "unavailable",
        });
    }

    pub(super) fn count_cached(&self) {
        self.count_as("cached");
    }

    fn count_as(&self, result: &str) {
        self.reviews.with_label_values(&[result]).inc();
    }

    #[cfg(test)]
    pub(super) fn of(&self, result: &str) -> u64 {
        self.reviews.with_label_values(&[result]).get()
    }
}
