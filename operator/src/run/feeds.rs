//! What holds for one sidecar at a moment, from everything that is known.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::credentials::CredentialBook;
use crate::identity::Identity;
use crate::invalidation::BanBook;
use crate::plan::Order;
use crate::push::Desired;
use crate::world::Worlds;

pub(super) type Books = watch::Receiver<Option<Arc<CredentialBook>>>;

/// What a sidecar is told.
#[derive(Clone)]
pub(super) struct Feeds {
    pub(super) worlds: Worlds,
    pub(super) credentials: Books,
    pub(super) bans: watch::Receiver<Arc<BanBook>>,
    pub(super) trust: watch::Receiver<Option<Arc<str>>>,
}

impl Feeds {
    pub(super) fn wanted(&self, identity: &Identity) -> Desired {
        let world = self.worlds.borrow().clone();
        let order = world
            .plan
            .pods
            .get(&identity.pod_uid)
            .map(|placed| placed.order.clone());
        let book = self.credentials.borrow().clone();
        // Before its pod is known a sidecar is told nothing, and one that keeps what it executes keeps its store too:
        // which that was nobody here knows.
        let credentials = order.as_ref().zip(book).and_then(|(order, book)| match order {
            Order::Run(program) => book.for_pod(&identity.namespace, program.snapshot.store_class.as_deref()),
            Order::PassThrough => book.for_pod(&identity.namespace, None),
            Order::Keep => None,
        });
        let trust = self
            .trust
            .borrow()
            .as_ref()
            .map(|bundle| Bytes::copy_from_slice(bundle.as_bytes()));
        let bans = self.bans.borrow().clone();
        Desired {
            order,
            credentials,
            bans: bans.for_namespace(&identity.namespace).to_vec(),
            awaited: bans.awaited(&identity.namespace),
            trust: trust.unwrap_or_default(),
        }
    }

    /// Wakes whenever anything of it changed.
    pub(super) async fn tell(mut self, news: watch::Sender<u64>) {
        loop {
            let changed = tokio::select! {
                changed = self.worlds.changed() => changed,
                changed = self.credentials.changed() => changed,
                changed = self.bans.changed() => changed,
                changed = self.trust.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            news.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use serde_json::{Value, json};
    use zeroize::Zeroizing;

    use super::*;
    use crate::facts::{Key, Namespace, Pod};
    use crate::index::{Change, Delta};
    use crate::install_secret::InstallSecret;
    use crate::plan::Planner;
    use crate::settings::Settings;
    use crate::stores::StoreBook;
    use crate::world::World;

    /// What the one pod of a namespace is told, whose one policy has this spec.
    fn wanted(spec: &Value) -> Desired {
        let settings = "sidecar: {image: \"s:1\"}\nstoreClasses: {fast: {redis: {addresses: ['a.b:1']}}}\n";
        let settings = Arc::new(Settings::parse(settings).unwrap());
        let mut world = World::default();
        let key = |namespace: &str, name: &str| Key {
            namespace: namespace.into(),
            name: name.into(),
        };
        let policy = json!({"apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCachePolicy", "spec": spec,
            "metadata": {"namespace": "shop", "name": "p", "uid": "p", "generation": 8}, "status": {"revision": "r7"}});
        let policy = serde_json::from_value(policy).unwrap();
        world.index.apply(Change::Policies(Delta::All(vec![policy])));
        world.index.apply(Change::Namespaces(Delta::All(vec![Namespace {
            key: key("", "shop"),
            uid: "uid-shop".into(),
            labels: BTreeMap::new(),
        }])));
        world.index.apply(Change::Pods(Delta::All(vec![Pod {
            key: key("shop", "x"),
            uid: "x".into(),
            labels: [("llmcache.dev/injected".to_owned(), "true".to_owned())].into(),
            annotations: BTreeMap::new(),
            owner: None,
            created_ms: 0,
            is_leaving: false,
        }])));
        world.plan = Planner::default().plan(&world.index, &settings, 0);
        let world = Arc::new(world);
        let secret = InstallSecret {
            current: Zeroizing::new([1; 32]),
            previous: None,
        };
        let stores = Arc::new(StoreBook::new(settings.clone(), "system", BTreeMap::new()));
        let book = CredentialBook::new(settings, Some(Arc::new(secret)), stores, world.clone(), 1);
        let feeds = Feeds {
            worlds: watch::channel(world).1,
            credentials: watch::channel(Some(Arc::new(book))).1,
            bans: watch::channel(Arc::default()).1,
            trust: watch::channel(None).1,
        };
        feeds.wanted(&Identity {
            namespace: "shop".into(),
            service_account: "default".into(),
            pod_name: "x".into(),
            pod_uid: "x".into(),
            expires: SystemTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn a_sidecar_that_keeps_its_policy_keeps_the_store_of_it() {
        let told = wanted(&json!({"stores": {"class": "fast"}}));
        assert!(told.credentials.unwrap().redis.is_some());
        let told = wanted(&json!({}));
        assert_eq!(told.credentials.unwrap().redis, None);
        // The operator is new, and the one generation that it has ever seen cannot be accepted.
        let told = wanted(&json!({"stores": {"class": "gone"}}));
        assert_eq!((told.order, told.credentials), (Some(Order::Keep), None));
    }
}
