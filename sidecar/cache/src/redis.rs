//! The shared tier in Redis (one server, Sentinel or Cluster): sealed answers and notes under keyed names, each with an
//! expiry, and what keeps the processes that share them coherent: the log of bans and the claims of single-flight.
//!
//! Reads stand on the request path inside the time-box; writes go through a bounded queue behind it. A server that is
//! dead, frozen or filled with garbage is a miss. Nothing here fails a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ::redis::{RedisError, RedisResult};
use tokio::task::AbortHandle;

use crate::bans::{Bans, Live, Stamp};
use crate::budget::{Breaker, Deadline, Pass, StoreStats};
use crate::entry::Entry;
use crate::lease::Lease;
use crate::seal::{Digest, Keyring, Keys};

mod cells;
mod claim;
mod connection;
mod dial;
mod index;
mod keeper;
mod link;
mod log;
mod names;
mod notes;
mod queue;
mod read;
mod server;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;

pub use cells::{CELL_MAX, Cell, Cells, Silent, Swapped};
pub use claim::{CLAIM, Claim, Claimed, Flight, Followed};
pub use notes::{NOTE_MAX, Note, Notes, Over};
pub(crate) use read::Read;
pub(crate) use sweep::{Sweep, Swept};

use link::{Link, is_lost};
use log::Known;
use names::Domain;
use queue::Queue;
pub use server::{FORMS, Server, UrlError};

/// Where one policy's entries live on a server.
#[derive(Debug, Clone)]
pub struct Place {
    /// Keys of the namespace: they seal the values and hide the names.
    pub keys: Keyring,
    /// Name of the policy.
    pub policy: String,
    /// Largest sealed value in bytes; a larger one is neither written nor read whole.
    pub value_bytes: usize,
    /// Longest time an entry may be kept: what is about entries is kept as long.
    pub longest_life: Duration,
    /// Longest time that a ban of another process may go unnoticed.
    pub lease: Duration,
}

/// The shared tier; its background tasks end when it is dropped.
#[derive(Debug)]
pub struct Redis {
    store: Arc<Store>,
    queue: Queue,
    tasks: [AbortHandle; 3],
}

#[derive(Debug)]
struct Store {
    link: Link,
    /// Of the newest key, then of the previous one.
    domains: Vec<Domain>,
    /// What was last read of each domain's log of bans.
    logs: Vec<tokio::sync::Mutex<Known>>,
    bans: Arc<Bans>,
    lease: Lease,
    value_bytes: AtomicUsize,
    longest_life_ms: AtomicU64,
    sweeps: tokio::sync::Semaphore,
    stats: Arc<StoreStats>,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The breaker is open.
    #[error("the store is avoided")]
    Avoided,
    /// The deadline passed.
    #[error("the store did not answer in time")]
    Late,
    /// The connection was lost.
    #[error("the store did not answer")]
    Silent,
    /// The server answered with an error.
    #[error(transparent)]
    Refused(RedisError),
}

impl Redis {
    /// Starts the tier inside a tokio runtime; a dead server is no error but one miss after the other.
    pub fn open(server: &Server, place: Place) -> Self {
        let stats = Arc::<StoreStats>::default();
        let link = Link::new(server.clone(), Breaker::new(stats.clone()));
        let store = Arc::new(Store::new(link, place, stats));
        let connecting = tokio::spawn({
            let store = store.clone();
            async move { store.link.keep_alive().await }
        });
        let renewing = tokio::spawn(keeper::keep(store.clone()));
        let (queue, writing) = Queue::start(store.clone());
        Self {
            store,
            queue,
            tasks: [connecting.abort_handle(), renewing.abort_handle(), writing],
        }
    }

    /// Takes other bounds of `Place` from now on; what is stored stays.
    pub fn bound(&self, value_bytes: usize, longest_life: Duration) {
        self.store.value_bytes.store(value_bytes, Ordering::Relaxed);
        self.store
            .longest_life_ms
            .store(millis(longest_life), Ordering::Relaxed);
    }

    /// The bans that this tier keeps up to date; they may be relied on while the lease is fresh.
    pub fn bans(&self) -> &Arc<Bans> {
        &self.store.bans
    }

    /// Whether every ban issued up to a lease ago is known here.
    pub fn is_fresh(&self) -> bool {
        self.store.lease.is_fresh()
    }

    /// Makes the lease fresh if that can be had before the deadline.
    pub async fn lease(&self, deadline: Deadline) -> bool {
        self.is_fresh() || self.store.renewed(deadline).await
    }

    /// What the store has under a name before the deadline.
    pub(crate) async fn get(&self, keys: &Keys, now_ms: u64, deadline: Deadline) -> Read {
        self.store.read(keys, now_ms, deadline).await
    }

    /// The entries under many names, in their order.
    pub(crate) async fn get_many(&self, keys: &[Keys], now_ms: u64, deadline: Deadline) -> Vec<Option<Entry>> {
        self.store.read_many(keys, now_ms, deadline).await
    }

    /// Queues a write that expires when the entry does, and ends the claim under which it was fetched; dropped and
    /// counted when the queue is full.
    pub fn put(&self, key: Digest, entry: Arc<Entry>, now_ms: u64, claim: Option<Claim>) {
        self.queue.put(key, entry, now_ms, claim);
    }

    /// The notes kept beside the entries, each for `life` after it was last used.
    pub fn notes(&self, life: Duration) -> Notes {
        Notes::new(self.store.clone(), self.queue.clone(), life)
    }

    /// Values that many processes change, kept beside the entries.
    pub fn cells(&self) -> Cells {
        Cells::new(self.store.clone())
    }

    /// Puts a ban into the log that every process reads; gives its name there and whether this call brought it, or none
    /// if that failed within the budget.
    pub(crate) async fn make_durable(&self, live: &Live, budget: Duration) -> Option<(String, bool)> {
        match Deadline::after(budget).bound(self.store.append(live)).await {
            Some(Ok(appended)) => Some(appended),
            Some(Err(error)) => {
                tracing::warn!(store = "redis", %error, "a ban is in force here alone until it can be made durable");
                None
            }
            None => None,
        }
    }

    /// Waits until every write queued so far has been tried.
    pub async fn flush(&self) {
        self.queue.flush().await;
    }

    /// The counters of this store.
    pub fn stats(&self) -> &Arc<StoreStats> {
        &self.store.stats
    }

    /// The one call to make for an answer across processes; see [`Flight`].
    pub fn flight(&self, key: Digest, stamp: Stamp) -> Flight {
        Flight::new(self.store.clone(), self.queue.clone(), key, stamp)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Store {
    fn new(link: Link, place: Place, stats: Arc<StoreStats>) -> Self {
        let Keyring { newest, previous } = place.keys;
        let domain = |key| Domain::new(key, &place.policy);
        let domains: Vec<Domain> = [Some(newest), previous].into_iter().flatten().map(domain).collect();
        Self {
            link,
            logs: domains.iter().map(|_| tokio::sync::Mutex::default()).collect(),
            domains,
            bans: Arc::default(),
            lease: Lease::new(place.lease),
            value_bytes: AtomicUsize::new(place.value_bytes),
            longest_life_ms: AtomicU64::new(millis(place.longest_life)),
            sweeps: tokio::sync::Semaphore::new(sweep::AT_ONCE),
            stats,
        }
    }

    fn value_bytes(&self) -> usize {
        self.value_bytes.load(Ordering::Relaxed)
    }

    fn longest_life(&self) -> Duration {
        Duration::from_millis(self.longest_life_ms.load(Ordering::Relaxed))
    }

    /// The domain that is written.
    fn newest(&self) -> &Domain {
        &self.domains[0]
    }

    /// Waits for the lease; a store that lets the deadline pass is avoided from now on.
    async fn renewed(&self, deadline: Deadline) -> bool {
        let Some((pass, _)) = self.link.reader() else {
            StoreStats::count(&self.stats.skipped);
            return false;
        };
        let is_renewed = self.lease.wait(deadline).await;
        if !is_renewed && !self.lease.is_refused() {
            StoreStats::count(&self.stats.budget_exceeded);
            self.link.fail(pass);
        }
        is_renewed
    }

    /// Judges a call that was made under a pass; `None` = the deadline cut it short.
    fn judge<T>(&self, pass: Pass, asked: Option<RedisResult<T>>) -> Result<T, Failure> {
        match asked {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) if !is_lost(&error) => {
                StoreStats::count(&self.stats.errors);
                Err(Failure::Refused(error))
            }
            Some(Err(_)) => {
                StoreStats::count(&self.stats.errors);
                self.link.fail(pass);
                Err(Failure::Silent)
            }
            None => {
                self.link.fail(pass);
                Err(Failure::Late)
            }
        }
    }
}

impl Failure {
    /// Whether something else lies under a name of ours.
    fn is_wrong_type(&self) -> bool {
        match self {
            Self::Refused(error) => server_codes(error).iter().any(|code| code == "WRONGTYPE"),
            Self::Avoided | Self::Late | Self::Silent => false,
        }
    }
}

fn millis(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX)
}

/// The codes of a server's error replies: one, or one for each refused command of a pipeline.
fn server_codes(error: &RedisError) -> Vec<String> {
    let errors = error.clone().into_server_errors();
    errors
        .iter()
        .flat_map(|errors| errors.iter())
        .map(|(_, error)| error.code().to_owned())
        .collect()
}
