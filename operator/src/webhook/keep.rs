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
    worlds: Worlds,
    bundle: watch::Receiver<Option<Arc<str>>>,
    client: Client,
) {
    let (tell, minors) = watch::channel(None);
    // Side by side: neither a busy cluster nor an API server that does not answer holds the other up.
    tokio::select! {
        () = follow(&facts, &settings, worlds, bundle, minors) => {}
        () = ask(&client, &tell) => {}
    }
}

async fn follow(
    facts: &ArcSwap<Facts>,
    settings: &Settings,
    mut worlds: Worlds,
    mut bundle: watch::Receiver<Option<Arc<str>>>,
    mut minors: watch::Receiver<Option<u32>>,
) {
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
            server_minor: *minors.borrow_and_update(),
        }));
        let changed = tokio::select! {
            changed = worlds.changed() => changed,
            changed = bundle.changed() => changed,
            changed = minors.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Asks for the version of the API server for ever.
async fn ask(client: &Client, tell: &watch::Sender<Option<u32>>) {
    loop {
        let minor = minor(client).await;
        // One that did not answer has the version that it had.
        tell.send_if_modified(|known| minor.is_some() && std::mem::replace(known, minor) != minor);
        tokio::time::sleep(if minor.is_some() { LOOK } else { RETRY }).await;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fake_api::{FakeApi, Fault};
    use crate::world::World;

    #[tokio::test(start_paused = true)]
    async fn a_busy_cluster_does_not_keep_the_version_from_being_asked_again() {
        let api = FakeApi::default();
        api.put("/version", json!({"major": "1", "minor": "34+"}));
        api.fail_next([Fault::Refuse(500)]);
        let facts = Arc::new(ArcSwap::from_pointee(Facts::default()));
        let (worlds, world) = watch::channel(Arc::new(World::default()));
        let (_tell, bundle) = watch::channel(Some(Arc::from("PEM")));
        let settings = Settings::clone(&crate::webhook::tests::facts().settings.unwrap());
        let keep = keep_facts(facts.clone(), settings, world, bundle, api.client());
        let keep = tokio::spawn(keep);
        // Pods come and go all the time.
        for _ in 0..20 {
            tokio::time::sleep(RETRY / 5).await;
            worlds.send_replace(Arc::new(World::default()));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(facts.load().server_minor, Some(34));
        drop(worlds);
        keep.await.unwrap();
    }
}
