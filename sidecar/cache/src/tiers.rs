//! The result store as the pipeline sees it: memory before the shared store, and bans over both.
//!
//! With a shared store nothing is served or stored while the ban-epoch lease is not fresh: another process may have
//! issued a ban that is not known here.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::bans::{Ban, Bans, Live, Problem, Stamp};
use crate::budget::Deadline;
use crate::entry::{Entry, Seen};
use crate::memory::Memory;
use crate::redis::{Claim, Redis, Sweep, Swept};
use crate::seal::{Digest, Keys};

mod count;
#[cfg(test)]
mod tests;

/// How long counting a ban's matches may take; the ban is in force before.
pub const COUNT_BUDGET: Duration = Duration::from_millis(100);

/// How long making a ban durable may take before its issuer hears that it is not.
const DURABLE_BUDGET: Duration = Duration::from_secs(2);

/// The tiers of one policy.
#[derive(Debug)]
pub struct Tiers {
    /// The in-process tier.
    pub memory: Memory,
    /// The shared tier; `None` = in-process only.
    pub shared: Option<Arc<Redis>>,
    bans: Arc<Bans>,
}

/// What a lookup found, and what an answer fetched after it needs to be stored.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// An entry, fresh or stale, that no ban forbids.
    pub entry: Option<Arc<Entry>>,
    /// Place in the order of bans before the provider is asked; `None` = the answer must not be stored.
    pub stamp: Option<Stamp>,
    /// What the shared store held.
    pub seen: Seen,
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

/// How far a ban reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This process.
    Pod,
    /// Every process on the store.
    Store,
}

/// What a ban did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Name of the ban; `None` for a dry run, or where it could not be made durable.
    pub id: Option<String>,
    /// Distinct entries that it matches, in memory and in the shared store.
    pub matched: u64,
    /// Whether all of them were counted within `COUNT_BUDGET`.
    pub is_complete: bool,
    /// How far it reaches.
    pub reach: Reach,
}

impl Tiers {
    /// The tiers over a memory and, where answers are shared, a store.
    pub fn new(memory: Memory, shared: Option<Redis>) -> Self {
        let bans = shared
            .as_ref()
            .map_or_else(|| Arc::new(Bans::local()), |shared| shared.bans().clone());
        Self {
            memory,
            shared: shared.map(Arc::new),
            bans,
        }
    }

    /// The same answers and bans in a memory of another capacity; what does not fit is forgotten.
    #[must_use]
    pub fn with_capacity(&self, capacity: u64) -> Self {
        let memory = Memory::new(capacity);
        // Nothing breaks the visit.
        let _ = self.memory.visit(|key, entry| {
            memory.insert(*key, entry.clone());
            ControlFlow::Continue(())
        });
        Self {
            memory,
            shared: self.shared.clone(),
            bans: self.bans.clone(),
        }
    }

    /// What must not be served.
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    /// Looks into memory, then within the deadline into the shared tier; what is found there moves to memory.
    pub async fn lookup(&self, keys: &Keys, now_ms: u64, deadline: Deadline) -> Found {
        self.lookup_within(keys, now_ms, Duration::MAX, deadline).await
    }

    /// As `lookup`, where an answer older than `ttl` is no longer fresh, whatever it was stored with.
    pub async fn lookup_within(&self, keys: &Keys, now_ms: u64, ttl: Duration, deadline: Deadline) -> Found {
        let Some(stamp) = self.lease(deadline).await else {
            return Found::default();
        };
        let near = self.memory.find(&keys.newest, now_ms, &self.bans);
        let is_fresh = near
            .as_ref()
            .is_some_and(|entry| entry.staleness(now_ms).is_none() && entry.age(now_ms) < ttl);
        let mut found = Found {
            entry: near,
            stamp: Some(stamp),
            seen: Seen::default(),
        };
        if let Some(shared) = &self.shared
            && !is_fresh
        {
            let read = shared.get(keys, now_ms, deadline).await;
            found.seen = read.seen;
            found.entry = self.newer(keys, found.entry, read.entry);
        }
        found
    }

    /// As `lookup`, for many names at once; their entries in the same order.
    pub async fn lookup_many(
        &self,
        keys: &[Keys],
        now_ms: u64,
        deadline: Deadline,
    ) -> (Option<Stamp>, Vec<Option<Arc<Entry>>>) {
        let Some(stamp) = self.lease(deadline).await else {
            return (None, vec![None; keys.len()]);
        };
        let mut entries: Vec<_> = keys
            .iter()
            .map(|keys| self.memory.find(&keys.newest, now_ms, &self.bans))
            .collect();
        if let Some(shared) = &self.shared {
            let missing: Vec<usize> = (0..keys.len()).filter(|at| entries[*at].is_none()).collect();
            let names: Vec<Keys> = missing.iter().map(|at| keys[*at]).collect();
            let read = shared.get_many(&names, now_ms, deadline).await;
            for (at, entry) in missing.into_iter().zip(read) {
                entries[at] = self.newer(&keys[at], None, entry);
            }
        }
        (Some(stamp), entries)
    }

    /// Looks into memory alone; a new leader does so before it goes upstream.
    pub fn peek(&self, key: &Digest, now_ms: u64) -> Option<Arc<Entry>> {
        let is_known = self.shared.as_ref().is_none_or(|shared| shared.is_fresh());
        is_known.then(|| self.memory.find(key, now_ms, &self.bans))?
    }

    /// Whether an entry found before may be served at this moment, as far as age and bans say.
    pub async fn is_servable(&self, entry: &Entry, now_ms: u64, deadline: Deadline) -> bool {
        self.lease(deadline).await.is_some() && !entry.is_dead(now_ms) && !self.bans.forbid(entry)
    }

    /// Stores an answer: in memory now, in the shared tier behind the request, where it also ends the claim; the claim
    /// on one that is not stored is the caller's to end.
    pub fn admit(&self, key: Digest, entry: Entry, now_ms: u64, claim: &mut Option<Claim>) -> Admission {
        if entry.staleness(now_ms).is_some() {
            return Admission::Expired;
        }
        if self.bans.forbid(&entry) {
            return Admission::Banned;
        }
        let entry = Arc::new(entry);
        self.memory.insert(key, entry.clone());
        if let Some(shared) = &self.shared {
            shared.put(key, entry, now_ms, claim.take());
        }
        Admission::Stored
    }

    /// Puts a ban in force and then counts and frees what it matches, or lists every problem with it.
    ///
    /// One that could not be made durable has no id and reach `Pod`: it stays in force here, and is tried again.
    pub async fn issue(&self, ban: &Ban, now_ms: u64) -> Result<Issued, Vec<Problem>> {
        self.put_in_force(ban, None, now_ms).await
    }

    /// As `issue`, for a ban that many processes are told of under one id: on a shared store the first alone brings it,
    /// and counts and frees what it matches there.
    pub async fn issue_once(&self, ban: &Ban, id: &str, now_ms: u64) -> Result<Issued, Vec<Problem>> {
        self.put_in_force(ban, Some(id.to_owned()), now_ms).await
    }

    async fn put_in_force(&self, ban: &Ban, id: Option<String>, now_ms: u64) -> Result<Issued, Vec<Problem>> {
        ban.check()?;
        let mut live = Live::new(ban, now_ms);
        live.id = id;
        let Some(shared) = &self.shared else {
            let id = Some(self.bans.issue(live.clone()));
            return Ok(self.count(live, now_ms, id, Reach::Pod, false).await);
        };
        let holding = shared.hold(live.clone());
        let Some((id, is_first)) = shared.make_durable(&live, DURABLE_BUDGET).await else {
            drop(holding);
            return Ok(self.count(live, now_ms, None, Reach::Pod, false).await);
        };
        holding.release();
        let swept = if is_first { Reach::Store } else { Reach::Pod };
        let counted = self.count(live, now_ms, Some(id), swept, false).await;
        Ok(Issued {
            reach: Reach::Store,
            ..counted
        })
    }

    /// Puts a ban, by the id it was told under, in force here until the shared store has it, which is seen to behind the
    /// requests. Without a shared store nothing is done: tiers that are given bans so hold no answer from before.
    pub fn hold(&self, ban: &Ban, id: &str, now_ms: u64) {
        if let Some(shared) = &self.shared {
            let mut live = Live::new(ban, now_ms);
            live.id = Some(id.to_owned());
            drop(shared.hold(live));
        }
    }

    /// Counts what a ban would match, or lists every problem with it.
    pub async fn dry_run(&self, ban: &Ban, now_ms: u64) -> Result<Issued, Vec<Problem>> {
        ban.check()?;
        let reach = if self.shared.is_some() {
            Reach::Store
        } else {
            Reach::Pod
        };
        Ok(self.count(Live::new(ban, now_ms), now_ms, None, reach, true).await)
    }

    /// The place in the order of bans for a call made from now on, if it can be known before the deadline.
    pub async fn lease(&self, deadline: Deadline) -> Option<Stamp> {
        if let Some(shared) = &self.shared
            && !shared.lease(deadline).await
        {
            return None;
        }
        self.bans.stamp()
    }

    /// The younger of two entries; one from the shared tier only if no ban forbids it, and then memory keeps it.
    fn newer(&self, keys: &Keys, near: Option<Arc<Entry>>, far: Option<Entry>) -> Option<Arc<Entry>> {
        let Some(far) = far.filter(|far| !self.bans.forbid(far)) else {
            return near;
        };
        if near.as_ref().is_some_and(|near| near.stored_at_ms >= far.stored_at_ms) {
            return near;
        }
        let far = Arc::new(far);
        self.memory.insert(keys.newest, far.clone());
        Some(far)
    }

    async fn count(&self, live: Live, now_ms: u64, id: Option<String>, reach: Reach, is_dry: bool) -> Issued {
        let sweep = Sweep { live, is_dry, now_ms };
        let swept = Swept::default();
        *swept.lock() = Some(HashSet::new());
        let end = Instant::now() + COUNT_BUDGET;
        let near = count::in_memory(
            self.memory.clone(),
            self.bans.clone(),
            sweep.clone(),
            swept.clone(),
            end,
        );
        let far = async {
            match &self.shared {
                Some(shared) if reach == Reach::Store => {
                    let swept = shared.sweep(sweep.clone(), swept.clone());
                    tokio::time::timeout_at(end, swept).await.unwrap_or(false)
                }
                _ => true,
            }
        };
        let (near, far) = tokio::join!(near, far);
        let matched = swept.lock().take().map_or(0, |found| found.len() as u64);
        Issued {
            id,
            matched,
            is_complete: near && far,
            reach,
        }
    }
}

impl From<Option<Arc<Entry>>> for Found {
    fn from(entry: Option<Arc<Entry>>) -> Self {
        Self {
            entry,
            ..Self::default()
        }
    }
}
