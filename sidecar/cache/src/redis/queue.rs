//! Writes behind the request path: one task, a bounded queue, and what does not fit is shed.

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::{Store, is_connection_lost};
use crate::budget::StoreStats;
use crate::entry::Entry;
use crate::seal::Digest;

/// Writes that may wait: a tenth of a second at the 10 000 per second one task reaches on a near server.
const WAITING: usize = 1_024;
/// Bytes that may wait; a larger entry waits alone.
const WAITING_BYTES: u32 = 8 << 20;
/// No request waits for a write, so it may take far longer than a read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// The widest `maxAge` of a policy; a clock cannot hold every `Duration`.
const LIFE_MAX: Duration = Duration::from_hours(2_160);
/// Entries from this weight on are packed on a blocking thread: below, the hop costs more than the work.
const LARGE: usize = 64 << 10;

#[derive(Debug)]
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
        _room: OwnedSemaphorePermit,
    },
    Remove(Digest),
}

impl Queue {
    pub(super) fn start(store: Arc<Store>) -> (Self, AbortHandle) {
        let (sender, mut waiting) = mpsc::channel(WAITING);
        let stats = store.stats.clone();
        let task = tokio::spawn(async move {
            while let Some(write) = waiting.recv().await {
                store.apply(write).await;
            }
        });
        let bytes = Arc::new(Semaphore::new(WAITING_BYTES as usize));
        (Self { sender, bytes, stats }, task.abort_handle())
    }

    pub(super) fn put(&self, key: Digest, entry: Arc<Entry>, now_ms: u64) {
        let weight = u32::try_from(entry.weight()).unwrap_or(u32::MAX).min(WAITING_BYTES);
        let until = Instant::now() + entry.remaining(now_ms).min(LIFE_MAX);
        match self.bytes.clone().try_acquire_many_owned(weight) {
            Ok(room) => self.send(Write::Put {
                key,
                entry,
                until,
                _room: room,
            }),
            Err(_) => StoreStats::count(&self.stats.shed),
        }
    }

    pub(super) fn remove(&self, key: Digest) {
        self.send(Write::Remove(key));
    }

    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.sender.send(Write::Flush(done)).await.is_ok() {
            // An error means that the task has ended: nothing is left to wait for.
            let _ = flushed.await;
        }
    }

    fn send(&self, write: Write) {
        if self.sender.try_send(write).is_err() {
            StoreStats::count(&self.stats.shed);
        }
    }
}

impl Store {
    async fn apply(self: &Arc<Self>, write: Write) {
        match write {
            Write::Flush(done) => {
                // Nobody waits any more: fine.
                let _ = done.send(());
            }
            Write::Put {
                key,
                entry,
                until,
                _room,
            } => self.set(key, entry, until).await,
            Write::Remove(key) => {
                let mut delete = redis::cmd("DEL");
                delete.arg(self.name(&key));
                self.send(&delete).await;
            }
        }
    }

    async fn set(self: &Arc<Self>, key: Digest, entry: Arc<Entry>, until: Instant) {
        let name = self.name(&key);
        let Some(sealed) = self.pack(&name, entry).await else {
            StoreStats::count(&self.stats.errors);
            return;
        };
        if sealed.len() > self.value_bytes {
            StoreStats::count(&self.stats.oversize);
            return;
        }
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        if left == 0 {
            return;
        }
        let mut set = redis::cmd("SET");
        set.arg(&name)
            .arg(sealed)
            .arg("PX")
            .arg(u64::try_from(left).unwrap_or(u64::MAX));
        self.send(&set).await;
    }

    async fn pack(self: &Arc<Self>, name: &str, entry: Arc<Entry>) -> Option<Vec<u8>> {
        let (store, aad) = (self.clone(), name.as_bytes().to_vec());
        let is_large = entry.weight() >= LARGE;
        let pack = move || store.key.seal(&aad, &entry.encode(store.writer)?).ok();
        if is_large {
            tokio::task::spawn_blocking(pack).await.ok()?
        } else {
            pack()
        }
    }

    async fn send(&self, command: &Cmd) {
        let Some((pass, mut connection)) = self.link.writer() else {
            StoreStats::count(&self.stats.shed);
            return;
        };
        match timeout(WRITE_TIMEOUT, command.query_async::<()>(&mut connection)).await {
            Ok(Ok(())) => StoreStats::count(&self.stats.writes),
            Ok(Err(error)) if !is_connection_lost(&error) => StoreStats::count(&self.stats.errors),
            Ok(Err(_)) | Err(_) => {
                StoreStats::count(&self.stats.errors);
                self.link.fail(pass);
            }
        }
    }
}
