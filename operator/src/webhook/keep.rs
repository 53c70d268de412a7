//! Keeps the webhook's facts as the cluster, the certificates and the API server change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kube::Client;
use llmcache_policy::names::ANNOTATION_INJECT;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Facts;
use crate::index::Index;
use crate::inject::{Limit, Namespace, Settings};
use crate::world::Worlds;

/// Time between two looks at the version of the API server: it may be upgraded.
const LOOK: Duration = Duration::from_mins(10);
/// Time before it is asked again when it did not answer.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps them until the world ends; `settings` lack only the certificates.
pub async fn keep_facts(
    facts: Arc<ArcSwap<Facts>>,
    settings: Settings,
    mut worlds: Worlds,
    mut bundle: watch::Receiver<Option<Arc<str>>>,
    client: Client,
) {
    let mut server_minor = None;
    let mut ask_in = Duration::ZERO;
    loop {
        let world = worlds.borrow_and_update().clone();
        let pem = bundle.borrow_and_update().clone();
        facts.store(Arc::new(Facts {
            settings: pem.map(|pem| {
                Arc::new(Settings {
                    ca_bundle: pem.as_ref().to_owned(),
                    ..settings.clone()
                })
            }),
            namespaces: namespaces(&world.index),
            server_minor,
        }));
        tokio::select! {
            changed = worlds.changed() => if changed.is_err() { return },
            changed = bundle.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(ask_in) => {
                let minor = minor(&client).await;
                ask_in = if minor.is_some() { LOOK } else { RETRY };
                server_minor = minor.or(server_minor);
            }
        }
    }
}

async fn minor(client: &Client) -> Option<u32> {
    let version = timeout(RETRY, client.apiserver_version()).await.ok()?.ok()?;
    // Some vendors write 34+.
    let digits: String = version.minor.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn namespaces(index: &Index) -> HashMap<String, Arc<Namespace>> {
    let mut limits: HashMap<&str, Vec<Limit>> = HashMap::new();
    for range in index.limit_ranges.values() {
        let items = serde_json::to_value(&range.items).unwrap_or_default();
        limits
            .entry(&range.key.namespace)
            .or_default()
            .extend(Limit::read(&items));
    }
    let facts = index.namespaces.values().map(|namespace| {
        let name = namespace.key.name.clone();
        let facts = Namespace {
            word: namespace.labels.get(ANNOTATION_INJECT).cloned(),
            limits: limits.remove(name.as_str()).unwrap_or_default(),
        };
        (name, Arc::new(facts))
    });
    facts.collect()
}
