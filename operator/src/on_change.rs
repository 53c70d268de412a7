//! Bans that run by themselves: when a ConfigMap that a policy watches changes, the leader writes an invalidation.
//!
//! Its name says which change it is for, so that one change fires once, whoever leads and however often they look. What
//! was seen is recorded in the policy's status, and only once the invalidation exists.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::PostParams;
use kube::{Api, Client};
use llmcache_crds::{LLMCacheInvalidation, LLMCachePolicy};
use tokio::time::{sleep, timeout};

use crate::events::{Notice, Notices};
use crate::facts::Key;
use crate::lease::Leadership;
use crate::world::{World, Worlds};

mod changes;
#[cfg(test)]
mod tests;

pub use changes::{Firing, firings, seen, unwatched};

/// Longest time between two looks: a change that was held back fires by age alone.
const LOOK: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most invalidations that one look writes; the rest come with the next.
const MAX_WRITES: usize = 64;

/// Fires while this replica leads, until the world ends.
pub async fn run(mut worlds: Worlds, leads: Leadership, client: Client, notices: Notices) {
    let mut told = BTreeSet::new();
    loop {
        leads.gained().await;
        let world = worlds.borrow_and_update().clone();
        if world.is_complete {
            tell_unwatched(&world, &notices, &mut told);
            let firings = firings(&world.index, Timestamp::now().as_millisecond());
            for firing in firings.iter().take(MAX_WRITES) {
                if leads.is_leader() {
                    fire(&client, firing).await;
                }
            }
        }
        tokio::select! {
            changed = worlds.changed() => if changed.is_err() { return },
            () = sleep(LOOK) => {}
        }
        // The watch is behind its own writes for a moment.
        sleep(LOOK / 10).await;
    }
}

/// Creates the invalidation; one that exists already is for the same change.
async fn fire(client: &Client, firing: &Firing) {
    let key = Key::of(&firing.object.metadata);
    let objects: Api<LLMCacheInvalidation> = Api::namespaced(client.clone(), &key.namespace);
    let created = timeout(TIMEOUT, objects.create(&PostParams::default(), &firing.object)).await;
    match created {
        Ok(Ok(_)) => tracing::info!(
            invalidation = %key, config_map = firing.config_map, resource_version = firing.resource_version,
            "a watched ConfigMap changed"
        ),
        Ok(Err(kube::Error::Api(error))) if error.code == 409 => {}
        Ok(Err(error)) => tracing::warn!(invalidation = %key, %error, "cannot create it"),
        Err(_) => tracing::warn!(invalidation = %key, "cannot create it: no answer within 5 s"),
    }
}

/// Says once per generation that a policy watches what this install does not.
fn tell_unwatched(world: &World, notices: &Notices, told: &mut BTreeSet<(String, i64)>) {
    let mut there = BTreeSet::new();
    for (key, policy) in &world.index.policies {
        let Some(message) = unwatched(policy, &world.index) else {
            continue;
        };
        let generation = policy.metadata.generation.unwrap_or_default();
        let this = (policy.metadata.uid.clone().unwrap_or_default(), generation);
        if !told.contains(&this) {
            notices.tell(notice(key, policy, message));
        }
        there.insert(this);
    }
    *told = there;
}

fn notice(key: &Key, policy: &Arc<LLMCachePolicy>, message: String) -> Notice {
    Notice {
        regarding: ObjectReference {
            api_version: Some("llmcache.dev/v1alpha1".into()),
            kind: Some("LLMCachePolicy".into()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: policy.metadata.uid.clone(),
            ..ObjectReference::default()
        },
        reason: "ConfigMapNotWatched",
        action: "Watch",
        message,
        is_warning: true,
    }
}
