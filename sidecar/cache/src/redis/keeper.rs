//! The task that keeps what is known of the bans fresh, and makes durable what could not be made so at once.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Failure, Store};

/// Renews the lease while there are requests, and at once when the store is heard again; never returns.
pub(super) async fn keep(store: Arc<Store>) {
    let mut unused = 0;
    let mut is_told = false;
    loop {
        store.renew(&mut is_told).await;
        tokio::select! {
            () = store.lease.due(&mut unused) => {}
            () = store.link.closed() => {}
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
