//! Counts what a ban matches in the store and frees it, by the lists of tags and never by scanning the keyspace.
//!
//! The ban is in force before: a sweep that is cut short, or finds a list incomplete, costs memory until the expiry.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use redis::Script;

use super::{Failure, Redis, Store, index};
use crate::bans::Live;
use crate::budget::{Deadline, StoreStats};
use crate::entry::wire::HEAD_BYTES;
use crate::entry::{Entry, Seen};
use crate::seal::Digest;

/// Sweeps under way at once; more bans than that leave their answers to expire.
pub(super) const AT_ONCE: usize = 4;
/// Members of a list looked at together, each with at most `HEAD_BYTES`.
const STEP: usize = 64;
/// How long one call may take; no request waits for it.
const CALL: std::time::Duration = std::time::Duration::from_secs(2);

static FREE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("sweep/free.lua")));

/// One sweep.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    /// What is looked for.
    pub(crate) live: Live,
    /// Count alone.
    pub(crate) is_dry: bool,
    /// The time by which entries are alive.
    pub(crate) now_ms: u64,
}

/// What a sweep has found so far; none once nobody wants to know any more.
pub(crate) type Swept = Arc<Mutex<Option<HashSet<Digest>>>>;

impl Redis {
    /// Runs a sweep to its end; false if it could not be.
    pub(crate) async fn sweep(&self, sweep: Sweep, swept: Swept) -> bool {
        let store = self.store.clone();
        // A task of its own, so that it goes on when its caller has waited long enough.
        tokio::spawn(async move { store.sweep(&sweep, &swept).await })
            .await
            .unwrap_or(false)
    }
}

impl Store {
    async fn sweep(&self, sweep: &Sweep, swept: &Swept) -> bool {
        let Ok(_turn) = self.sweeps.try_acquire() else {
            return false;
        };
        let list = index::of_pattern(sweep.live.pattern.as_deref());
        for domain in 0..self.domains.len() {
            if let Err(error) = self.sweep_list(domain, &list, sweep, swept).await {
                tracing::debug!(store = "redis", %error, "a sweep ended early");
                return false;
            }
        }
        true
    }

    async fn sweep_list(&self, domain: usize, list: &[u8], sweep: &Sweep, swept: &Swept) -> Result<(), Failure> {
        let list = self.domains[domain].tag(list);
        let mut cursor = 0_u64;
        loop {
            if sweep.is_dry && swept.lock().is_none() {
                return Ok(());
            }
            let mut scan = redis::cmd("ZSCAN");
            scan.arg(&list).arg(cursor).arg("COUNT").arg(STEP);
            let (pass, mut connection) = self.link.writer().ok_or(Failure::Avoided)?;
            let asked = Deadline::after(CALL).bound(scan.query_async(&mut connection)).await;
            let (next, members): (u64, Vec<(Vec<u8>, f64)>) = self.judge(pass, asked)?;
            for some in members.chunks(STEP) {
                let looks = some
                    .iter()
                    .map(|(member, _)| self.sweep_one(domain, &list, member, sweep, swept));
                futures_util::future::try_join_all(looks).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn sweep_one(
        &self,
        domain: usize,
        list: &str,
        member: &[u8],
        sweep: &Sweep,
        swept: &Swept,
    ) -> Result<(), Failure> {
        let Ok(key) = <[u8; 32]>::try_from(member).map(Digest) else {
            return Ok(());
        };
        let place = &self.domains[domain];
        let name = place.answer(&key);
        let value = match self.fetch(&name, HEAD_BYTES, Deadline::after(CALL)).await {
            Ok((value, _)) => value,
            Err(failure) if failure.is_wrong_type() => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let entry = Entry::open_head(&place.key, name.as_bytes(), &value);
        let is_meant = entry.is_some_and(|entry| {
            // A dry run counts what is alive, a ban what it has killed.
            !entry.is_dead(sweep.now_ms) && sweep.live.matches(&entry) && self.bans.forbid(&entry) != sweep.is_dry
        });
        if !is_meant && !value.is_empty() {
            return Ok(());
        }
        if is_meant && let Some(found) = &mut *swept.lock() {
            found.insert(key);
        }
        if sweep.is_dry {
            return Ok(());
        }
        self.free(list, &name, member, &value).await
    }

    /// Removes a value unless it was replaced meanwhile, and its place in a list.
    async fn free(&self, list: &str, name: &str, member: &[u8], value: &[u8]) -> Result<(), Failure> {
        if !value.is_empty() {
            let mut free = FREE.key(name);
            free.arg(Seen::of(value).bytes()).arg(Seen::LENGTH);
            let is_freed: bool = self.write_script(&free).await?;
            if !is_freed {
                return Ok(());
            }
            StoreStats::count(&self.stats.freed);
        }
        let (pass, mut connection) = self.link.writer().ok_or(Failure::Avoided)?;
        let mut unlist = redis::cmd("ZREM");
        unlist.arg(list).arg(member);
        let asked = Deadline::after(CALL)
            .bound(unlist.query_async::<()>(&mut connection))
            .await;
        self.judge(pass, asked)
    }
}
