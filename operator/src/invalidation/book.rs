//! The bans that each namespace's sidecars are sent. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use llmcache_crds::LLMCacheInvalidation;
use llmcache_crds::invalidation::{Layer, condition, reason};
use llmcache_policy::push::Ban;

use super::condition::{created, find, true_since};
use super::judge::reach;
use crate::facts::Key;
use crate::index::Index;

/// Most bans that a namespace's sidecars are sent, the newest.
pub const MAX_BANS: usize = 256;
/// Time for which a complete ban is still sent, milliseconds: a sidecar that was cut off for less learns of it. As long as
/// answers live by default, for one that is cut off serves what its process keeps.
pub(super) const AFTERGLOW_MS: i64 = 168 * 3_600_000;

/// Bans by namespace, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BanBook(BTreeMap<String, Vec<Ban>>);

impl BanBook {
    /// The bans of all objects that are not known to be complete, or were completed lately.
    pub fn of(index: &Index, now_ms: i64) -> Self {
        let mut objects: BTreeMap<&str, Vec<(&Key, &LLMCacheInvalidation)>> = BTreeMap::new();
        for (key, object) in &index.invalidations {
            if is_sent(object, now_ms) && reach(object, &key.namespace, index).is_ok() {
                objects.entry(&key.namespace).or_default().push((key, object));
            }
        }
        let bans = objects.into_iter().map(|(namespace, mut objects)| {
            objects.sort_by_key(|(key, object)| (Reverse(created(object)), *key));
            objects.truncate(MAX_BANS);
            let bans = objects.into_iter().rev().map(|(_, object)| ban(object)).collect();
            (namespace.to_owned(), bans)
        });
        Self(bans.collect())
    }

    /// The bans for the sidecars of a namespace, at most [`MAX_BANS`].
    pub fn for_namespace(&self, namespace: &str) -> &[Ban] {
        self.0.get(namespace).map_or(&[], Vec::as_slice)
    }
}

/// A ban that found no sidecar has not reached the shared store either, so that the next sidecar is to obey it.
fn is_sent(object: &LLMCacheInvalidation, now_ms: i64) -> bool {
    let Some(since_ms) = true_since(object, condition::COMPLETE) else {
        return true;
    };
    let found_nobody = find(object, condition::COMPLETE).is_some_and(|complete| complete.reason == reason::NO_SIDECARS);
    found_nobody || now_ms - since_ms < AFTERGLOW_MS
}

/// The ban that an object is.
pub(super) fn ban(object: &LLMCacheInvalidation) -> Ban {
    let spec = &object.spec;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let older_than = spec.older_than.as_deref().and_then(llmcache_policy::duration::parse);
    let layer = match spec.layer {
        None | Some(Layer::All) => "All",
        Some(Layer::ResultCache) => "ResultCache",
        Some(Layer::SemanticCache) => "SemanticCache",
    };
    Ban {
        id: object.metadata.uid.clone().unwrap_or_default(),
        policy: text(&spec.policy),
        pattern: text(&spec.pattern),
        model: text(&spec.model),
        class: text(&spec.class),
        older_than_ms: older_than.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        layer: layer.into(),
        dry_run: spec.dry_run.unwrap_or_default(),
        name: text(&spec.name),
    }
}
