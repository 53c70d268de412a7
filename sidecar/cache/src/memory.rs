//! The in-process tier: entries weighed in bytes, gone when they may not be kept any longer.
//!
//! It knows bans only as a question asked at each read; a hit never extends a life.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::sync::Cache;

use crate::bans::Bans;
use crate::entry::Entry;
use crate::seal::Digest;

#[cfg(test)]
mod tests;

/// A bounded map from digest to entry; clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    entries: Cache<Digest, Arc<Resident>>,
}

#[derive(Debug)]
struct Resident {
    entry: Arc<Entry>,
    /// Latest version of the bans at which none forbade the entry, so that each ban is matched against it once.
    cleared: AtomicU64,
}

struct ByLife;

impl Memory {
    /// An empty tier that holds at most `capacity` bytes.
    pub fn new(capacity: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, resident: &Arc<Resident>| u32::try_from(resident.entry.weight()).unwrap_or(u32::MAX))
            .expire_after(ByLife)
            .build();
        Self { entries }
    }

    /// The entry, fresh or stale, unless it is dead or forbidden; one found so is removed.
    pub fn find(&self, key: &Digest, now_ms: u64, bans: &Bans) -> Option<Arc<Entry>> {
        let resident = self.entries.get(key)?;
        // Before the check, so that a ban which comes meanwhile is checked by the next read.
        let version = bans.version();
        let cleared = resident.cleared.load(Ordering::Relaxed);
        if resident.entry.is_dead(now_ms) || bans.forbid_since(&resident.entry, cleared) {
            self.remove_entry(key, &resident.entry);
            return None;
        }
        resident.cleared.fetch_max(version, Ordering::Relaxed);
        Some(resident.entry.clone())
    }

    /// Keeps an entry in place of what the key held; one heavier than the capacity is not kept.
    pub fn insert(&self, key: Digest, entry: Arc<Entry>) {
        let cleared = AtomicU64::new(0);
        self.entries.insert(key, Arc::new(Resident { entry, cleared }));
    }

    /// Forgets a key.
    pub fn remove(&self, key: &Digest) {
        self.entries.invalidate(key);
    }

    /// Forgets a key if it still holds this very entry.
    pub fn remove_entry(&self, key: &Digest, entry: &Arc<Entry>) {
        self.entries.entry(*key).and_compute_with(|current| match current {
            Some(current) if Arc::ptr_eq(&current.value().entry, entry) => Op::Remove,
            _ => Op::Nop,
        });
    }

    /// Entries held, pending evictions applied.
    pub fn len(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.entry_count()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, pending evictions applied; at most the capacity.
    pub fn bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }

    /// Visits entries in no order until `visit` breaks; those inserted meanwhile may be missed.
    pub fn visit(&self, mut visit: impl FnMut(&Digest, &Arc<Entry>) -> ControlFlow<()>) -> ControlFlow<()> {
        self.entries
            .iter()
            .try_for_each(|(key, resident)| visit(&key, &resident.entry))
    }
}

impl Expiry<Digest, Arc<Resident>> for ByLife {
    // The reader's clock decides; this one only frees memory, so it may count from the insertion.
    fn expire_after_create(&self, _: &Digest, resident: &Arc<Resident>, _: Instant) -> Option<Duration> {
        Some(resident.entry.keep)
    }

    fn expire_after_update(
        &self,
        _: &Digest,
        resident: &Arc<Resident>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(resident.entry.keep)
    }
}
