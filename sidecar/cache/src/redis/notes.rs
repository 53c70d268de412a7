//! Notes: small sealed values under keyed names, each kept for a while after it was last used.
//!
//! They are read inside the time-box and written behind the request. No ban reaches them, and nothing may be put into
//! one that is an answer. What cannot be opened, or has an expiry that no note has, is a miss.

use std::sync::Arc;
use std::time::Duration;

use super::names::Domain;
use super::queue::{Queue, WRITE_TIMEOUT};
use super::{Failure, Store};
use crate::budget::{Deadline, StoreStats};
use crate::seal::{Digest, Keys, OVERHEAD};

/// Longest value of a note in bytes; a longer one is not written.
pub const NOTE_MAX: usize = 1_024;

const AAD: &[u8] = b"note";

/// The notes of one policy; clones share the store.
#[derive(Debug, Clone)]
pub struct Notes {
    store: Arc<Store>,
    queue: Queue,
    life: Duration,
}

/// A note that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What was noted.
    pub value: Vec<u8>,
    /// Time until it expires, unless it is used; zero where it has yet to be written under the newest key.
    pub left: Duration,
}

/// A note on its way to the store.
#[derive(Debug)]
pub(super) struct Noted {
    key: Digest,
    value: Vec<u8>,
    life: Duration,
    over: Over,
}

/// What becomes of the note that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// It stays as it is, and lives on.
    Keep,
    /// It is replaced.
    Replace,
}

impl Notes {
    pub(super) fn new(store: Arc<Store>, queue: Queue, life: Duration) -> Self {
        Self { store, queue, life }
    }

    /// What is noted under a name, if that can be had before the deadline.
    pub async fn read(&self, keys: &Keys, deadline: Deadline) -> Option<Note> {
        let previous = async {
            let note = self
                .fetch(self.store.domains.get(1)?, &keys.previous?, deadline)
                .await?;
            Some(Note {
                left: Duration::ZERO,
                ..note
            })
        };
        let (newest, previous) = tokio::join!(self.fetch(self.store.newest(), &keys.newest, deadline), previous);
        newest.or(previous)
    }

    /// Queues a note, or a longer life for the one that is there; dropped and counted when it is too long or the queue
    /// full.
    pub fn write(&self, key: Digest, value: Vec<u8>, over: Over) {
        if value.len() > NOTE_MAX {
            StoreStats::count(&self.store.stats.oversize);
            return;
        }
        self.queue.note(Noted {
            key,
            value,
            life: self.life,
            over,
        });
    }

    async fn fetch(&self, domain: &Domain, key: &Digest, deadline: Deadline) -> Option<Note> {
        let stats = &self.store.stats;
        let name = domain.note(key);
        match self.store.fetch(&name, NOTE_MAX + OVERHEAD, deadline).await {
            Ok((sealed, _)) if sealed.is_empty() => {
                StoreStats::count(&stats.misses);
                None
            }
            Ok((sealed, left_ms)) => {
                let note = self.open(domain, &name, &sealed, left_ms);
                let is_ours = note.is_some();
                StoreStats::count(if is_ours { &stats.hits } else { &stats.bad_entries });
                note
            }
            Err(failure) => {
                if failure.is_wrong_type() {
                    StoreStats::count(&stats.bad_entries);
                }
                None
            }
        }
    }

    fn open(&self, domain: &Domain, name: &str, sealed: &[u8], left_ms: i64) -> Option<Note> {
        let left = Duration::from_millis(u64::try_from(left_ms).ok()?);
        let value = domain.key.open(name.as_bytes(), AAD, sealed)?;
        (left <= self.life).then_some(Note { value, left })
    }
}

impl Noted {
    /// Bytes that it holds while it waits.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.value.len()
    }
}

impl Store {
    pub(super) async fn note(&self, noted: Noted) {
        let name = self.newest().note(&noted.key);
        let Ok(sealed) = self.newest().key.seal(name.as_bytes(), AAD, &noted.value) else {
            StoreStats::count(&self.stats.errors);
            return;
        };
        let Some((pass, mut connection)) = self.link.writer() else {
            StoreStats::count(&self.stats.shed);
            return;
        };
        let life = u64::try_from(noted.life.as_millis()).unwrap_or(u64::MAX);
        let mut write = redis::pipe();
        write.cmd("SET").arg(&name).arg(sealed).arg("PX").arg(life);
        if noted.over == Over::Keep {
            write.arg("NX").ignore();
            write.cmd("PEXPIRE").arg(&name).arg(life);
        }
        write.ignore();
        let asked = Deadline::after(WRITE_TIMEOUT)
            .bound(write.query_async::<()>(&mut connection))
            .await;
        match self.judge(pass, asked) {
            Ok(()) => StoreStats::count(&self.stats.writes),
            Err(Failure::Late) => StoreStats::count(&self.stats.errors),
            Err(Failure::Avoided | Failure::Silent | Failure::Refused(_)) => {}
        }
    }
}
