//! Writes behind the request path: a bounded queue, a bounded number under way, and what does not fit is shed.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use redis::Script;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::claim::{Claim, Owned};
use super::notes::Noted;
use super::{Failure, Store, index};
use crate::budget::{Deadline, StoreStats};
use crate::entry::Entry;
use crate::seal::Digest;

/// Writes that may wait: two of the largest requests for embeddings.
const WAITING: usize = 4_096;
/// Bytes that may wait: the largest request for embeddings. Most are in memory anyway, and a larger entry waits alone.
const WAITING_BYTES: u32 = 32 << 20;
/// Writes under way at once, on one connection.
const AT_ONCE: usize = 32;
/// No request waits for a write, so it may take far longer than a read.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// The widest `maxAge` of a policy; a clock cannot hold every `Duration`.
const LIFE_MAX: Duration = Duration::from_hours(2_160);
/// Entries from this size on are packed and opened on a blocking thread: below, the hop costs more than the work.
pub(super) const LARGE: usize = 64 << 10;

static STORE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("queue/store.lua")));

/// The writing end; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Write>,
    bytes: Arc<Semaphore>,
    stats: Arc<StoreStats>,
}

#[derive(Debug)]
enum Write {
    Flush(oneshot::Sender<()>),
    Put {
        key: Digest,
        entry: Arc<Entry>,
        until: Instant,
        owned: Option<Owned>,
        _room: OwnedSemaphorePermit,
    },
    Publish {
        owned: Owned,
        answer: Bytes,
        _room: OwnedSemaphorePermit,
    },
    Note {
        noted: Noted,
        _room: OwnedSemaphorePermit,
    },
    Release(Owned),
}

impl Queue {
    pub(super) fn start(store: Arc<Store>) -> (Self, AbortHandle) {
        let (sender, waiting) = mpsc::channel(WAITING);
        let stats = store.stats.clone();
        let task = tokio::spawn(work(store, waiting));
        let bytes = Arc::new(Semaphore::new(WAITING_BYTES as usize));
        (Self { sender, bytes, stats }, task.abort_handle())
    }

    pub(super) fn put(&self, key: Digest, entry: Arc<Entry>, now_ms: u64, claim: Option<Claim>) {
        let left = entry.keep.saturating_sub(entry.age(now_ms)).min(LIFE_MAX);
        // Without room the claim is dropped here, which ends it.
        if let Some(room) = self.room(entry.weight()) {
            self.send(Write::Put {
                key,
                entry,
                until: Instant::now() + left,
                owned: claim.and_then(Claim::take),
                _room: room,
            });
        }
    }

    pub(super) fn publish(&self, owned: Owned, answer: Bytes) {
        if let Some(room) = self.room(answer.len()) {
            self.send(Write::Publish {
                owned,
                answer,
                _room: room,
            });
        }
    }

    pub(super) fn note(&self, noted: Noted) {
        if let Some(room) = self.room(noted.weight()) {
            self.send(Write::Note { noted, _room: room });
        }
    }

    pub(super) fn release(&self, owned: Owned) {
        self.send(Write::Release(owned));
    }

    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.sender.send(Write::Flush(done)).await.is_ok() {
            // An error means that the task has ended: nothing is left to wait for.
            let _ = flushed.await;
        }
    }

    fn room(&self, weight: usize) -> Option<OwnedSemaphorePermit> {
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).min(WAITING_BYTES);
        let room = self.bytes.clone().try_acquire_many_owned(weight).ok();
        if room.is_none() {
            StoreStats::count(&self.stats.shed);
        }
        room
    }

    fn send(&self, write: Write) {
        if self.sender.try_send(write).is_err() {
            StoreStats::count(&self.stats.shed);
        }
    }
}

async fn work(store: Arc<Store>, mut waiting: mpsc::Receiver<Write>) {
    let mut working = JoinSet::new();
    while let Some(write) = waiting.recv().await {
        if let Write::Flush(done) = write {
            while working.join_next().await.is_some() {}
            // Nobody waits any more: fine.
            let _ = done.send(());
            continue;
        }
        if working.len() >= AT_ONCE {
            working.join_next().await;
        }
        while working.try_join_next().is_some() {}
        let store = store.clone();
        working.spawn(async move { store.apply(write).await });
    }
}

impl Store {
    async fn apply(self: &Arc<Self>, write: Write) {
        match write {
            // Answered by whoever took it out of the queue.
            Write::Flush(_) => {}
            Write::Put {
                key,
                entry,
                until,
                owned,
                _room,
            } => self.put(key, entry, until, owned.as_ref()).await,
            Write::Publish { owned, answer, _room } => self.publish(&owned, &answer).await,
            Write::Note { noted, _room } => self.note(noted).await,
            Write::Release(owned) => self.release(&owned).await,
        }
    }

    async fn put(self: &Arc<Self>, key: Digest, entry: Arc<Entry>, until: Instant, owned: Option<&Owned>) {
        let tags = index::of_tags(&entry.tags);
        let kept = self.write(key, entry, until, owned).await;
        match kept {
            Ok(true) => self.list(&tags, &key, until).await,
            Ok(false) => {}
            Err(()) => {
                if let Some(owned) = owned {
                    self.release(owned).await;
                }
            }
        }
    }

    /// Whether the store has it now; `Err` where the claim, if any, is still to be ended.
    async fn write(
        self: &Arc<Self>,
        key: Digest,
        entry: Arc<Entry>,
        until: Instant,
        owned: Option<&Owned>,
    ) -> Result<bool, ()> {
        let name = self.newest().answer(&key);
        let sealed = self
            .pack(&name, entry)
            .await
            .ok_or_else(|| StoreStats::count(&self.stats.errors))?;
        if sealed.len() > self.value_bytes() {
            StoreStats::count(&self.stats.oversize);
            return Err(());
        }
        let left = u64::try_from(until.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return Err(());
        }
        let Some((pass, mut connection)) = self.link.writer() else {
            StoreStats::count(&self.stats.shed);
            return Err(());
        };
        let within = Deadline::after(WRITE_TIMEOUT);
        let asked = if let Some(owned) = owned {
            let mut store = STORE.key(&name);
            store.key(&owned.name).arg(&owned.token).arg(sealed).arg(left);
            within.bound(store.invoke_async::<bool>(&mut connection)).await
        } else {
            let mut set = redis::cmd("SET");
            set.arg(&name).arg(sealed).arg("PX").arg(left);
            within.bound(set.query_async::<bool>(&mut connection)).await
        };
        match self.judge(pass, asked) {
            Ok(is_kept) => {
                StoreStats::count(if is_kept {
                    &self.stats.writes
                } else {
                    &self.stats.fenced
                });
                Ok(is_kept)
            }
            Err(Failure::Refused(_)) => Err(()),
            Err(Failure::Late) => {
                StoreStats::count(&self.stats.errors);
                Ok(false)
            }
            Err(Failure::Avoided | Failure::Silent) => Ok(false),
        }
    }

    async fn pack(self: &Arc<Self>, name: &str, entry: Arc<Entry>) -> Option<Vec<u8>> {
        let (store, name) = (self.clone(), name.to_owned());
        let is_large = entry.weight() >= LARGE;
        let pack = move || entry.seal(&store.newest().key, name.as_bytes());
        if is_large {
            tokio::task::spawn_blocking(pack).await.ok()?
        } else {
            pack()
        }
    }

    /// Lists an answer under its tags, for sweeps; what has expired leaves the list.
    async fn list(&self, tags: &[Vec<u8>], key: &Digest, until: Instant) {
        let now_ms = index::clock();
        let left = u64::try_from(until.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX);
        let life = u64::try_from(self.longest_life().as_millis()).unwrap_or(u64::MAX);
        let lists = tags.iter().map(|tag| async {
            let name = self.newest().tag(tag);
            let mut list = redis::pipe();
            list.cmd("ZADD")
                .arg(&name)
                .arg(now_ms.saturating_add(left))
                .arg(&key.0[..])
                .ignore();
            list.cmd("ZREMRANGEBYSCORE").arg(&name).arg("-inf").arg(now_ms).ignore();
            list.cmd("PEXPIRE").arg(&name).arg(life).ignore();
            let (pass, mut connection) = self.link.writer()?;
            let asked = Deadline::after(WRITE_TIMEOUT)
                .bound(list.query_async::<()>(&mut connection))
                .await;
            self.judge(pass, asked).ok()
        });
        futures_util::future::join_all(lists).await;
    }
}
