//! What an invalidation forbids to serve, at a cost that does not grow with the store.
//!
//! A ban is ordered against answers by an epoch taken before the provider is asked, so an answer in flight is covered.
//! Epochs count in a *log*: this process's own, or one kept in a shared store and read here by page. An answer whose
//! log is not known here is forbidden: nobody can say which bans came after it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::entry::Entry;

mod ban;
mod live;
mod log;
pub(crate) mod pattern;
#[cfg(test)]
mod tests;

pub use ban::{Ban, CLASS_MAX, MODEL_MAX, PATTERN_MAX, Problem};
pub(crate) use live::Live;
pub(crate) use log::Page;

use log::Log;

/// Live bans of one log kept apart; past it the oldest two become one that kills at least what they did.
pub const LIVE_MAX: usize = 4_096;

/// Bans waiting to be made durable; past it the oldest two become one.
const HELD_MAX: usize = 64;

/// A place in the order of bans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// The log that counts.
    pub log: u64,
    /// Its last ban at that moment.
    pub epoch: u64,
}

/// The bans in force here.
#[derive(Debug, Default)]
pub struct Bans {
    state: RwLock<State>,
    /// Rises with every change, so that an entry is matched once against each ban.
    version: AtomicU64,
}

/// A ban in force here alone until its log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    id: u64,
    pub(crate) live: Live,
    /// Whoever issued it has given up: it is tried again behind the requests.
    is_left: bool,
}

#[derive(Debug, Default)]
struct State {
    /// The log that is written, then the one of the previous key.
    logs: [Option<Log>; 2],
    held: VecDeque<Held>,
    next_held: u64,
}

impl Bans {
    /// The bans of a process that shares its answers with none.
    pub fn local() -> Self {
        let bans = Self::default();
        bans.learn(0, Page::first(process_id()));
        bans
    }

    /// The place in the order of bans to put into an answer; `None` while no log is known.
    pub fn stamp(&self) -> Option<Stamp> {
        self.state.read().logs[0].as_ref().map(Log::stamp)
    }

    /// Bans in force.
    pub fn len(&self) -> usize {
        let state = self.state.read();
        state.held.len() + state.logs.iter().flatten().map(Log::len).sum::<usize>()
    }

    /// Whether no ban is in force.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a ban that came after the entry's request forbids it.
    pub fn forbid(&self, entry: &Entry) -> bool {
        self.state.read().forbid(entry, 0)
    }

    /// The place of the ban that its issuer gave this id, if a log still tells it apart from others.
    pub(crate) fn find(&self, slot: usize, id: &str) -> Option<Stamp> {
        self.state.read().logs[slot].as_ref()?.find(id)
    }

    /// Rises with every change; see `forbid_since`.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// As `forbid`, for an entry found allowed at an earlier version.
    pub(crate) fn forbid_since(&self, entry: &Entry, cleared: u64) -> bool {
        cleared < self.version() && self.state.read().forbid(entry, cleared)
    }

    /// Puts a ban into the log of this process alone; gives its name.
    pub(crate) fn issue(&self, live: Live) -> String {
        let mut state = self.state.write();
        let version = self.version() + 1;
        let stamp = state.logs[0]
            .get_or_insert_with(|| Log::new(process_id()))
            .issue(live, version);
        self.version.store(version, Ordering::Release);
        stamp.name()
    }

    /// Puts a ban in force here until it is released; it kills answers of any age.
    pub(crate) fn hold(&self, live: Live) -> Held {
        let mut state = self.state.write();
        let id = state.next_held;
        state.next_held += 1;
        let held = Held {
            id,
            live,
            is_left: false,
        };
        state.held.push_back(held.clone());
        if state.held.len() > HELD_MAX
            && let (Some(oldest), Some(next)) = (state.held.pop_front(), state.held.pop_front())
        {
            state.held.push_front(Held {
                id: next.id,
                live: oldest.live.merge(next.live),
                is_left: true,
            });
        }
        self.version.fetch_add(1, Ordering::Release);
        held
    }

    /// Leaves a held ban to be tried again; false if it has been released.
    pub(crate) fn leave(&self, held: &Held) -> bool {
        let mut state = self.state.write();
        let known = state.held.iter_mut().find(|known| known.id == held.id);
        known.is_some_and(|known| {
            known.is_left = true;
            true
        })
    }

    /// The bans to be tried again.
    pub(crate) fn left(&self) -> Vec<Held> {
        let state = self.state.read();
        state.held.iter().filter(|held| held.is_left).cloned().collect()
    }

    /// Ends a hold, unless it has become wider meanwhile.
    pub(crate) fn release(&self, held: &Held) {
        self.state.write().held.retain(|other| other != held);
    }

    /// Takes in what a log says: the `slot` is 0 for the one that is written, 1 for the previous key's.
    pub(crate) fn learn(&self, slot: usize, page: Page) {
        if page.is_nothing_new() {
            return;
        }
        let mut state = self.state.write();
        let version = self.version() + 1;
        match &mut state.logs[slot] {
            Some(log) if log.is_continued_by(&page) => log.append(page, version),
            log if page.after.is_none() => *log = Some(Log::from_page(page, version)),
            // A gap would hide bans: without the log, everything of it is forbidden.
            log => *log = None,
        }
        self.version.store(version, Ordering::Release);
    }
}

impl State {
    fn forbid(&self, entry: &Entry, cleared: u64) -> bool {
        let Some(log) = self.logs.iter().flatten().find(|log| log.id() == entry.stamp.log) else {
            return true;
        };
        log.forbids(entry, cleared) || self.held.iter().any(|held| held.live.matches(entry))
    }
}

impl Stamp {
    /// The name of the ban that has this place, in logs and replies.
    pub(crate) fn name(self) -> String {
        format!("{:08x}-{}", self.log & 0xffff_ffff, self.epoch)
    }
}

/// A number that no other process has; without randomness the system's process id stands in.
pub(crate) fn process_id() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
}
