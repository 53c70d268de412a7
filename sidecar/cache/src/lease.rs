//! The ban-epoch lease: how long what is known of the bans may be relied on.
//!
//! One task renews it behind the requests, and only while there are requests: an idle sidecar asks nothing of its
//! store. Whoever finds it over waits for the next renewal, inside the request's own deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::budget::Deadline;

/// Longest time that a ban of another process may go unnoticed.
pub const LENGTH: Duration = Duration::from_secs(1);

/// Renewals per length of the lease: two may fail before a request notices.
const RENEWALS: u32 = 4;
/// Renewals without a request after which the task rests.
const IDLE: u32 = 120;
/// After a refused renewal nobody waits for another before this has passed.
const REFUSAL: Duration = Duration::from_secs(1);

/// Freshness of the bans known here.
#[derive(Debug)]
pub(crate) struct Lease {
    length: Duration,
    state: RwLock<State>,
    is_used: AtomicBool,
    wanted: Notify,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    fresh_until: Option<Instant>,
    refused_until: Option<Instant>,
}

impl Lease {
    /// A lease of this length, not given yet; the first renewal is wanted at once.
    pub(crate) fn new(length: Duration) -> Self {
        let wanted = Notify::new();
        wanted.notify_one();
        Self {
            length,
            state: RwLock::default(),
            is_used: AtomicBool::new(true),
            wanted,
            changed: watch::Sender::new(()),
        }
    }

    /// Whether the bans known here are all that were issued up to `length` ago.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_used.store(true, Ordering::Relaxed);
        let until = self.state.read().fresh_until;
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Waits for a renewal while the deadline lasts; false if it brought none.
    pub(crate) async fn wait(&self, deadline: Deadline) -> bool {
        let mut changed = self.changed.subscribe();
        self.want();
        let renewal = async {
            loop {
                if self.is_fresh() {
                    return true;
                }
                if self.is_refused() || changed.changed().await.is_err() {
                    return false;
                }
            }
        };
        deadline.bound(renewal).await.unwrap_or(false)
    }

    /// Wakes whoever waits for the next renewal to be due.
    pub(crate) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Whether the store would not give the lease when last asked: waiting is of no use.
    pub(crate) fn is_refused(&self) -> bool {
        let until = self.state.read().refused_until;
        until.is_some_and(|until| Instant::now() < until)
    }

    /// The store was read from this moment on.
    pub(crate) fn renew(&self, started: Instant) {
        *self.state.write() = State {
            fresh_until: Some(started + self.length),
            refused_until: None,
        };
        self.changed.send_replace(());
    }

    /// The store answered, but not as hoped.
    pub(crate) fn refuse(&self) {
        self.state.write().refused_until = Some(Instant::now() + REFUSAL);
        self.changed.send_replace(());
    }

    /// Time between two renewals.
    pub(crate) fn pause(&self) -> Duration {
        self.length / RENEWALS
    }

    /// Waits for the next renewal to be due; long while nothing is asked.
    pub(crate) async fn due(&self, unused: &mut u32) {
        *unused = if self.is_used.swap(false, Ordering::Relaxed) {
            0
        } else {
            *unused + 1
        };
        if *unused > IDLE {
            self.wanted.notified().await;
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(self.pause()) => {}
            () = self.wanted.notified() => {}
        }
    }
}
