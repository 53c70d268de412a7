//! What opens the shared store for one pod: its namespace's key, and the login of the store class that its policy names.
//!
//! The install secret goes in and never comes out. Kept in memory alone; nothing here prints it.

use std::fmt;
use std::sync::Arc;

use llmcache_policy::push;
use tokio::sync::watch;

use crate::facts::{Key, Namespace};
use crate::install_secret::{self, InstallSecret};
use crate::settings::Settings;
use crate::stores::StoreBook;
use crate::world::{World, Worlds};

#[cfg(test)]
mod tests;

/// What is needed to make credentials, at one moment.
#[derive(Clone)]
pub struct CredentialBook {
    settings: Arc<Settings>,
    secret: Option<Arc<InstallSecret>>,
    stores: Arc<StoreBook>,
    world: Arc<World>,
    epoch: u64,
}

/// Where the parts come from; each may change at any time.
#[derive(Clone)]
pub struct Sources {
    /// The install secret.
    pub secret: watch::Receiver<install_secret::State>,
    /// The stores.
    pub stores: watch::Receiver<Arc<StoreBook>>,
    /// Namespaces and their labels.
    pub worlds: Worlds,
}

impl CredentialBook {
    /// The book of these parts; `epoch` rises with every change of a secret or a store.
    pub fn new(
        settings: Arc<Settings>,
        secret: Option<Arc<InstallSecret>>,
        stores: Arc<StoreBook>,
        world: Arc<World>,
        epoch: u64,
    ) -> Self {
        Self {
            settings,
            secret,
            stores,
            world,
            epoch,
        }
    }

    /// What a pod of a namespace is given whose policy names a store class, or none; nothing before the install secret
    /// is made or the namespace is known.
    pub fn for_pod(&self, namespace: &str, class: Option<&str>) -> Option<push::Credentials> {
        let namespace = self.namespace(namespace)?;
        let keys = self.secret.as_ref()?.keys(&namespace.uid)?;
        let previous = keys.previous.as_ref();
        // The policy was judged by the labels of its time; a namespace that lost them loses the store.
        let class = class.filter(|class| self.settings.admit_store_class(class, Some(&namespace.labels)).is_ok());
        Some(push::Credentials {
            epoch: self.epoch,
            namespace_key: keys.current.bytes().to_vec(),
            previous_namespace_key: previous.map(|key| key.bytes().to_vec()).unwrap_or_default(),
            redis: class.and_then(|class| self.stores.redis_for(class, &keys.current)),
            qdrant: class.and_then(|class| self.stores.qdrant_for(class)),
        })
    }

    fn namespace(&self, name: &str) -> Option<&Arc<Namespace>> {
        let key = Key {
            namespace: String::new(),
            name: name.into(),
        };
        self.world.index.namespaces.get(&key)
    }
}

/// Keeps the book as its parts change, until the world ends. The first epoch is the time in milliseconds since 1970, so
/// that another replica's is rarely higher for older things.
pub async fn run(
    settings: Arc<Settings>,
    mut sources: Sources,
    books: watch::Sender<Option<Arc<CredentialBook>>>,
    now_ms: fn() -> i64,
) {
    let mut epoch = 0;
    let mut before = None;
    loop {
        let secret = sources.secret.borrow_and_update().ready().cloned();
        let stores = sources.stores.borrow_and_update().clone();
        let world = sources.worlds.borrow_and_update().clone();
        let parts = Some((secret.clone(), stores.clone()));
        if before != parts {
            epoch = u64::try_from(now_ms()).unwrap_or_default().max(epoch + 1);
            before = parts;
        }
        let book = CredentialBook::new(settings.clone(), secret, stores, world, epoch);
        books.send_replace(Some(Arc::new(book)));
        let changed = tokio::select! {
            changed = sources.worlds.changed() => changed,
            changed = sources.stores.changed() => changed,
            changed = sources.secret.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

impl fmt::Debug for CredentialBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialBook(epoch {}, redacted)", self.epoch)
    }
}
