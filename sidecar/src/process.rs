//! What lives as long as the process, whatever policies come and go.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use llmcache_semantic::embedding::Embedder;
use tokio::sync::Semaphore;

use crate::account::{Account, PriceTable};
use crate::clock::Clock;
use crate::embedder;
use crate::memory::{self, Budget};
use crate::metrics::{Bypasses, Metrics};

/// Refreshes of stale answers under way at once; a reader past it leaves the refresh to a later one.
const MAX_REFRESHES: usize = 64;

/// What a process is started with.
pub(crate) struct Start {
    /// Prices the ledger counts with.
    pub prices: PriceTable,
    /// Name of the service account it runs under; empty outside a cluster.
    pub service_account: String,
    /// The model folder of the semantic cache.
    pub model: Option<PathBuf>,
    /// Bytes of memory that it may take; none = no limit is known.
    pub memory_limit: Option<usize>,
    /// Folder of what outlives the process.
    pub state: Option<PathBuf>,
}

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct Process {
    /// The time by which answers age.
    pub clock: Arc<Clock>,
    /// Room for buffered bodies.
    pub budget: Budget,
    /// Leave to refresh a stale answer behind its readers.
    pub refreshes: Arc<Semaphore>,
    /// Ledger and prices.
    pub account: Arc<Account>,
    /// All metric families.
    pub metrics: Arc<Metrics>,
    /// Name of the service account it runs under; empty outside a cluster.
    pub service_account: Arc<str>,
    /// Makes vectors of texts, or why nothing does.
    pub embedder: Result<Arc<Embedder>, Arc<str>>,
    /// Bytes that the questions of the semantic cache may take.
    pub index_bytes: usize,
    /// Folder of what outlives the process; none = nothing does.
    pub state: Option<Arc<Path>>,
    ids: Arc<Ids>,
}

struct Ids {
    prefix: String,
    next: AtomicU64,
}

impl Process {
    /// A process that starts now; `reasons` are the bypass words whose series exist from the start.
    pub(crate) fn start(start: Start, reasons: Bypasses<'_>) -> Result<Self, prometheus::Error> {
        let Start {
            prices,
            service_account,
            model,
            memory_limit,
            state,
        } = start;
        let metrics = Arc::new(Metrics::new(reasons)?);
        // Without randomness ids are unique in this process all the same.
        let random = getrandom::u32().unwrap_or_else(|_| std::process::id());
        Ok(Self {
            clock: Arc::new(Clock::start()),
            budget: Budget::of_container(),
            refreshes: Arc::new(Semaphore::new(MAX_REFRESHES)),
            account: Account::new(prices, metrics.clone(), Timestamp::now()),
            metrics,
            service_account: service_account.into(),
            embedder: embedder::open(model, memory_limit).map_err(Arc::from),
            index_bytes: memory::index_bytes(memory_limit),
            state: state.map(Arc::from),
            ids: Arc::new(Ids {
                prefix: format!("{random:08x}"),
                next: AtomicU64::new(0),
            }),
        })
    }

    /// A new request id, unique in this process and unlikely elsewhere.
    pub(crate) fn next_id(&self) -> String {
        let number = self.ids.next.fetch_add(1, Ordering::Relaxed);
        format!("lc_{}{number:08x}", self.ids.prefix)
    }
}
