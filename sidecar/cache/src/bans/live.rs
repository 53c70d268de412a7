//! One ban in force: when it holds and how two become one.

use super::{Ban, pattern};
use crate::entry::Entry;

/// A ban with its place in the order of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    /// Kills only entries of a lower epoch.
    pub(crate) epoch: u64,
    /// Unix milliseconds at which it was issued.
    pub(crate) at_ms: u64,
    pattern: Option<String>,
    model: Option<String>,
    class: Option<String>,
    /// Unix milliseconds; kills only entries not younger.
    cutoff_ms: Option<u64>,
}

impl Live {
    pub(super) fn new(ban: &Ban, epoch: u64, now_ms: u64) -> Self {
        let millis = |age: std::time::Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Self {
            epoch,
            at_ms: now_ms,
            pattern: ban.pattern.clone(),
            model: ban.model.clone(),
            class: ban.class.clone(),
            cutoff_ms: ban.older_than.map(|age| now_ms.saturating_sub(millis(age))),
        }
    }

    /// Whether every condition holds, the order of epochs aside.
    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        self.cutoff_ms.is_none_or(|cutoff| entry.stored_at_ms <= cutoff)
            && self.class.as_ref().is_none_or(|class| *class == entry.class)
            && self.model.as_ref().is_none_or(|glob| pattern::glob(glob, &entry.model))
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern::tags(pattern, &entry.tags))
    }

    /// One ban that kills at least what `self` and the newer `next` kill.
    pub(super) fn merge(self, next: Self) -> Self {
        Self {
            epoch: self.epoch.max(next.epoch),
            at_ms: self.at_ms.max(next.at_ms),
            pattern: both(self.pattern, next.pattern).map(|(a, b)| pattern::widen(a, &b)),
            model: both(self.model, next.model).map(|(a, b)| pattern::widen(a, &b)),
            class: both(self.class, next.class).filter(|(a, b)| a == b).map(|(a, _)| a),
            cutoff_ms: both(self.cutoff_ms, next.cutoff_ms).map(|(a, b)| a.max(b)),
        }
    }
}

// A condition that only one of two bans has cannot bind their union.
fn both<T>(a: Option<T>, b: Option<T>) -> Option<(T, T)> {
    a.zip(b)
}
