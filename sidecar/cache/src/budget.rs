//! The time-box: what a slow or dead store may cost a request, and then no longer may.
//!
//! One deadline spans all store calls of a request. The first call that misses it opens the store's breaker, which
//! answers "miss" at once until a probe off the request path has heard from the store again.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

#[cfg(test)]
mod tests;

/// When the store calls of one request must have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Instant);

/// Counters of one shared store; each only rises, but for the gauge `breaker_open`.
#[derive(Debug, Default)]
pub struct StoreStats {
    /// Calls that the deadline cut short.
    pub budget_exceeded: AtomicU64,
    /// 1 while the breaker is open, else 0.
    pub breaker_open: AtomicU64,
    /// Times the breaker opened.
    pub breaker_trips: AtomicU64,
    /// Reads answered by an open breaker.
    pub skipped: AtomicU64,
    /// Reads that found an entry or a note.
    pub hits: AtomicU64,
    /// Reads that found nothing.
    pub misses: AtomicU64,
    /// Reads that found something which is none of ours: foreign, garbage, another type.
    pub bad_entries: AtomicU64,
    /// Calls that the store answered with an error, or that lost their connection.
    pub errors: AtomicU64,
    /// Writes that reached the store.
    pub writes: AtomicU64,
    /// Writes dropped because the queue was full or the store away.
    pub shed: AtomicU64,
    /// Writes dropped because the value was over the store's cap.
    pub oversize: AtomicU64,
    /// Answers not stored because the claim to fetch them had passed to another process.
    pub fenced: AtomicU64,
    /// Entries that sweeps removed.
    pub freed: AtomicU64,
}

/// Whether a store may be asked at all; opens at the first failure and closes only by a probe.
#[derive(Debug)]
pub struct Breaker {
    state: Mutex<State>,
    opened: Notify,
    closed: Notify,
    stats: Arc<StoreStats>,
}

/// Leave to call the store; names the connection that the call will judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass(u64);

#[derive(Debug)]
struct State {
    generation: u64,
    is_open: bool,
}

impl Deadline {
    /// Starts the budget now; one of more than a day counts as a day.
    pub fn after(budget: Duration) -> Self {
        Self(Instant::now() + budget.min(Duration::from_hours(24)))
    }

    /// What is left of the budget; zero once it is spent.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Waits for `call` while the budget lasts; `None` and a dropped call after that.
    pub async fn bound<F: Future>(self, call: F) -> Option<F::Output> {
        timeout_at(self.0, call).await.ok()
    }
}

impl StoreStats {
    /// Adds one to a counter of this struct.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Breaker {
    /// A breaker that is open until the first probe: nothing is known of the store yet.
    pub fn new(stats: Arc<StoreStats>) -> Self {
        stats.breaker_open.store(1, Ordering::Relaxed);
        let opened = Notify::new();
        opened.notify_one();
        Self {
            state: Mutex::new(State {
                generation: 0,
                is_open: true,
            }),
            opened,
            closed: Notify::new(),
            stats,
        }
    }

    /// Leave to call the store; `None` while the breaker is open.
    pub fn pass(&self) -> Option<Pass> {
        let state = self.state.lock();
        (!state.is_open).then_some(Pass(state.generation))
    }

    /// Opens the breaker, unless a probe has closed it since the pass was given.
    pub fn trip(&self, pass: Pass) {
        let mut state = self.state.lock();
        if state.is_open || state.generation != pass.0 {
            return;
        }
        state.is_open = true;
        StoreStats::count(&self.stats.breaker_trips);
        self.stats.breaker_open.store(1, Ordering::Relaxed);
        self.opened.notify_one();
    }

    /// Closes the breaker after a probe has heard from the store.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_open = false;
        state.generation += 1;
        self.stats.breaker_open.store(0, Ordering::Relaxed);
        self.closed.notify_one();
    }

    /// Waits until the breaker opens; for the one probing task.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Waits until the breaker closes; for the one task that renews what is known of the store.
    pub async fn closed(&self) {
        self.closed.notified().await;
    }
}
