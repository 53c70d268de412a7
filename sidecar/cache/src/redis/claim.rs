//! Single-flight across processes: whoever claims an answer fetches it, the others wait for it.
//!
//! A claim is a key with a short expiry and a sealed token, prolonged while the call is under way: a killed owner is
//! replaced when it expires. An owner whose claim passed to another (it was frozen, say) can neither store nor publish
//! under it. Without the store each process fetches for itself.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use redis::Script;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::queue::Queue;
use super::{Failure, Store};
use crate::bans::Stamp;
use crate::budget::{Deadline, StoreStats};
use crate::entry::Seen;
use crate::entry::wire;
use crate::seal::Digest;

/// Life of a claim that its owner does not prolong: how long a killed one is waited for.
pub const CLAIM: Duration = Duration::from_secs(2);

/// Prolongations per life.
const PROLONGED: u32 = 4;
/// How long an answer that is not stored stays for those who wait: longer than any of them pauses.
const PUBLISHED: Duration = Duration::from_secs(5);
/// A waiter looks again after this share of the time it has waited: it learns of the answer 1/16 later at most.
const PATIENCE: u32 = 16;
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);

const TOKEN: &[u8] = b"claim";
const ANSWER: &[u8] = b"answer";

static CLAIM_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim/claim.lua")));
static PROLONG: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim/prolong.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim/release.lua")));
static PUBLISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim/publish.lua")));

/// One answer that several processes may be asked for at once.
#[derive(Debug)]
pub struct Flight {
    store: Arc<Store>,
    queue: Queue,
    key: Digest,
    answer: String,
    name: String,
}

/// What became of asking for a claim.
#[derive(Debug)]
pub enum Claimed {
    /// Fetch the answer.
    Mine(Claim),
    /// Another process is fetching it.
    Other(Owner),
    /// The store holds another value than was seen: read it.
    Changed,
    /// The store is of no help: fetch the answer, unseen by others.
    Alone,
}

/// The claim of another process.
#[derive(Debug)]
pub struct Owner(Vec<u8>);

/// How waiting for another process ended.
#[derive(Debug)]
pub enum Followed {
    /// With its answer, which is not stored.
    Answer(Bytes),
    /// It is done: read the store, and if there is nothing, ask for the claim.
    Gone,
    /// The wait is over, or the store of no help: fetch the answer.
    Alone,
}

/// The right to fetch one answer; given up when dropped.
#[derive(Debug)]
pub struct Claim {
    queue: Queue,
    owned: Option<Owned>,
}

/// The names and the token that a claim's end needs.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) name: String,
    pub(super) token: Vec<u8>,
    prolonging: AbortHandle,
}

impl Flight {
    pub(super) fn new(store: Arc<Store>, queue: Queue, key: Digest, stamp: Stamp) -> Self {
        let domain = store.newest();
        Self {
            answer: domain.answer(&key),
            name: domain.flight(&key, stamp),
            store,
            queue,
            key,
        }
    }

    /// The answer's name.
    pub fn key(&self) -> &Digest {
        &self.key
    }

    /// Asks for the claim, if the store still holds what was `seen` of the answer.
    pub async fn claim(&self, seen: Seen, deadline: Deadline) -> Claimed {
        // A budget that other calls have spent says nothing about this one.
        if deadline.remaining().is_zero() {
            StoreStats::count(&self.store.stats.budget_exceeded);
            return Claimed::Alone;
        }
        // The reader: a request waits for it, and must not wait behind large writes.
        let (Some((pass, mut connection)), Some(token)) = (self.store.link.reader(), self.token()) else {
            return Claimed::Alone;
        };
        let mut claim = CLAIM_SCRIPT.key(&self.answer);
        claim
            .key(&self.name)
            .arg(seen.bytes())
            .arg(Seen::LENGTH)
            .arg(&token)
            .arg(millis(CLAIM));
        let asked = deadline
            .bound(claim.invoke_async::<(i64, Vec<u8>)>(&mut connection))
            .await;
        let claimed = self.store.judge(pass, asked);
        if let Err(Failure::Late) = claimed {
            StoreStats::count(&self.store.stats.budget_exceeded);
        }
        match claimed {
            Ok((0, token)) => Claimed::Other(Owner(token)),
            Ok((1, _)) => Claimed::Changed,
            Ok(_) => Claimed::Mine(self.owned(token)),
            Err(_) => Claimed::Alone,
        }
    }

    /// Waits until another process has the answer or gave up; each look at the store may take the `budget`.
    pub async fn follow(&self, Owner(token): Owner, until: Instant, budget: Duration) -> Followed {
        let started = Instant::now();
        let is_ours = self.open(&self.name, TOKEN, &token).is_some();
        loop {
            let pause = (started.elapsed() / PATIENCE).clamp(PAUSE, PAUSE_MAX);
            if Instant::now() + pause >= until {
                return Followed::Alone;
            }
            sleep(pause).await;
            let look = self.store.fetch(&self.name, token.len(), Deadline::after(budget));
            let Ok((value, left)) = look.await else {
                return Followed::Alone;
            };
            if value != token {
                return self.given(&token, Deadline::after(budget)).await;
            }
            // A claim that nobody has to prolong is none of ours: it would be waited for in vain.
            if !is_ours || u64::try_from(left).is_ok_and(|left| left > millis(CLAIM)) || left < 0 {
                StoreStats::count(&self.store.stats.bad_entries);
                return Followed::Alone;
            }
        }
    }

    /// What the owner of a claim that has ended gave to those who waited.
    async fn given(&self, token: &[u8], deadline: Deadline) -> Followed {
        let name = self.store.newest().given(&self.name, token);
        let Ok((value, _)) = self.store.fetch(&name, self.store.value_bytes(), deadline).await else {
            return Followed::Alone;
        };
        let answer = self.open(&name, ANSWER, &value);
        match answer.and_then(|packed| wire::unpack(&packed)) {
            Some(answer) => Followed::Answer(answer),
            None => Followed::Gone,
        }
    }

    fn owned(&self, token: Vec<u8>) -> Claim {
        let prolonging = tokio::spawn(prolong(self.store.clone(), self.name.clone(), token.clone()));
        Claim {
            queue: self.queue.clone(),
            owned: Some(Owned {
                name: self.name.clone(),
                token,
                prolonging: prolonging.abort_handle(),
            }),
        }
    }

    fn token(&self) -> Option<Vec<u8>> {
        // Its nonce makes it this claim's own.
        self.store.newest().key.seal(self.name.as_bytes(), TOKEN, &[]).ok()
    }

    fn open(&self, name: &str, aad: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        self.store.newest().key.open(name.as_bytes(), aad, value)
    }
}

impl Claim {
    /// Gives those who wait an answer that is not stored.
    pub fn publish(mut self, answer: Bytes) {
        if let Some(owned) = self.owned.take() {
            self.queue.publish(owned, answer);
        }
    }

    pub(super) fn take(mut self) -> Option<Owned> {
        self.owned.take()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(owned) = self.owned.take() {
            self.queue.release(owned);
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.prolonging.abort();
    }
}

impl Store {
    /// Ends a claim without an answer.
    pub(super) async fn release(&self, owned: &Owned) {
        let mut release = RELEASE.key(&owned.name);
        release.arg(&owned.token);
        // What is not released expires.
        drop(self.write_script::<i64>(&release).await);
    }

    /// Ends a claim with an answer for those who wait.
    pub(super) async fn publish(&self, owned: &Owned, answer: &[u8]) {
        let name = self.newest().given(&owned.name, &owned.token);
        let sealed = wire::pack(answer)
            .and_then(|packed| self.newest().key.seal(name.as_bytes(), ANSWER, &packed).ok())
            .filter(|sealed| sealed.len() <= self.value_bytes());
        let Some(sealed) = sealed else {
            return self.release(owned).await;
        };
        let mut publish = PUBLISH.key(&owned.name);
        publish.key(&name).arg(&owned.token).arg(sealed).arg(millis(PUBLISHED));
        drop(self.write_script::<i64>(&publish).await);
    }
}

/// Puts the expiry off until the claim is lost or its task ended.
async fn prolong(store: Arc<Store>, name: String, token: Vec<u8>) {
    let mut prolong = PROLONG.key(&name);
    prolong.arg(&token).arg(millis(CLAIM));
    loop {
        sleep(CLAIM / PROLONGED).await;
        if let Ok(0) = store.write_script::<i64>(&prolong).await {
            return;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
