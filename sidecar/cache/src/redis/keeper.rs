//! The task that keeps what is known of the bans fresh, and makes durable what could not be made so at once.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Failure, Redis, Store};
use crate::bans::{Held, Live};

/// A ban in force here alone; the keeper makes it durable if whoever issued it gave up, or went away.
#[derive(Debug)]
pub(crate) struct Holding {
    store: Arc<Store>,
    held: Held,
}

/// Renews the lease while there are requests, and at once when the store is heard again; never returns.
pub(super) async fn keep(store: Arc<Store>) {
    let mut unused = 0;
    let mut is_told = false;
    loop {
        store.renew(&mut is_told).await;
        if !store.bans.left().is_empty() {
            // Nobody needs to ask for anything: a ban is still to be made durable.
            unused = 0;
        }
        tokio::select! {
            () = store.lease.due(&mut unused) => {}
            () = store.link.closed() => {}
        }
    }
}

impl Redis {
    /// Puts a ban in force here until it is released; it kills answers of any age.
    pub(crate) fn hold(&self, live: Live) -> Holding {
        Holding {
            store: self.store.clone(),
            held: self.store.bans.hold(live),
        }
    }
}

impl Holding {
    /// Ends the hold: the log has the ban.
    pub(crate) fn release(self) {
        self.store.bans.release(&self.held);
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if self.store.bans.leave(&self.held) {
            self.store.lease.want();
        }
    }
}

impl Store {
    async fn renew(&self, is_told: &mut bool) {
        let started = Instant::now();
        match self.read_logs().await {
            Ok(()) => {
                self.lease.renew(started);
                *is_told = false;
            }
            // The link says so, and tries to be heard again.
            Err(Failure::Avoided | Failure::Late | Failure::Silent) => return,
            Err(Failure::Refused(error)) => {
                self.lease.refuse();
                if !std::mem::replace(is_told, true) {
                    tracing::warn!(store = "redis", %error, "the log of bans cannot be kept, answering misses until it can");
                }
                return;
            }
        }
        for held in self.bans.left() {
            if self.append(&held.live).await.is_err() {
                return;
            }
            self.bans.release(&held);
            tracing::info!(store = "redis", "a ban that was in force here alone is durable now");
        }
    }
}
