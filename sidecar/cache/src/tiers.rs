//! The result store as the pipeline sees it: memory before the shared store, and bans over both.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::bans::{Ban, Bans, Live, Problem};
use crate::budget::Deadline;
use crate::entry::Entry;
use crate::memory::Memory;
use crate::redis::Redis;
use crate::seal::Digest;

#[cfg(test)]
mod tests;

/// How long counting a ban's matches may take; the ban is in force before.
pub const COUNT_BUDGET: Duration = Duration::from_millis(100);

/// Entries visited between two looks at the clock.
const COUNT_STRIDE: u64 = 64;

/// The tiers of one policy.
#[derive(Debug)]
pub struct Tiers {
    /// The in-process tier.
    pub memory: Memory,
    /// The shared tier; `None` = in-process only.
    pub shared: Option<Redis>,
    /// What must not be served; requests take their epoch here when they start.
    pub bans: Arc<Bans>,
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// A fresh entry that no ban forbids.
    Hit(Arc<Entry>),
    /// Nothing to serve.
    Miss,
}

/// What became of an answer offered to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// A ban issued since its request started forbids it.
    Banned,
    /// Its life was over before it was complete.
    Expired,
    /// It can be served from now on.
    Stored,
}

/// What a ban did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Name of the ban; `None` for a dry run.
    pub id: Option<String>,
    /// Entries of the in-process tier that it matches.
    pub matched: u64,
    /// Whether all of the tier was counted within `COUNT_BUDGET`.
    pub is_complete: bool,
}

impl Tiers {
    /// Looks into memory, then within the deadline into the shared tier; a hit there moves to memory.
    pub async fn lookup(&self, key: &Digest, now_ms: u64, deadline: Deadline) -> Lookup {
        let found = match self.peek(key, now_ms) {
            Some(entry) => Some(entry),
            None => self.fetch(key, now_ms, deadline).await,
        };
        found.map_or(Lookup::Miss, Lookup::Hit)
    }

    /// Looks into memory alone; a new leader does so before it goes upstream.
    pub fn peek(&self, key: &Digest, now_ms: u64) -> Option<Arc<Entry>> {
        self.memory.find(key, now_ms, &self.bans)
    }

    /// Stores an answer: in memory now, in the shared tier behind the request.
    pub fn admit(&self, key: Digest, entry: Entry, now_ms: u64) -> Admission {
        if entry.is_expired(now_ms) {
            return Admission::Expired;
        }
        if self.bans.forbid(&entry) {
            return Admission::Banned;
        }
        let entry = Arc::new(entry);
        self.memory.insert(key, entry.clone());
        if let Some(shared) = &self.shared {
            shared.put(key, entry, now_ms);
        }
        Admission::Stored
    }

    /// Forgets a key in both tiers; in the shared one behind the request.
    pub fn remove(&self, key: &Digest) {
        self.memory.remove(key);
        if let Some(shared) = &self.shared {
            shared.remove(*key);
        }
    }

    /// Puts a ban in force and then counts and frees what it matches in memory, or lists every problem with it.
    pub async fn issue(&self, ban: &Ban, now_ms: u64) -> Result<Issued, Vec<Problem>> {
        let live = self.bans.set(ban, now_ms)?;
        let id = self.bans.name(&live);
        Ok(self.count(live, now_ms, Some(id)).await)
    }

    /// Counts what a ban would match, or lists every problem with it.
    pub async fn dry_run(&self, ban: &Ban, now_ms: u64) -> Result<Issued, Vec<Problem>> {
        let live = self.bans.preview(ban, now_ms)?;
        Ok(self.count(live, now_ms, None).await)
    }

    async fn fetch(&self, key: &Digest, now_ms: u64, deadline: Deadline) -> Option<Arc<Entry>> {
        let shared = self.shared.as_ref()?;
        let decoded = shared.get(key, deadline).await?;
        let is_own = shared.is_own(&decoded);
        let mut entry = decoded.entry;
        if !is_own {
            entry.epoch = self.bans.epoch_at(entry.stored_at_ms);
        }
        if entry.is_expired(now_ms) || self.bans.forbid(&entry) {
            return None;
        }
        let entry = Arc::new(entry);
        self.memory.insert(*key, entry.clone());
        Some(entry)
    }

    // On a blocking thread: counting a full tier may take all of its budget.
    async fn count(&self, live: Live, now_ms: u64, id: Option<String>) -> Issued {
        let memory = self.memory.clone();
        let is_dry = id.is_none();
        let end = Instant::now() + COUNT_BUDGET;
        let counted = tokio::task::spawn_blocking(move || count_until(&memory, &live, now_ms, is_dry, end)).await;
        let (matched, is_complete) = counted.unwrap_or_default();
        Issued {
            id,
            matched,
            is_complete,
        }
    }
}

fn count_until(memory: &Memory, live: &Live, now_ms: u64, is_dry: bool, end: Instant) -> (u64, bool) {
    let (mut visited, mut matched) = (0_u64, 0);
    let visit = memory.visit(|key, entry| {
        if entry.epoch < live.epoch && live.matches(entry) && !entry.is_expired(now_ms) {
            matched += 1;
            if !is_dry {
                memory.remove_entry(key, entry);
            }
        }
        visited += 1;
        if visited % COUNT_STRIDE == 0 && Instant::now() >= end {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    (matched, visit.is_continue())
}
