//! The shared tier on one Redis server: sealed values under keyed names, each with an expiry.
//!
//! Reads stand on the request path inside the time-box; writes go through a bounded queue behind it. A server that is
//! dead, frozen or filled with garbage is a miss. Nothing here fails a request.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ::redis::RedisError;
use tokio::task::AbortHandle;

use crate::bans::process_id;
use crate::budget::{Breaker, Deadline, StoreStats};
use crate::entry::{Decoded, Entry};
use crate::seal::{Digest, NamespaceKey};

mod link;
mod queue;
#[cfg(test)]
pub(crate) mod tests;

use link::Link;
use queue::Queue;

/// Where one policy's entries live on a server.
#[derive(Debug, Clone)]
pub struct Place {
    /// Key of the namespace: seals the values and hides the names.
    pub key: NamespaceKey,
    /// Name of the namespace.
    pub namespace: String,
    /// Name of the policy.
    pub policy: String,
    /// Largest sealed value in bytes; a larger one is neither written nor read whole.
    pub value_bytes: usize,
}

/// Why the flag `--redis` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--redis: {0}, give redis://[user:password@]host[:port][/database]")]
pub struct UrlError(String);

/// The shared tier; its background tasks end when it is dropped.
#[derive(Debug)]
pub struct Redis {
    store: Arc<Store>,
    queue: Queue,
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
struct Store {
    link: Link,
    key: NamespaceKey,
    prefix: String,
    value_bytes: usize,
    writer: u64,
    stats: Arc<StoreStats>,
}

impl Redis {
    /// Starts the tier on a `redis://` URL inside a tokio runtime; fails on a malformed URL, not on a dead server.
    pub fn open(url: &str, place: Place) -> Result<Self, UrlError> {
        let client = ::redis::Client::open(url).map_err(|error| UrlError(reason(&error)))?;
        let stats = Arc::<StoreStats>::default();
        let name = |domain, name: &str| {
            let mut mac = place.key.mac(domain);
            mac.field(name.as_bytes());
            hex::encode(&mac.finish().0[..16])
        };
        let namespace = name("redis namespace", &place.namespace);
        let policy = name("redis policy", &place.policy);
        let store = Arc::new(Store {
            link: Link::new(client, Breaker::new(stats.clone())),
            prefix: format!("llmcache:{namespace}:{policy}:r:"),
            key: place.key,
            value_bytes: place.value_bytes,
            writer: process_id(),
            stats,
        });
        let probe = tokio::spawn({
            let store = store.clone();
            async move { store.link.keep_alive().await }
        });
        let (queue, writing) = Queue::start(store.clone());
        Ok(Self {
            store,
            queue,
            tasks: [probe.abort_handle(), writing],
        })
    }

    /// The entry under a key, if the store gives one of ours before the deadline; bans and expiry are the caller's.
    pub async fn get(&self, key: &Digest, deadline: Deadline) -> Option<Decoded> {
        self.store.get(key, deadline).await
    }

    /// Queues a write that expires when the entry does; dropped and counted when the queue is full.
    pub fn put(&self, key: Digest, entry: Arc<Entry>, now_ms: u64) {
        self.queue.put(key, entry, now_ms);
    }

    /// Queues a removal, behind the writes already queued.
    pub fn remove(&self, key: Digest) {
        self.queue.remove(key);
    }

    /// Waits until every write queued so far has been tried.
    pub async fn flush(&self) {
        self.queue.flush().await;
    }

    /// The counters of this store.
    pub fn stats(&self) -> &Arc<StoreStats> {
        &self.store.stats
    }

    /// Whether this process wrote an entry.
    pub(crate) fn is_own(&self, decoded: &Decoded) -> bool {
        decoded.writer == self.store.writer
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Store {
    fn name(&self, key: &Digest) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn get(&self, key: &Digest, deadline: Deadline) -> Option<Decoded> {
        let Some((pass, mut connection)) = self.link.reader() else {
            return miss(&self.stats.skipped);
        };
        // A budget that other stores have spent says nothing about this one.
        if deadline.remaining().is_zero() {
            return miss(&self.stats.budget_exceeded);
        }
        let name = self.name(key);
        // GETRANGE, not GET: it bounds what a value that is not ours can cost.
        let mut read = ::redis::cmd("GETRANGE");
        read.arg(&name).arg(0).arg(self.value_bytes);
        match deadline.bound(read.query_async::<Vec<u8>>(&mut connection)).await {
            None => {
                self.link.fail(pass);
                miss(&self.stats.budget_exceeded)
            }
            Some(Err(error)) if error.code() == Some("WRONGTYPE") => miss(&self.stats.bad_entries),
            Some(Err(error)) => {
                if is_connection_lost(&error) {
                    self.link.fail(pass);
                }
                miss(&self.stats.errors)
            }
            Some(Ok(sealed)) if sealed.is_empty() => miss(&self.stats.misses),
            Some(Ok(sealed)) => {
                let decoded = self
                    .key
                    .open(name.as_bytes(), &sealed)
                    .and_then(|plain| Entry::decode(&plain));
                StoreStats::count(if decoded.is_some() {
                    &self.stats.hits
                } else {
                    &self.stats.bad_entries
                });
                decoded
            }
        }
    }
}

fn miss(counter: &AtomicU64) -> Option<Decoded> {
    StoreStats::count(counter);
    None
}

// Only the fixed description: a detail may quote the URL, which may carry a password.
fn reason(error: &RedisError) -> String {
    error.to_string().split(" - ").next().unwrap_or_default().to_lowercase()
}

fn is_connection_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout() || error.is_unrecoverable_error()
}
