//! Bans inside one process: what an invalidation forbids to serve, at a cost that does not grow with the store.
//!
//! A ban is ordered against answers by an epoch taken when a request *starts*, so an answer in flight is covered.
//! It is not durable and reaches no other process.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::entry::Entry;

mod live;
mod pattern;
#[cfg(test)]
mod tests;

pub(crate) use live::Live;

/// Live bans kept apart; past it the oldest two become one that kills at least what they did.
pub const LIVE_MAX: usize = 4_096;

/// Longest pattern in characters.
pub const PATTERN_MAX: usize = 128;

/// Longest model glob in characters.
pub const MODEL_MAX: usize = 256;

/// Longest class name in characters: a DNS label.
pub const CLASS_MAX: usize = 63;

/// What to kill; every condition given must hold, and at least one must be given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ban {
    /// Matched against each tag: `*` is any run, a closing `:*` also nothing; `*` alone matches every entry.
    pub pattern: Option<String>,
    /// Glob over the model that answered.
    pub model: Option<String>,
    /// Name of a TTL class.
    pub class: Option<String>,
    /// Only entries whose request started at least this long before the ban.
    pub older_than: Option<Duration>,
}

/// One thing wrong with a ban.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Problem {
    /// Name of the member as the caller wrote it.
    pub field: &'static str,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// The bans in force and the epoch that orders answers against them.
#[derive(Debug)]
pub struct Bans {
    issuer: u64,
    longest_life_ms: u64,
    epoch: AtomicU64,
    /// In rising order of epoch; the front may stand for many merged ones.
    live: RwLock<VecDeque<Live>>,
}

impl Ban {
    /// Every problem at once; empty when the ban can be issued.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if *self == Self::default() {
            problems.push(Problem {
                field: "pattern",
                message: "give at least one of pattern, model, class, olderThan".into(),
            });
        }
        let bounded = [
            ("pattern", &self.pattern, PATTERN_MAX),
            ("model", &self.model, MODEL_MAX),
            ("class", &self.class, CLASS_MAX),
        ];
        for (field, value, max) in bounded {
            let Some(value) = value else { continue };
            if let Some(message) = text_problem(value, max) {
                problems.push(Problem { field, message });
            }
        }
        problems
    }

    fn check(&self) -> Result<(), Vec<Problem>> {
        let problems = self.problems();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl Bans {
    /// No bans yet; one older than `longest_life` is dropped, for every answer it could kill is gone.
    pub fn new(longest_life: Duration) -> Self {
        Self {
            issuer: process_id(),
            longest_life_ms: u64::try_from(longest_life.as_millis()).unwrap_or(u64::MAX),
            epoch: AtomicU64::new(0),
            live: RwLock::default(),
        }
    }

    /// The epoch to take when a request starts and to put into its entry.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Bans in force, at most `LIVE_MAX`.
    pub fn len(&self) -> usize {
        self.live.read().len()
    }

    /// Whether no ban is in force.
    pub fn is_empty(&self) -> bool {
        self.live.read().is_empty()
    }

    /// Whether a ban issued after the entry's request started forbids it.
    pub fn forbid(&self, entry: &Entry) -> bool {
        self.forbid_since(entry, entry.epoch)
    }

    /// As `forbid`, for an entry already found allowed at epoch `cleared`.
    pub(crate) fn forbid_since(&self, entry: &Entry, cleared: u64) -> bool {
        if cleared >= self.epoch() {
            return false;
        }
        let live = self.live.read();
        live.iter()
            .rev()
            .take_while(|ban| ban.epoch > cleared)
            .any(|ban| ban.matches(entry))
    }

    /// The epoch of an entry that another process wrote: before every ban not older than the entry.
    pub(crate) fn epoch_at(&self, stored_at_ms: u64) -> u64 {
        let live = self.live.read();
        let later = live.iter().find(|ban| ban.at_ms >= stored_at_ms);
        later.map_or_else(|| self.epoch(), |ban| ban.epoch - 1)
    }

    /// Puts a ban in force, or lists every problem with it.
    pub(crate) fn set(&self, ban: &Ban, now_ms: u64) -> Result<Live, Vec<Problem>> {
        ban.check()?;
        let mut live = self.live.write();
        let epoch = self.epoch() + 1;
        let new = Live::new(ban, epoch, now_ms);
        while live
            .front()
            .is_some_and(|old| old.at_ms.saturating_add(self.longest_life_ms) < now_ms)
        {
            live.pop_front();
        }
        live.push_back(new.clone());
        if live.len() > LIVE_MAX
            && let (Some(oldest), Some(next)) = (live.pop_front(), live.pop_front())
        {
            live.push_front(oldest.merge(next));
        }
        // After the list, so that an answer which starts at this epoch starts after the ban.
        self.epoch.store(epoch, Ordering::Release);
        Ok(new)
    }

    /// The ban as it would be in force, without putting it there.
    pub(crate) fn preview(&self, ban: &Ban, now_ms: u64) -> Result<Live, Vec<Problem>> {
        ban.check()?;
        Ok(Live::new(ban, self.epoch() + 1, now_ms))
    }

    /// The name of a ban in logs and replies.
    pub(crate) fn name(&self, ban: &Live) -> String {
        format!("{:08x}-{}", self.issuer & 0xffff_ffff, ban.epoch)
    }
}

/// A number that no other process has; without randomness the system's process id stands in.
pub(crate) fn process_id() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
}

fn text_problem(value: &str, max: usize) -> Option<String> {
    let length = value.chars().count();
    if value.trim().is_empty() {
        return Some("is empty, give a value or leave it out".into());
    }
    if length > max {
        return Some(format!("has {length} characters, at most {max} are allowed"));
    }
    if value.chars().any(char::is_control) {
        return Some("holds a control character, remove it".into());
    }
    None
}
