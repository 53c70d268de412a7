//! Bans on their way: from `LLMCacheInvalidation` objects to every sidecar of their namespace, and what came of them back.
//!
//! The objects are all the state there is. Every replica makes the book of bans that its sidecars are sent; the leader
//! alone writes what they answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use llmcache_crds::LLMCacheInvalidation;
use prometheus::IntCounterVec;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::events::Notices;
use crate::facts::Key;
use crate::lease::Leadership;
use crate::sidecars::Sidecars;
use crate::world::{World, Worlds};

mod book;
mod condition;
mod judge;
mod outdated;
#[cfg(test)]
mod tests;
mod write;

pub use book::{BanBook, MAX_BANS};
pub use judge::{Outcome, Verdict};
pub use outdated::outdated;

use judge::judge;

/// Label of an invalidation that a policy's `onChange` made: the policy's name, cut to what a label may hold.
pub const LABEL_ON_CHANGE: &str = "llmcache.dev/on-change";
/// Longest time between two looks: some things happen by age alone.
const LOOK: Duration = Duration::from_secs(5);
/// Time in which further news are awaited before a look.
const QUIET: Duration = Duration::from_millis(100);
/// Most writes of one look; the rest come with the next.
const MAX_WRITES: usize = 64;

/// What the leader needs to write results.
#[derive(Clone)]
pub struct Duty {
    /// Where objects are written.
    pub client: Client,
    /// What every sidecar said.
    pub sidecars: Sidecars,
    /// Whether this replica leads; asked before each write.
    pub leads: Leadership,
    /// Where Events are left.
    pub notices: Notices,
    /// `invalidations_total{result}`: `complete`, `failed`, `not_found`.
    pub results: IntCounterVec,
}

/// Keeps the book of bans as the world changes, until the world ends.
pub async fn keep_book(mut worlds: Worlds, books: watch::Sender<Arc<BanBook>>) {
    loop {
        let book = BanBook::of(&worlds.borrow_and_update().index, Timestamp::now().as_millisecond());
        books.send_if_modified(|known| {
            let is_new = **known != book;
            if is_new {
                *known = Arc::new(book);
            }
            is_new
        });
        tokio::select! {
            changed = worlds.changed() => if changed.is_err() { return },
            () = sleep(LOOK) => {}
        }
    }
}

/// Writes what came of each ban while this replica leads, until the world ends.
pub async fn run(mut worlds: Worlds, duty: Duty) {
    let mut heard = duty.sidecars.subscribe();
    let mut turns = duty.leads.subscribe();
    // Written and not seen again by the watch yet, by uid.
    let mut written: BTreeMap<String, Arc<LLMCacheInvalidation>> = BTreeMap::new();
    loop {
        duty.leads.gained().await;
        let leading_ms = Timestamp::now().as_millisecond();
        written.clear();
        while duty.leads.is_leader() {
            let world = worlds.borrow_and_update().clone();
            heard.borrow_and_update();
            if world.is_complete {
                look(&world, &duty, leading_ms, &mut written).await;
            }
            let end = Instant::now() + LOOK;
            tokio::select! {
                changed = worlds.changed() => if changed.is_err() { return },
                _ = heard.changed() => {}
                _ = turns.changed() => {}
                () = sleep_until(end) => {}
            }
            sleep(QUIET).await;
        }
    }
}

/// Judges every invalidation, writes what is new, and deletes what is no more of use.
async fn look(world: &World, duty: &Duty, leading_ms: i64, written: &mut BTreeMap<String, Arc<LLMCacheInvalidation>>) {
    let now_ms = Timestamp::now().as_millisecond();
    let sightings = duty.sidecars.all(now_ms);
    let mut uids = BTreeSet::new();
    let mut writes = 0;
    for (key, object) in &world.index.invalidations {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        uids.insert(uid.clone());
        let known = written.get(&uid).unwrap_or(object).clone();
        let Some(verdict) = judge(&known, world, &sightings, leading_ms, now_ms) else {
            continue;
        };
        if writes >= MAX_WRITES || !duty.leads.is_leader() {
            break;
        }
        writes += 1;
        if write::status(&duty.client, key, &uid, &verdict).await {
            tell(duty, &known, key, &verdict);
            let mut object = LLMCacheInvalidation::clone(&known);
            object.status = Some(verdict.status);
            written.insert(uid, Arc::new(object));
        }
    }
    written.retain(|uid, _| uids.contains(uid));
    for object in outdated(&world.index, now_ms).iter().take(MAX_WRITES) {
        if duty.leads.is_leader() {
            write::delete(&duty.client, object).await;
        }
    }
}

/// Counts a verdict and says it on the object, where it is final.
fn tell(duty: &Duty, object: &LLMCacheInvalidation, key: &Key, verdict: &Verdict) {
    let Some(outcome) = verdict.outcome else { return };
    duty.results.with_label_values(&[outcome.word()]).inc();
    duty.notices.tell(verdict.notice(object, key, outcome));
}

/// The value of [`LABEL_ON_CHANGE`] for a policy.
pub(crate) fn label_of(policy: &str) -> &str {
    let end = policy.len().min(63);
    policy[..end].trim_end_matches(['.', '-', '_'])
}

/// Whether a policy's `onChange` made it.
pub(crate) fn is_own(object: &LLMCacheInvalidation) -> bool {
    let mut labels = object.metadata.labels.iter().flatten();
    labels.any(|(name, _)| name == LABEL_ON_CHANGE)
}
