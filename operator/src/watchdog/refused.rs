//! Pods that were refused, perhaps for their sidecar: the controllers that could not create them say so in core Events.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, Client};
use llmcache_policy::names;

use super::fix;
use crate::events::{Notice, Notices};
use crate::facts::{Key, Owner};
use crate::index::Index;
use crate::lease::Leadership;
use crate::world::{World, Worlds};

/// Seconds after which the watch begins again, so that one which is half open is found out.
const LIFE: u32 = 240;
/// Events that are older say nothing about now, milliseconds.
const FRESH_MS: i64 = 600_000;
/// Events that one page of a list holds.
const PAGE: u32 = 500;

/// Tells of refused pods while this replica leads, until the world ends.
pub async fn watch_refused(client: Client, worlds: Worlds, leads: Leadership, notices: Notices) {
    let failed = Config::default()
        .fields("reason=FailedCreate")
        .timeout(LIFE)
        .page_size(PAGE);
    let events = watcher(Api::<Event>::all(client), failed)
        .default_backoff()
        .applied_objects();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        if worlds.has_changed().is_err() {
            return;
        }
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, "cannot watch Events");
                continue;
            }
        };
        let world = worlds.borrow().clone();
        if leads.is_leader()
            && world.is_complete
            && let Some(notice) = refusal(&event, &world, Timestamp::now().as_millisecond())
        {
            notices.tell(notice);
        }
    }
}

/// What to say of a pod that could not be created, if its owner asks for a sidecar that may be the cause.
pub fn refusal(event: &Event, world: &World, now_ms: i64) -> Option<Notice> {
    let message = event.message.as_deref()?;
    let is_about_us = message.contains("container llmcache") || message.contains("for: llmcache");
    let is_refused = message.contains("exceeded quota")
        || message.contains("failed quota")
        || (message.contains("forbidden") && is_about_us);
    if event.reason.as_deref() != Some("FailedCreate") || !is_refused || now_ms - said_ms(event) > FRESH_MS {
        return None;
    }
    let object = &event.involved_object;
    let namespace = object.namespace.as_deref()?;
    let chain = chain(
        &world.index,
        namespace,
        object.kind.as_deref()?,
        object.name.as_deref()?,
    );
    let root = chain.last()?;
    if !is_about_us && !asks(world, namespace, &chain) {
        return None;
    }
    Some(Notice {
        regarding: fix::reference(root),
        reason: "QuotaExceeded",
        action: "Watch",
        message: format!(
            "a pod was refused, and its sidecar asks for resources too; fix: raise the quota, or set the pod template's \
             annotation {} to what fits, such as \"cpu=10m/200m,memory=64Mi/128Mi\"; the API server says: {message}",
            names::ANNOTATION_RESOURCES
        ),
        is_warning: true,
    })
}

/// The object and what controls it.
fn chain(index: &Index, namespace: &str, kind: &str, name: &str) -> Vec<Owner> {
    let find = |kind: &str, name: &str| {
        let key = Key {
            namespace: namespace.into(),
            name: name.into(),
        };
        index.owners.get(kind)?.get(&key).map(|owner| Owner::clone(owner))
    };
    let mut chain: Vec<Owner> = find(kind, name).into_iter().collect();
    let above = chain.first().and_then(|owner| owner.owner.clone());
    chain.extend(above.and_then(|above| find(&above.kind, &above.name)));
    chain
}

/// Whether an owner or the namespace asks for sidecars. What a template alone says is not known where no pod exists.
fn asks(world: &World, namespace: &str, chain: &[Owner]) -> bool {
    let says = |annotations: &BTreeMap<String, String>, name: &str| annotations.get(name).cloned();
    let mut words = chain.iter().rev().flat_map(|owner| {
        [
            says(&owner.annotations, names::ANNOTATION_INJECT),
            says(&owner.annotations, names::ANNOTATION_FROM_OWNER),
        ]
    });
    let own = words.find_map(|word| word);
    let key = Key {
        namespace: String::new(),
        name: namespace.into(),
    };
    let labels = world.index.namespaces.get(&key);
    let all = labels.and_then(|known| says(&known.labels, names::ANNOTATION_INJECT));
    own.or(all).as_deref() == Some("enabled")
}

/// When an Event was last said, milliseconds since 1970.
fn said_ms(event: &Event) -> i64 {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    let last = event.last_timestamp.as_ref().map(|time| time.0.as_millisecond());
    let first = event.event_time.as_ref().map(|time| time.0.as_millisecond());
    let created = event
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0.as_millisecond());
    let times = [series.map(|time| time.0.as_millisecond()), last, first, created];
    times.into_iter().flatten().max().unwrap_or_default()
}
