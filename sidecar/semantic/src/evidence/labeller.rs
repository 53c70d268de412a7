//! How good the judge is, measured on pairs whose truth is known.

use serde::{Deserialize, Serialize};

use super::betting::{self, Tally};

/// Fewer repeats say nothing about noise.
const REPEATS: u32 = 30;

/// Counts of what the judge said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Labeller {
    /// Its labels in the evidence.
    pub(super) labels: u32,
    /// Identical requests asked again; "wrong" is its mistake.
    repeats: Tally,
    /// Wrong pairs; here "wrong" counts those it missed.
    missed: Tally,
    /// A bound on the share that it misses, in millionths.
    most_missed: u32,
}

impl Labeller {
    pub(super) fn repeat(&mut self, is_wrong: bool) {
        self.repeats.add(is_wrong);
    }

    pub(super) fn planted(&mut self, is_wrong: bool) {
        self.missed.add(!is_wrong);
        self.most_missed = betting::millionths(self.missed.most_wrong());
    }

    /// The rate of wrong *labels* to certify so that the rate of wrong answers keeps the budget: ε times a lower bound
    /// of the sensitivity. It holds for all labels once the judge gave one: who labels a pair may depend on the answer.
    pub(super) fn corrected(&self, budget: f64) -> f64 {
        if self.labels == 0 {
            budget
        } else if self.missed.labels == 0 {
            0.0
        } else {
            budget * (1.0 - f64::from(self.most_missed) / 1e6)
        }
    }

    /// It labels, and nothing is known of what it misses.
    pub(super) fn is_unmeasured(&self) -> bool {
        self.labels > 0 && self.missed.labels == 0
    }

    /// The share of right pairs that it calls wrong uses up the corrected budget.
    pub(super) fn is_too_noisy(&self, corrected: f64) -> bool {
        let Tally { labels, wrong } = self.repeats;
        self.labels > 0
            && !self.is_unmeasured()
            && labels >= REPEATS
            && f64::from(wrong) >= f64::from(labels) * corrected
    }
}
