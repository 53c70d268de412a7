//! The conditions of a ban in force: when they hold, how two bans become one, and their form in a log.

use serde::{Deserialize, Serialize};

use super::{Ban, pattern};
use crate::entry::{Entry, Layer};

/// What a ban kills, its place in the order of bans aside.
///
/// In a log it is JSON, and a member that a reader does not know is a condition it does not check: an older version
/// kills more than a newer one means, never less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Live {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// Unix milliseconds; kills only entries not younger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cutoff_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<Layer>,
    /// What its issuer calls it, so that the many who were told of one ban bring it once; no condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
}

impl Live {
    pub(crate) fn new(ban: &Ban, now_ms: u64) -> Self {
        let millis = |age: std::time::Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Self {
            pattern: ban.pattern.clone(),
            model: ban.model.clone(),
            class: ban.class.clone(),
            cutoff_ms: ban.older_than.map(|age| now_ms.saturating_sub(millis(age))),
            layer: ban.layer,
            id: None,
        }
    }

    /// Whether every condition holds.
    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        self.cutoff_ms.is_none_or(|cutoff| entry.stored_at_ms <= cutoff)
            && self.layer.is_none_or(|layer| layer == entry.layer)
            && self.class.as_ref().is_none_or(|class| *class == entry.class)
            && self.model.as_ref().is_none_or(|glob| pattern::glob(glob, &entry.model))
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern::tags(pattern, &entry.tags))
    }

    /// One ban that kills at least what `self` and the newer `next` kill.
    pub(crate) fn merge(self, next: Self) -> Self {
        Self {
            pattern: both(self.pattern, next.pattern).map(|(a, b)| pattern::widen(a, &b)),
            model: both(self.model, next.model).map(|(a, b)| pattern::widen(a, &b)),
            class: both(self.class, next.class).filter(|(a, b)| a == b).map(|(a, _)| a),
            cutoff_ms: both(self.cutoff_ms, next.cutoff_ms).map(|(a, b)| a.max(b)),
            layer: both(self.layer, next.layer).filter(|(a, b)| a == b).map(|(a, _)| a),
            id: None,
        }
    }
}

// A condition that only one of two bans has cannot bind their union.
fn both<T>(a: Option<T>, b: Option<T>) -> Option<(T, T)> {
    a.zip(b)
}
