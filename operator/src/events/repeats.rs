//! What was said lately. Pure.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::Notice;

/// Time in which the same is not said again, milliseconds.
const SPAN_MS: i64 = 600_000;
/// Most notices that are remembered; what is said while so many are is dropped.
pub(super) const MAX: usize = 8_192;

/// Notices by their hash, each with when it was said.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<u64, i64>);

impl Repeats {
    /// Whether a notice is to be said now, which is then remembered.
    pub(super) fn admit(&mut self, notice: &Notice, now_ms: i64) -> bool {
        if self.0.len() >= MAX {
            self.0.retain(|_, said_ms| now_ms - *said_ms < SPAN_MS);
        }
        let hash = hash(notice);
        let is_known = self.0.get(&hash).is_some_and(|said_ms| now_ms - said_ms < SPAN_MS);
        if is_known || self.0.len() >= MAX {
            return false;
        }
        self.0.insert(hash, now_ms);
        true
    }

    /// As if a notice had not been said.
    pub(super) fn forget(&mut self, notice: &Notice) {
        self.0.remove(&hash(notice));
    }
}

fn hash(notice: &Notice) -> u64 {
    let mut hasher = DefaultHasher::new();
    let about = &notice.regarding;
    // A bare pod that is being created has no uid yet.
    (&about.namespace, &about.kind, &about.name, &about.uid).hash(&mut hasher);
    (notice.reason, &notice.message).hash(&mut hasher);
    hasher.finish()
}
