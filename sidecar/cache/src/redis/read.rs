//! Reads on the request path. Age is counted by whichever of two clocks says more: this process's, and the store's,
//! which counts the key's expiry down; so a clock that is wrong can end a life early, never prolong it.

use std::time::Duration;

use redis::{Pipeline, pipe};
use tokio::time::Instant;

use super::queue::LARGE;
use super::{Failure, Store};
use crate::budget::{Deadline, StoreStats};
use crate::entry::Entry;
use crate::entry::wire::Seen;
use crate::seal::{Keys, NamespaceKey};

/// What a read found; bans are the caller's.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// An entry of ours that is not dead.
    pub(crate) entry: Option<Entry>,
    /// Which value lies under the newest name, whether it can be used or not.
    pub(crate) seen: Seen,
}

/// What lies under one name.
struct Fetched {
    domain: usize,
    name: String,
    value: Result<(Vec<u8>, i64), Failure>,
}

/// Reads of one request that wait at the server at once: the first, which show its pace, and the most.
const FIRST: usize = 16;
const AT_ONCE: usize = 256;

impl Store {
    /// Reads under the newest name, and under the previous one if there is nothing of ours.
    pub(super) async fn read(&self, keys: &Keys, now_ms: u64, deadline: Deadline) -> Read {
        self.opened(self.fetch_both(keys, deadline).await, now_ms).await
    }

    /// Reads as many of these, from the first on, as the budget allows at the server's pace: to be asked for too much
    /// is no sign of a slow server, and must not open its breaker.
    pub(super) async fn read_many(&self, keys: &[Keys], now_ms: u64, deadline: Deadline) -> Vec<Option<Entry>> {
        let mut entries = Vec::with_capacity(keys.len());
        let mut count = FIRST;
        while entries.len() < keys.len() && count > 0 {
            let rest = &keys[entries.len()..];
            let some = &rest[..count.min(rest.len())];
            let began = Instant::now();
            // Opened when all are there: the time that takes is not the server's.
            let fetched = some.iter().map(|keys| self.fetch_both(keys, deadline));
            let fetched = futures_util::future::join_all(fetched).await;
            for fetched in fetched {
                entries.push(self.opened(fetched, now_ms).await.entry);
            }
            count = affordable(some.len(), began.elapsed(), deadline.remaining());
        }
        entries.resize(keys.len(), None);
        entries
    }

    /// What lies under the newest name and under the previous one.
    async fn fetch_both(&self, keys: &Keys, deadline: Deadline) -> (Fetched, Option<Fetched>) {
        let fetch = async |domain: usize, key| {
            let name = self.domains[domain].answer(key);
            let value = self.fetch(&name, self.value_bytes(), deadline).await;
            Fetched { domain, name, value }
        };
        let previous = async {
            match &keys.previous {
                Some(key) if self.domains.len() > 1 => Some(fetch(1, key).await),
                _ => None,
            }
        };
        tokio::join!(fetch(0, &keys.newest), previous)
    }

    async fn opened(&self, (newest, previous): (Fetched, Option<Fetched>), now_ms: u64) -> Read {
        let newest = self.open(newest, now_ms).await;
        let previous = match previous {
            Some(previous) if newest.entry.is_none() => self.open(previous, now_ms).await.entry,
            _ => None,
        };
        Read {
            entry: newest.entry.or(previous),
            seen: newest.seen,
        }
    }

    async fn open(&self, fetched: Fetched, now_ms: u64) -> Read {
        let Fetched { domain, name, value } = fetched;
        match value {
            Ok((value, left)) if !value.is_empty() => {
                let seen = Seen::of(&value);
                let opened = unseal(self.domains[domain].key.clone(), name, value).await;
                StoreStats::count(if opened.is_some() {
                    &self.stats.hits
                } else {
                    &self.stats.bad_entries
                });
                let entry = opened.and_then(|entry| aged(entry, left, now_ms));
                Read { entry, seen }
            }
            Ok(_) => {
                StoreStats::count(&self.stats.misses);
                Read::default()
            }
            Err(failure) if failure.is_wrong_type() => {
                StoreStats::count(&self.stats.bad_entries);
                Read::default()
            }
            Err(_) => Read::default(),
        }
    }

    /// A value's first bytes and the milliseconds until it expires; an absent one is empty.
    pub(super) async fn fetch(&self, name: &str, bytes: usize, deadline: Deadline) -> Result<(Vec<u8>, i64), Failure> {
        let Some((pass, mut connection)) = self.link.reader() else {
            StoreStats::count(&self.stats.skipped);
            return Err(Failure::Avoided);
        };
        // A budget that other stores have spent says nothing about this one.
        if deadline.remaining().is_zero() {
            StoreStats::count(&self.stats.budget_exceeded);
            return Err(Failure::Late);
        }
        let read = value_and_life(name, bytes);
        let answer = self.judge(pass, deadline.bound(read.query_async(&mut connection)).await);
        if let Err(Failure::Late) = answer {
            StoreStats::count(&self.stats.budget_exceeded);
        }
        answer
    }
}

/// Opens a large value on a blocking thread: other requests would wait for milliseconds.
async fn unseal(key: NamespaceKey, name: String, value: Vec<u8>) -> Option<Entry> {
    let is_large = value.len() >= LARGE;
    let open = move || Entry::open(&key, name.as_bytes(), &value);
    if is_large {
        tokio::task::spawn_blocking(open).await.ok()?
    } else {
        open()
    }
}

/// How many reads half of the time left is enough for, at the pace of the last ones.
fn affordable(count: usize, took: Duration, left: Duration) -> usize {
    let each = (took.as_nanos() / count.max(1) as u128).max(1);
    usize::try_from(left.as_nanos() / 2 / each).map_or(AT_ONCE, |count| count.min(AT_ONCE))
}

/// GETRANGE, not GET: it bounds what a value that is not ours can cost.
fn value_and_life(name: &str, bytes: usize) -> Pipeline {
    let mut read = pipe();
    read.cmd("GETRANGE").arg(name).arg(0).arg(bytes);
    read.cmd("PTTL").arg(name);
    read
}

/// The entry no younger than the store says; `None` if it is dead, or if nothing of ours would have its expiry.
fn aged(entry: Entry, left_ms: i64, now_ms: u64) -> Option<Entry> {
    let left = Duration::from_millis(u64::try_from(left_ms).ok()?);
    let age = entry.keep.checked_sub(left)?;
    let latest = now_ms.saturating_sub(u64::try_from(age.as_millis()).ok()?);
    let entry = Entry {
        stored_at_ms: entry.stored_at_ms.min(latest),
        ..entry
    };
    (!entry.is_dead(now_ms)).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::tests::entry;

    const HOUR: u64 = 3_600_000;

    /// Kept for two hours.
    fn stored_at(stored_at_ms: u64) -> Entry {
        Entry {
            stored_at_ms,
            keep: Duration::from_millis(2 * HOUR),
            ..(*entry(b"v")).clone()
        }
    }

    #[test]
    fn the_clock_that_says_more_decides() {
        let left = |hours: u64| i64::try_from(hours * HOUR).unwrap();
        let age = |left, now_ms| Some(aged(stored_at(10 * HOUR), left, now_ms)?.age(now_ms).as_millis());
        assert_eq!(age(left(2), 10 * HOUR + 5), Some(5));
        assert_eq!(age(left(1), 10 * HOUR + 5), Some(u128::from(HOUR)));
        assert_eq!(age(left(1), 10 * HOUR + HOUR + 7), Some(u128::from(HOUR + 7)));
        assert_eq!(age(left(1), 9 * HOUR), Some(u128::from(HOUR)));
        assert_eq!(age(left(1), 12 * HOUR), None);
    }

    #[test]
    fn many_reads_take_at_most_half_of_what_is_left() {
        let ms = Duration::from_millis;
        assert_eq!(affordable(16, ms(1), ms(24)), 192);
        assert_eq!(affordable(192, ms(12), ms(12)), 96);
        assert_eq!(affordable(16, ms(1), ms(900)), AT_ONCE);
        assert_eq!(affordable(16, ms(24), ms(1)), 0);
        assert_eq!(affordable(16, ms(25), ms(0)), 0);
        assert_eq!(affordable(0, ms(0), ms(25)), AT_ONCE);
    }

    #[test]
    fn an_expiry_that_we_never_set_is_no_entry() {
        assert_eq!(aged(stored_at(HOUR), -1, HOUR), None);
        assert_eq!(aged(stored_at(HOUR), i64::try_from(2 * HOUR + 1).unwrap(), HOUR), None);
    }
}
