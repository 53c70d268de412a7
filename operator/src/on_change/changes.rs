//! Which watched ConfigMaps changed since their policy's status was written. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use llmcache_crds::invalidation::{LLMCacheInvalidationSpec, condition};
use llmcache_crds::policy::Invalidation;
use llmcache_crds::status::InvalidationState;
use llmcache_crds::{LLMCacheInvalidation, LLMCachePolicy};
use sha2::{Digest as _, Sha256};

use crate::facts::Key;
use crate::index::Index;
use crate::invalidation::{LABEL_ON_CHANGE, label_of};

/// Least time between two invalidations of one entry, milliseconds: a ConfigMap that is written all the time must not
/// fill the API server.
const SPACING_MS: i64 = 5_000;
/// Longest time that a change waits for the invalidation before it to be complete, milliseconds.
const PATIENCE_MS: i64 = 60_000;
/// Longest name of an object.
const MAX_NAME: usize = 253;

/// One invalidation to create.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// It.
    pub object: LLMCacheInvalidation,
    /// The ConfigMap that changed.
    pub config_map: String,
    /// Its version now.
    pub resource_version: String,
}

/// What one entry of a policy watches.
struct Watched<'a> {
    entry: &'a Invalidation,
    config_map: &'a str,
    /// As recorded in the policy's status.
    recorded: Option<&'a str>,
    /// As it is; none = there is no such ConfigMap, or it is not watched.
    now: Option<&'a str>,
}

/// The invalidations to create now, of every policy.
pub fn firings(index: &Index, now_ms: i64) -> Vec<Firing> {
    let mut firings = Vec::new();
    for (key, policy) in &index.policies {
        for watched in watched(policy, index) {
            let Some(version) = watched.changed() else { continue };
            let firing = Firing {
                object: object(key, policy, watched.entry, version),
                config_map: watched.config_map.into(),
                resource_version: version.into(),
            };
            let is_there = index.invalidations.contains_key(&Key::of(&firing.object.metadata));
            if !is_there && !is_held(key, watched.entry, index, now_ms) {
                firings.push(firing);
            }
        }
    }
    firings
}

/// What the policy's status is to record of its watched objects: a change only once its invalidation exists.
pub fn seen(policy: &LLMCachePolicy, index: &Index) -> Vec<InvalidationState> {
    let key = Key::of(&policy.metadata);
    let states = watched(policy, index).filter_map(|watched| {
        let is_fired = |version: &str| {
            let object = object(&key, policy, watched.entry, version);
            index.invalidations.contains_key(&Key::of(&object.metadata))
        };
        let version = match watched.changed() {
            Some(version) if is_fired(version) => Some(version),
            // Without a ConfigMap the last version stays, so that one which comes back fires.
            _ => watched.recorded.or(watched.now),
        };
        Some(InvalidationState {
            name: watched.entry.name.clone(),
            resource_version: version?.into(),
        })
    });
    states.collect()
}

/// What to say of a policy that watches ConfigMaps which this install does not, if it does.
pub fn unwatched(policy: &LLMCachePolicy, index: &Index) -> Option<String> {
    let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
    let entries = policy.spec.invalidation.iter().flatten().enumerate();
    let mut watching = entries.filter(|(_, entry)| entry.on_change.is_some());
    let (at, _) = watching.next().filter(|_| !index.watches_config_maps(namespace))?;
    Some(format!(
        "spec.invalidation[{at}].onChange.configMap: the ConfigMaps of namespace {namespace} are not watched, so that no \
         change is seen; fix: add {namespace} to the chart value invalidation.watchNamespaces"
    ))
}

fn watched<'a>(policy: &'a LLMCachePolicy, index: &'a Index) -> impl Iterator<Item = Watched<'a>> {
    let namespace = policy.metadata.namespace.clone().unwrap_or_default();
    let states = policy.status.as_ref().map_or(&[][..], |status| &status.invalidations);
    let recorded: BTreeMap<&str, &str> = states
        .iter()
        .map(|state| (state.name.as_str(), state.resource_version.as_str()))
        .collect();
    let entries = policy.spec.invalidation.iter().flatten();
    entries.filter_map(move |entry| {
        let config_map = entry.on_change.as_ref()?.config_map.as_str();
        let found = index.config_map(&Key {
            namespace: namespace.clone(),
            name: config_map.into(),
        });
        Some(Watched {
            entry,
            config_map,
            recorded: recorded.get(entry.name.as_str()).copied(),
            now: found.map(|found| found.resource_version.as_str()),
        })
    })
}

impl<'a> Watched<'a> {
    /// The version that is not recorded yet; a first sight is no change.
    fn changed(&self) -> Option<&'a str> {
        self.now
            .filter(|now| self.recorded.is_some_and(|recorded| recorded != *now))
    }
}

/// Whether an earlier invalidation of the entry is too young or on its way: one for the newest version follows it.
fn is_held(policy: &Key, entry: &Invalidation, index: &Index, now_ms: i64) -> bool {
    let own = index.invalidations.iter().filter(|(key, object)| {
        let labels = object.metadata.labels.as_ref();
        let label = labels.and_then(|labels| labels.get(LABEL_ON_CHANGE));
        key.namespace == policy.namespace
            && label.is_some_and(|label| label == label_of(&policy.name))
            && key.name.starts_with(&stem(&policy.name, &entry.name))
    });
    let mut own = own.map(|(_, object)| object);
    own.any(|object| {
        let created = object.metadata.creation_timestamp.as_ref();
        let age_ms = now_ms - created.map_or(0, |time| time.0.as_millisecond());
        age_ms < SPACING_MS || (age_ms < PATIENCE_MS && !is_complete(object))
    })
}

fn is_complete(object: &Arc<LLMCacheInvalidation>) -> bool {
    let conditions = object.status.as_ref().map(|status| &status.conditions);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|known| known.type_ == condition::COMPLETE && known.status == "True")
}

/// The invalidation for one version of the ConfigMap that an entry watches.
fn object(key: &Key, policy: &LLMCachePolicy, entry: &Invalidation, version: &str) -> LLMCacheInvalidation {
    let uid = policy.metadata.uid.clone().unwrap_or_default();
    let hash = Sha256::digest(format!("{uid}/{}/{version}", entry.name));
    let name = format!("{}{}", stem(&key.name, &entry.name), hex::encode(&hash[..5]));
    let spec = LLMCacheInvalidationSpec {
        policy: Some(key.name.clone()),
        pattern: Some(entry.pattern.clone()),
        ..LLMCacheInvalidationSpec::default()
    };
    let mut object = LLMCacheInvalidation::new(&name, spec);
    object.metadata.namespace = Some(key.namespace.clone());
    object.metadata.labels = Some([(LABEL_ON_CHANGE.to_owned(), label_of(&key.name).to_owned())].into());
    object.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "llmcache.dev/v1alpha1".into(),
        kind: "LLMCachePolicy".into(),
        name: key.name.clone(),
        uid,
        ..OwnerReference::default()
    }]);
    object
}

/// How the names of an entry's invalidations begin; ten digits follow.
fn stem(policy: &str, entry: &str) -> String {
    let end = policy.len().min(MAX_NAME - 12 - entry.len().min(63));
    format!("{}-{entry}-", policy[..end].trim_end_matches(['.', '-']))
}
