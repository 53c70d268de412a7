//! The leader's keeping of one Redis user per namespace, in every store class with `credentials: perNamespace`.
//!
//! A Redis that restarts forgets its users, and replicas never learn them, so that each server is looked at every few
//! seconds. Users carry a mark of this install: those of another install on the same Redis are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::IntCounterVec;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::StoreBook;
use crate::install_secret;
use crate::lease::Leadership;
use crate::world::Worlds;

mod keeper;
#[cfg(test)]
mod tests;
mod wanted;

pub use keeper::{Done, Keeper};
pub use wanted::{User, Users, marks, wanted};

/// Time between two looks at every server.
const LOOK: Duration = Duration::from_secs(5);
/// Longest time between two tries where a Redis does not answer.
const MAX_PAUSE: Duration = Duration::from_mins(1);
/// How long one look at one class may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What keeping users needs.
#[derive(Clone)]
pub struct Sources {
    /// Which namespaces use which class.
    pub worlds: Worlds,
    /// How classes are entered.
    pub stores: watch::Receiver<Arc<StoreBook>>,
    /// From which users are derived.
    pub secret: watch::Receiver<install_secret::State>,
    /// Whether this replica leads; asked before each write.
    pub leads: Leadership,
}

/// A class with what is known of its servers.
#[derive(Default)]
struct Class {
    keeper: Keeper,
    pause: Duration,
    /// When it is looked at again, milliseconds since 1970.
    due_ms: i64,
    before: Users,
}

/// Keeps users while this replica leads, until the world ends; counts `acl_writes_total{result}`: `ok`, `error`.
pub async fn run(mut sources: Sources, writes: IntCounterVec) {
    let mut classes: BTreeMap<String, Class> = BTreeMap::new();
    loop {
        sources.leads.gained().await;
        let world = sources.worlds.borrow_and_update().clone();
        let stores = sources.stores.borrow_and_update().clone();
        let secret = sources.secret.borrow_and_update().ready().cloned();
        if let Some(secret) = secret.filter(|_| world.is_complete) {
            let names: BTreeSet<String> = stores.classes().map(ToOwned::to_owned).collect();
            classes.retain(|name, _| names.contains(name));
            for name in names.into_iter().filter(|name| stores.is_per_namespace(name)) {
                let users = wanted(&world, &name, &secret);
                let class = classes.entry(name.clone()).or_default();
                class.look(&name, &stores, users, &marks(&secret), &writes).await;
            }
        }
        tokio::select! {
            changed = sources.worlds.changed() => if changed.is_err() { return },
            _ = sources.stores.changed() => {}
            _ = sources.secret.changed() => {}
            () = sleep(LOOK) => {}
        }
        // Worlds follow each other closely where pods come and go.
        sleep(LOOK / 25).await;
    }
}

impl Class {
    /// Looks at every server where that is due, or where other users are wanted than before.
    async fn look(&mut self, name: &str, stores: &StoreBook, users: Users, marks: &[String], writes: &IntCounterVec) {
        let now_ms = Timestamp::now().as_millisecond();
        let is_new = self.before != users;
        if !is_new && now_ms < self.due_ms {
            return;
        }
        // No login yet is said by the book of stores.
        let Some(admin) = stores.admin(name) else { return };
        let look = self.keeper.sync(&admin, &users, marks, now_ms);
        let done = match timeout(TIMEOUT, look).await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => Done::failed(error.to_string()),
            Err(_) => Done::failed("no answer within 30 s".into()),
        };
        writes.with_label_values(&["ok"]).inc_by(done.written);
        self.before = users;
        self.pause = if done.errors.is_empty() {
            LOOK
        } else {
            writes.with_label_values(&["error"]).inc();
            let errors = done.errors.join("; ");
            tracing::warn!(store_class = name, errors, "cannot keep the users of a Redis");
            (self.pause * 2).clamp(LOOK, MAX_PAUSE)
        };
        self.due_ms = now_ms + i64::try_from(self.pause.as_millis()).unwrap_or(i64::MAX);
    }
}
