//! From store classes to logins: what the Secrets of the install namespace say about each shared store.
//!
//! Reads only the Secrets that the settings name. Nothing here is logged but names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{SelectAll, StreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::settings::Settings;

pub mod acl;
mod book;
pub mod chart_redis;
mod node;
#[cfg(test)]
mod tests;

pub use book::{Admin, StoreBook};

/// Most Secrets that are watched.
const MAX_SECRETS: usize = 64;
/// Most bytes of a value that is kept; larger ones are treated as absent.
const MAX_VALUE: usize = 64 << 10;

/// Seconds after which a watch begins again, so that one which is half open is found out.
const LIFE: u32 = 240;

/// The values of one Secret by key; wiped when dropped.
pub type Values = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// Names of the Secrets that the settings' store classes need, at most 64.
pub fn secrets(settings: &Settings) -> BTreeSet<String> {
    let classes = settings.store_classes.values();
    let redis = classes.filter_map(|class| class.redis.as_ref());
    let names = redis.flat_map(|redis| [&redis.secret_name, &redis.tls.ca_secret]);
    names.flatten().take(MAX_SECRETS).cloned().collect()
}

/// Watches the Secrets in `namespace`, the operator's own, and keeps the book of stores, as long as anybody reads it.
pub async fn run(client: Client, namespace: String, settings: Arc<Settings>, books: watch::Sender<Arc<StoreBook>>) {
    let names = secrets(&settings);
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let mut streams = SelectAll::new();
    for name in &names {
        let one = watcher::Config::default()
            .fields(&format!("metadata.name={name}"))
            .timeout(LIFE);
        let events = watcher(secrets.clone(), one).default_backoff();
        let name = name.clone();
        streams.push(events.map(move |event| (name.clone(), event)).boxed());
    }
    let mut known: BTreeMap<String, Values> = BTreeMap::new();
    let mut unlisted = names.clone();
    // Listed again after a lost watch, and not found yet.
    let mut absent = names;
    while let Some((name, event)) = streams.next().await {
        match event {
            Ok(Event::Apply(secret) | Event::InitApply(secret)) => {
                known.insert(name.clone(), values(secret));
                absent.remove(&name);
                unlisted.remove(&name);
            }
            Ok(Event::Delete(_)) => {
                known.remove(&name);
            }
            Ok(Event::Init) => {
                absent.insert(name);
                continue;
            }
            Ok(Event::InitDone) => {
                unlisted.remove(&name);
                if absent.contains(&name) {
                    known.remove(&name);
                }
            }
            Err(error) => {
                tracing::warn!(secret = name, %error, "cannot watch a Secret of a store class");
                continue;
            }
        }
        // Half of the Secrets would take stores away that are there.
        if unlisted.is_empty() {
            publish(&books, &settings, &namespace, &known);
        }
        if books.is_closed() {
            return;
        }
    }
    // No store class needs a Secret: what is known from the settings is all there is.
    publish(&books, &settings, &namespace, &known);
    books.closed().await;
}

fn publish(
    books: &watch::Sender<Arc<StoreBook>>,
    settings: &Arc<Settings>,
    namespace: &str,
    known: &BTreeMap<String, Values>,
) {
    let book = StoreBook::new(settings.clone(), namespace, known.clone());
    let is_new = books.send_if_modified(|current| {
        let is_new = **current != book;
        if is_new {
            *current = Arc::new(book);
        }
        is_new
    });
    if is_new {
        for problem in books.borrow().problems() {
            tracing::warn!(problem, "a store class cannot be used");
        }
    }
}

fn values(secret: Secret) -> Values {
    let data = secret.data.into_iter().flatten();
    let data = data.filter(|(_, value)| value.0.len() <= MAX_VALUE);
    data.map(|(key, value)| (key, Zeroizing::new(value.0))).collect()
}
