//! Every sidecar that is connected, here or to another replica, and what it said last.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use llmcache_policy::push::{BanResult, Report, Sighting, Sightings};
use parking_lot::Mutex;
use tokio::sync::watch;

#[cfg(test)]
mod tests;

/// Replicas whose word is kept; more than two are unusual.
const MAX_REPLICAS: usize = 16;
/// Results of bans that are kept for each sidecar: of every ban that it may be told.
const MAX_RESULTS: usize = crate::invalidation::MAX_BANS;
/// A replica that was silent for longer is not believed any more, milliseconds.
pub const REPLICA_SILENCE_MS: i64 = 5_000;

/// The table; clones share it.
#[derive(Clone, Debug)]
pub struct Sidecars {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Inner {
    own: HashMap<String, Own>,
    replicas: HashMap<String, Replica>,
    connections: u64,
}

/// A sidecar connected to this replica.
#[derive(Debug)]
struct Own {
    connection: u64,
    sighting: Sighting,
}

#[derive(Debug)]
struct Replica {
    sightings: Vec<Sighting>,
    heard_ms: i64,
}

/// One sidecar's entry, which goes when this is dropped unless a younger connection took it.
#[derive(Debug)]
pub struct Entry {
    sidecars: Sidecars,
    pod_uid: String,
    connection: u64,
}

impl Default for Sidecars {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
            changed: Arc::new(watch::channel(0).0),
        }
    }
}

impl Sidecars {
    /// Enters a sidecar that has connected; an older connection of the same pod is forgotten.
    pub fn enter(&self, sighting: Sighting) -> Entry {
        let mut inner = self.inner.lock();
        inner.connections += 1;
        let (connection, pod_uid) = (inner.connections, sighting.pod_uid.clone());
        inner.own.insert(pod_uid.clone(), Own { connection, sighting });
        drop(inner);
        self.touch();
        Entry {
            sidecars: self.clone(),
            pod_uid,
            connection,
        }
    }

    /// Takes in what another replica's sidecars said, whole.
    pub fn hear(&self, said: Sightings, now_ms: i64) {
        let mut inner = self.inner.lock();
        let replicas = &mut inner.replicas;
        replicas.retain(|_, replica| now_ms - replica.heard_ms <= REPLICA_SILENCE_MS);
        if replicas.len() < MAX_REPLICAS || replicas.contains_key(&said.replica) {
            let replica = Replica {
                sightings: said.sightings,
                heard_ms: now_ms,
            };
            replicas.insert(said.replica, replica);
        }
        drop(inner);
        self.touch();
    }

    /// What the sidecars of this replica said, to be told to the leader.
    pub fn own(&self) -> Vec<Sighting> {
        self.inner.lock().own.values().map(|own| own.sighting.clone()).collect()
    }

    /// How many are connected to this replica.
    pub fn connected(&self) -> usize {
        self.inner.lock().own.len()
    }

    /// Every sidecar by pod uid, from all replicas heard lately; the youngest connection of a pod is the true one.
    pub fn all(&self, now_ms: i64) -> HashMap<String, Sighting> {
        let inner = self.inner.lock();
        let heard = inner
            .replicas
            .values()
            .filter(|replica| now_ms - replica.heard_ms <= REPLICA_SILENCE_MS);
        let others = heard.flat_map(|replica| &replica.sightings);
        let mut all: HashMap<String, Sighting> = HashMap::new();
        for sighting in inner.own.values().map(|own| &own.sighting).chain(others) {
            let is_younger = all
                .get(&sighting.pod_uid)
                .is_none_or(|known| known.connected_ms < sighting.connected_ms);
            if is_younger {
                all.insert(sighting.pod_uid.clone(), sighting.clone());
            }
        }
        all
    }

    /// Wakes whenever anything changed.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn touch(&self) {
        self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

impl Entry {
    /// It executes a revision; empty = it passes everything through.
    pub fn acked(&self, revision: String, clamped: Vec<String>) {
        self.change(|sighting| {
            sighting.acked = Some(revision);
            sighting.clamped = clamped;
            sighting.nacked.clear();
            sighting.nack_reason.clear();
        });
    }

    /// It refuses a revision.
    pub fn nacked(&self, revision: String, reason: String) {
        self.change(|sighting| {
            sighting.nacked = revision;
            sighting.nack_reason = reason;
        });
    }

    /// It is told another revision, so that what it executes is not known until it answers.
    pub fn offered(&self) {
        self.change(|sighting| {
            sighting.acked = None;
            sighting.nacked.clear();
            sighting.nack_reason.clear();
        });
    }

    /// It reports its state.
    pub fn reported(&self, report: Report) {
        self.change(|sighting| sighting.report = Some(report));
    }

    /// It obeyed a ban, or could not.
    pub fn banned(&self, result: BanResult) {
        self.change(|sighting| {
            let results = &mut sighting.ban_results;
            results.retain(|known| known.id != result.id);
            if results.len() >= MAX_RESULTS {
                results.remove(0);
            }
            results.push(result);
        });
    }

    /// Only the results of these bans matter still.
    pub fn forget_results_but(&self, awaited: &BTreeSet<String>) {
        let is_outdated = |result: &BanResult| !awaited.contains(&result.id);
        let has_outdated = |own: &Own| own.sighting.ban_results.iter().any(is_outdated);
        if self
            .sidecars
            .inner
            .lock()
            .own
            .get(&self.pod_uid)
            .is_some_and(has_outdated)
        {
            self.change(|sighting| sighting.ban_results.retain(|result| !is_outdated(result)));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Sighting)) {
        let mut inner = self.sidecars.inner.lock();
        let own = inner.own.get_mut(&self.pod_uid);
        let Some(own) = own.filter(|own| own.connection == self.connection) else {
            return;
        };
        change(&mut own.sighting);
        drop(inner);
        self.sidecars.touch();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut inner = self.sidecars.inner.lock();
        let is_ours = inner.own.get(&self.pod_uid).map(|own| own.connection) == Some(self.connection);
        if is_ours {
            inner.own.remove(&self.pod_uid);
        }
        drop(inner);
        self.sidecars.touch();
    }
}
