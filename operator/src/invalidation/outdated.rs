//! Invalidations that a policy's `onChange` made and that are of no use any more. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use llmcache_crds::LLMCacheInvalidation;
use llmcache_crds::invalidation::{condition, reason};

use super::book::LONGEST_LIFE_MS;
use super::condition::{created, find, true_since};
use super::{LABEL_ON_CHANGE, is_own};
use crate::index::Index;

/// Time for which a complete one is kept to be looked at, milliseconds; the newest of each pattern is kept for as long
/// as it may matter.
const KEPT_MS: i64 = 24 * 3_600_000;
/// Most that are kept of one policy, however young the complete ones are.
const MAX_KEPT: usize = 128;

/// Those to delete; what people wrote is never among them.
pub fn outdated(index: &Index, now_ms: i64) -> Vec<Arc<LLMCacheInvalidation>> {
    let mut own: BTreeMap<(&str, &str), Vec<&Arc<LLMCacheInvalidation>>> = BTreeMap::new();
    for (key, object) in index.invalidations.iter().filter(|(_, object)| is_own(object)) {
        let labels = object.metadata.labels.as_ref();
        let policy = labels.and_then(|labels| labels.get(LABEL_ON_CHANGE));
        let policy = policy.map_or("", String::as_str);
        own.entry((&key.namespace, policy)).or_default().push(object);
    }
    let mut outdated = Vec::new();
    for objects in own.values_mut() {
        objects.sort_by_key(|object| Reverse(created(object)));
        let mut patterns = BTreeSet::new();
        for (place, object) in objects.iter().enumerate() {
            let is_newest = patterns.insert(&object.spec.pattern);
            let Some(since_ms) = ended_ms(object) else { continue };
            let kept_ms = if is_newest { LONGEST_LIFE_MS } else { KEPT_MS };
            if place >= MAX_KEPT || now_ms - since_ms >= kept_ms {
                outdated.push(Arc::clone(object));
            }
        }
    }
    outdated
}

/// When nothing was left to do: one that found no sidecar is still to be obeyed by the next.
fn ended_ms(object: &LLMCacheInvalidation) -> Option<i64> {
    let refused = find(object, condition::ACCEPTED).filter(|known| known.status == "False");
    if let Some(refused) = refused {
        return Some(refused.last_transition_time.0.as_millisecond());
    }
    let complete = find(object, condition::COMPLETE)?;
    let is_ended = complete.reason != reason::NO_SIDECARS;
    true_since(object, condition::COMPLETE).filter(|_| is_ended)
}
