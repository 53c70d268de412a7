//! The questions in a Qdrant: read inside the request's time-box, written behind it, and left alone while its breaker is
//! open. It is a hint that may be wrong, late or lost; answers are elsewhere.

use std::sync::Arc;
use std::time::Duration;

use llmcache_cache::budget::{Breaker, Deadline, StoreStats};
use llmcache_cache::seal::{Digest, Keyring};
use llmcache_semantic::embedding::Space;
use llmcache_semantic::index::{Key, Neighbour};
use llmcache_semantic::qdrant::{Collection, Near, Point, Refusal, Server};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::neighbours::{Known, MOST_NEIGHBOURS, Spot};
use crate::clock::Clock;

/// Writes that may wait; about 4 KiB each.
const WAITING: usize = 1_024;
/// Writes sent together.
const BATCH: usize = 64;
/// No request waits for a write or a probe.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two probes of a server that is away: doubled from the first to the second.
const PROBES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Time between two looks for what has ended.
const SWEEP: Duration = Duration::from_mins(1);
const NAME: &[u8] = b"question";

/// The shared questions of a namespace.
pub(crate) struct Shared {
    collection: Arc<Collection>,
    keys: Keyring,
    breaker: Arc<Breaker>,
    stats: Arc<StoreStats>,
    writes: mpsc::Sender<Write>,
    tasks: [AbortHandle; 2],
}

enum Write {
    Put(Point),
    Remove(Key),
    Flush(oneshot::Sender<()>),
}

impl Shared {
    /// Starts the tasks that write and that probe; the server need not be there.
    pub(super) fn open(server: &Server, namespace: &str, keys: Keyring, clock: Arc<Clock>) -> Result<Self, Refusal> {
        let collection = Arc::new(Collection::new(server, namespace, Space::known().as_str())?);
        let stats = Arc::new(StoreStats::default());
        let breaker = Arc::new(Breaker::new(stats.clone()));
        let (writes, behind) = mpsc::channel(WAITING);
        let task = Writer {
            collection: collection.clone(),
            breaker: breaker.clone(),
            stats: stats.clone(),
        };
        let tasks = [
            tokio::spawn(task.work(behind)).abort_handle(),
            tokio::spawn(keep(collection.clone(), breaker.clone(), clock)).abort_handle(),
        ];
        Ok(Self {
            collection,
            keys,
            breaker,
            stats,
            writes,
            tasks,
        })
    }

    pub(super) async fn nearest(
        &self,
        spot: &Spot<'_>,
        floor: u16,
        now_ms: u64,
        deadline: Deadline,
    ) -> Vec<Neighbour<Arc<Known>>> {
        let Some(pass) = self.breaker.pass() else {
            StoreStats::count(&self.stats.skipped);
            return Vec::new();
        };
        let (partition, vector) = (&spot.partition.0, spot.vector.numbers());
        let asked = self
            .collection
            .nearest(partition, vector, floor, MOST_NEIGHBOURS, now_ms);
        // The client's future is too large for the request's.
        match deadline.bound(Box::pin(asked)).await {
            Some(Ok(near)) => {
                StoreStats::count(if near.is_empty() {
                    &self.stats.misses
                } else {
                    &self.stats.hits
                });
                near.into_iter().filter_map(|near| self.read(near)).collect()
            }
            Some(Err(error)) => {
                StoreStats::count(&self.stats.errors);
                tracing::debug!(store = "qdrant", %error, "no neighbours");
                self.breaker.trip(pass);
                Vec::new()
            }
            None => {
                StoreStats::count(&self.stats.budget_exceeded);
                self.breaker.trip(pass);
                Vec::new()
            }
        }
    }

    /// A neighbour, if it was written under a key of ours and no part of it was changed.
    fn read(&self, near: Near) -> Option<Neighbour<Arc<Known>>> {
        let Near { similarity, point } = near;
        let bound = Point::bound(&point.partition, &point.key, &point.vector, point.expires_ms);
        let keys = std::iter::once(&self.keys.newest).chain(&self.keys.previous);
        let text = keys
            .filter_map(|key| key.open(NAME, &bound, &point.sealed))
            .find_map(|text| String::from_utf8(text).ok());
        if text.is_none() {
            StoreStats::count(&self.stats.bad_entries);
        }
        Some(Neighbour {
            key: point.key,
            similarity,
            payload: Arc::new(Known::read(text?)),
        })
    }

    pub(super) fn insert(&self, spot: &Spot<'_>, key: Digest, text: &str, expires_ms: u64) {
        let (partition, vector) = (spot.partition.0, spot.vector.numbers());
        let bound = Point::bound(&partition, &key.0, vector, expires_ms);
        // Without randomness nothing can be sealed; then it is not shared.
        let Ok(sealed) = self.keys.newest.seal(NAME, &bound, text.as_bytes()) else {
            return;
        };
        self.write(Write::Put(Point {
            partition,
            key: key.0,
            vector: Box::new(*vector),
            expires_ms,
            sealed,
        }));
    }

    pub(super) fn remove(&self, key: Digest) {
        self.write(Write::Remove(key.0));
    }

    fn write(&self, write: Write) {
        if self.writes.try_send(write).is_err() {
            StoreStats::count(&self.stats.shed);
        }
    }

    /// Waits until the server was offered every question so far.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.writes.send(Write::Flush(done)).await.is_ok() {
            // An error means that the task has ended: nothing is left to wait for.
            let _ = flushed.await;
        }
    }

    /// Its counters.
    pub(crate) fn stats(&self) -> &StoreStats {
        &self.stats
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// The task behind the queue.
struct Writer {
    collection: Arc<Collection>,
    breaker: Arc<Breaker>,
    stats: Arc<StoreStats>,
}

impl Writer {
    async fn work(self, mut waiting: mpsc::Receiver<Write>) {
        let mut batch = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            let (mut points, mut gone, mut flushed) = (Vec::new(), Vec::new(), Vec::new());
            for write in batch.drain(..) {
                match write {
                    Write::Put(point) => points.push(point),
                    Write::Remove(key) => gone.push(key),
                    Write::Flush(done) => flushed.push(done),
                }
            }
            let (put, removed) = (points.len(), gone.len());
            if put > 0 {
                self.send(put, self.collection.put(points)).await;
            }
            if removed > 0 {
                self.send(removed, self.collection.remove(&gone)).await;
            }
            for done in flushed {
                // Whoever waited may have given up.
                let _ = done.send(());
            }
        }
    }

    async fn send(&self, writes: usize, call: impl Future<Output = Result<(), Refusal>>) {
        let sent = match self.breaker.pass() {
            Some(pass) => match timeout(PATIENCE, call).await {
                Ok(Ok(())) => true,
                failed => {
                    if let Ok(Err(error)) = failed {
                        tracing::debug!(store = "qdrant", %error, "a write was lost");
                    }
                    self.breaker.trip(pass);
                    false
                }
            },
            None => false,
        };
        for _ in 0..writes {
            StoreStats::count(if sent { &self.stats.writes } else { &self.stats.shed });
        }
    }
}

/// Closes the breaker once the server is heard and has the collection; drops what has ended while it is closed.
async fn keep(collection: Arc<Collection>, breaker: Arc<Breaker>, clock: Arc<Clock>) {
    let mut next_sweep = Instant::now() + SWEEP;
    loop {
        tokio::select! {
            () = breaker.opened() => {
                probe(&collection).await;
                breaker.close();
            }
            () = tokio::time::sleep_until(next_sweep) => {
                next_sweep = Instant::now() + SWEEP;
                if breaker.pass().is_some() {
                    sweep(&collection, clock.now_ms()).await;
                }
            }
        }
    }
}

async fn probe(collection: &Collection) {
    let (mut wait, longest) = PROBES;
    let mut is_told = false;
    loop {
        let failed = match timeout(PATIENCE, collection.prepare()).await {
            Ok(Ok(())) => break,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(
                store = "qdrant",
                reason = failed,
                "questions are compared within this process until it answers"
            );
        }
        sleep(wait).await;
        wait = (wait * 2).min(longest);
    }
    tracing::info!(store = "qdrant", collection = collection.name(), "in use");
}

async fn sweep(collection: &Collection, now_ms: u64) {
    for done in [
        timeout(PATIENCE, collection.sweep(now_ms)).await,
        timeout(PATIENCE, collection.drain(now_ms)).await,
    ] {
        if let Ok(Err(error)) = done {
            // A key for one collection alone may not see the others.
            tracing::debug!(store = "qdrant", %error, "what has ended is not dropped");
        }
    }
}
