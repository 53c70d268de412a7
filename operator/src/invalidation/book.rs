//! The bans that each namespace's sidecars are sent. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use llmcache_crds::LLMCacheInvalidation;
use llmcache_crds::invalidation::{Layer, condition, reason};
use llmcache_policy::push::Ban;

use super::condition::{created, find, true_since};
use super::judge::reach;
use crate::facts::Key;
use crate::index::Index;

/// Most bans that a namespace's sidecars are sent, the newest.
pub const MAX_BANS: usize = 256;
/// Longest life of any answer, milliseconds: the largest `maxAge`. For so long a complete ban is still sent, since a
/// sidecar that was away may hold what it forbids, and so may the store of a policy that nobody executed meanwhile.
pub(super) const LONGEST_LIFE_MS: i64 = 90 * 24 * 3_600_000;
/// Time for which a complete dry run is still sent, milliseconds.
const DRY_MS: i64 = 600_000;

/// Bans by namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BanBook(BTreeMap<String, Chapter>);

/// The bans of one namespace.
#[derive(Clone, Debug, Default, PartialEq)]
struct Chapter {
    /// In the order in which they were written.
    bans: Vec<Ban>,
    /// Names of those that are not known to be complete.
    awaited: BTreeSet<String>,
}

impl BanBook {
    /// The bans of all objects that are not known to be complete, or that may matter still.
    pub fn of(index: &Index, now_ms: i64) -> Self {
        let mut objects: BTreeMap<&str, Vec<(&Key, &LLMCacheInvalidation)>> = BTreeMap::new();
        for (key, object) in &index.invalidations {
            if is_sent(object, now_ms) && reach(object, &key.namespace, index).is_ok() {
                objects.entry(&key.namespace).or_default().push((key, object));
            }
        }
        let chapters = objects
            .into_iter()
            .map(|(namespace, objects)| (namespace.to_owned(), Chapter::of(objects)));
        Self(chapters.collect())
    }

    /// The bans for the sidecars of a namespace, at most [`MAX_BANS`].
    pub fn for_namespace(&self, namespace: &str) -> &[Ban] {
        self.0.get(namespace).map_or(&[], |chapter| &chapter.bans)
    }

    /// Names of those of them whose results matter still.
    pub fn awaited(&self, namespace: &str) -> BTreeSet<String> {
        self.0
            .get(namespace)
            .map(|chapter| chapter.awaited.clone())
            .unwrap_or_default()
    }
}

impl Chapter {
    /// What sidecars have yet to obey comes first; of the rest the newest, but none that a newer one repeats.
    fn of(mut objects: Vec<(&Key, &LLMCacheInvalidation)>) -> Self {
        objects.sort_by_key(|(key, object)| (!is_awaited(object), Reverse(created(object)), *key));
        let mut sent: Vec<(i64, &Key, Ban)> = Vec::new();
        let mut awaited = BTreeSet::new();
        for (key, object) in objects {
            let (ban, at_ms) = (ban(object), created(object));
            let is_repeated = |(known_ms, _, known): &(i64, &Key, Ban)| *known_ms > at_ms && is_same(known, &ban);
            if is_awaited(object) {
                awaited.insert(ban.id.clone());
            } else if sent.iter().any(is_repeated) {
                continue;
            }
            sent.push((at_ms, key, ban));
            if sent.len() == MAX_BANS {
                break;
            }
        }
        sent.sort_by_key(|(at_ms, key, _)| (*at_ms, Reverse(*key)));
        Self {
            bans: sent.into_iter().map(|(_, _, ban)| ban).collect(),
            awaited,
        }
    }
}

/// Whether two bans forbid the same.
fn is_same(one: &Ban, other: &Ban) -> bool {
    let nameless = |ban: &Ban| Ban {
        id: String::new(),
        ..ban.clone()
    };
    nameless(one) == nameless(other)
}

fn is_sent(object: &LLMCacheInvalidation, now_ms: i64) -> bool {
    let life_ms = match object.spec.dry_run {
        Some(true) => DRY_MS,
        _ => LONGEST_LIFE_MS,
    };
    let since_ms = true_since(object, condition::COMPLETE);
    is_awaited(object) || since_ms.is_some_and(|since_ms| now_ms - since_ms < life_ms)
}

/// A ban that found no sidecar has not reached the shared store either, so that the next sidecar is to obey it.
fn is_awaited(object: &LLMCacheInvalidation) -> bool {
    let complete = find(object, condition::COMPLETE).filter(|known| known.status == "True");
    complete.is_none_or(|known| known.reason == reason::NO_SIDECARS)
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
