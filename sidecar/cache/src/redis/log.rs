//! The log of bans that the processes of one policy share: a sorted set whose scores are epochs.
//!
//! The first member, at score 0, is the log's sealed identity; each further one a sealed ban. A ban is appended only
//! behind the member that its issuer knows as the last, so epochs rise by one and none is used twice. A log that was
//! lost, went back (a replica that knew less was promoted) or is not ours is replaced by one of another identity, with
//! which every answer stamped by the old one is dead: no ban is ever forgotten, at worst more is killed.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use tokio::time::Instant;

use super::{Failure, Store};
use crate::bans::{LIVE_MAX, Live, Page, Stamp, process_id};
use crate::budget::{Deadline, StoreStats};
use crate::seal::NamespaceKey;

mod known;
mod record;
mod replicated;

pub(super) use known::Known;
use known::{Head, Members, epoch};
use record::{Identity, Record};

/// How long one write may take; no request waits for it.
const CALL: Duration = Duration::from_secs(1);
/// A shorter lease is renewed no more hurriedly than this.
const READ_MIN: Duration = Duration::from_millis(100);
/// Others may append first; each of them is one more try.
const TRIES: usize = 32;
/// A log without a ban for so long beyond the life of any answer is dropped by the store.
const SPARE_LIFE: Duration = Duration::from_hours(24);

static CREATE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("log/create.lua")));
static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("log/append.lua")));
static MERGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("log/merge.lua")));

impl Store {
    /// Learns what is new in every log.
    pub(super) async fn read_logs(&self) -> Result<(), Failure> {
        for (slot, known) in self.logs.iter().enumerate() {
            let mut known = known.lock().await;
            self.read_log(slot, &mut known).await?;
        }
        Ok(())
    }

    /// Puts a ban into every log that may be read; gives its name in the newest one, and whether that lacked it. One
    /// that a process put there under the same id is there already: logs are read before they are written.
    pub(super) async fn append(&self, live: &Live) -> Result<(String, bool), Failure> {
        let mut appended = (String::new(), false);
        for slot in (0..self.logs.len()).rev() {
            appended = self.append_to(slot, live).await?;
        }
        Ok(appended)
    }

    async fn append_to(&self, slot: usize, live: &Live) -> Result<(String, bool), Failure> {
        let mut known = self.logs[slot].lock().await;
        let key = self.domains[slot].bans();
        for _ in 0..TRIES {
            let head = self.read_log(slot, &mut known).await?;
            if let Some(stamp) = live.id.as_deref().and_then(|id| self.bans.find(slot, id)) {
                return Ok((stamp.name(), false));
            }
            let stamp = Stamp {
                log: head.id,
                epoch: head.epoch + 1,
            };
            let Some(member) = Record::new(stamp, live).seal(&self.domains[slot].key, &key) else {
                return Err(Failure::Silent);
            };
            let mut append = APPEND.key(&key);
            append
                .arg(&head.last)
                .arg(stamp.epoch)
                .arg(&member)
                .arg(self.log_life());
            let count: i64 = self.write_script(&append).await?;
            if count < 0 {
                continue;
            }
            let page = Page {
                log: head.id,
                after: Some(head.epoch),
                epoch: stamp.epoch,
                bans: vec![(stamp.epoch, live.clone())],
            };
            self.bans.learn(slot, page);
            known.replace(Head {
                epoch: stamp.epoch,
                last: member,
                ..head
            });
            drop(known);
            self.merge_oldest(slot, count).await;
            self.replicated(&key).await?;
            return Ok((stamp.name(), true));
        }
        Err(Failure::Silent)
    }

    /// Learns what is new in one log; makes the log where there is none to go on with.
    async fn read_log(&self, slot: usize, known: &mut Known) -> Result<Head, Failure> {
        if let Some(head) = &known.head
            && let Some(next) = self.read_on(slot, head).await?
        {
            known.replace(next.clone());
            return Ok(next);
        }
        let head = self.read_anew(slot, known).await?;
        known.replace(head.clone());
        Ok(head)
    }

    /// Reads behind the last member known; `None` if the log does not go on from there.
    async fn read_on(&self, slot: usize, head: &Head) -> Result<Option<Head>, Failure> {
        let key = self.domains[slot].bans();
        let mut read = redis::pipe();
        read.cmd("ZRANGEBYSCORE")
            .arg(&key)
            .arg(head.epoch)
            .arg("+inf")
            .arg("WITHSCORES");
        // After the bans: if the identity is still the same then, the bans were read of this log.
        read.cmd("ZRANGE").arg(&key).arg(0).arg(0);
        let (members, first): (Members, Vec<Vec<u8>>) = match self.read_pipe(&read).await {
            Err(failure) if failure.is_wrong_type() => return Ok(None),
            read => read?,
        };
        let is_same = first.first() == Some(&head.identity);
        let Some(((last, _), new)) = members
            .split_first()
            .filter(|((last, _), _)| is_same && *last == head.last)
        else {
            return Ok(None);
        };
        let Some((page, last)) = self.page(slot, head.id, Some(head.epoch), last, new) else {
            return Ok(None);
        };
        // Before the bans are learnt: a caller who gives up in between must not leave them known by half.
        let touched = self.touch(&key, head.touched).await;
        let epoch = page.epoch;
        self.bans.learn(slot, page);
        Ok(Some(Head {
            epoch,
            last,
            touched,
            ..head.clone()
        }))
    }

    async fn read_anew(&self, slot: usize, known: &Known) -> Result<Head, Failure> {
        let key = self.domains[slot].bans();
        for _ in 0..TRIES {
            let mut read = redis::pipe();
            read.cmd("ZRANGE").arg(&key).arg(0).arg(-1).arg("WITHSCORES");
            let members: Members = match self.read_pipe(&read).await {
                Ok((members,)) => members,
                Err(failure) if failure.is_wrong_type() => Members::new(),
                Err(failure) => return Err(failure),
            };
            if let Some((first, rest)) = members.split_first()
                && !known.is_behind(&first.0, rest)
                && let Some(id) = Identity::open(&self.domains[slot].key, &key, &first.0)
                && let Some((page, last)) = self.page(slot, id, None, &first.0, rest)
            {
                let epoch = page.epoch;
                self.bans.learn(slot, page);
                return Ok(Head {
                    id,
                    identity: first.0.clone(),
                    epoch,
                    last,
                    touched: Instant::now(),
                });
            }
            let seen = members.into_iter().next().map(|(first, _)| first).unwrap_or_default();
            self.create(slot, &key, &seen).await?;
        }
        Err(Failure::Silent)
    }

    /// Makes a log in place of the one that begins with `seen`; does nothing if another process was faster.
    async fn create(&self, slot: usize, key: &str, seen: &[u8]) -> Result<(), Failure> {
        let Some(identity) = Identity::new(process_id()).seal(&self.domains[slot].key, key) else {
            return Err(Failure::Silent);
        };
        let mut create = CREATE.key(key);
        create.arg(seen).arg(identity).arg(self.log_life());
        let is_made: bool = self.write_script(&create).await?;
        if is_made {
            tracing::info!(
                store = "redis",
                "began a log of bans; what the store held before is not served"
            );
        }
        Ok(())
    }

    /// The bans in some members; `None` if a score is no epoch of ours. A record that does not open counts as a
    /// place in the order alone: who holds another key can fill, not ban.
    fn page(
        &self,
        slot: usize,
        log: u64,
        after: Option<u64>,
        last: &[u8],
        members: &[(Vec<u8>, f64)],
    ) -> Option<(Page, Vec<u8>)> {
        let key = self.domains[slot].bans();
        let mut page = Page {
            log,
            after,
            epoch: after.unwrap_or_default(),
            bans: Vec::with_capacity(members.len()),
        };
        for (member, score) in members {
            page.epoch = epoch(*score)?;
            let stamp = Stamp { log, epoch: page.epoch };
            match Record::open(&self.domains[slot].key, &key, stamp, member) {
                Some(live) => page.bans.push((page.epoch, live)),
                None => StoreStats::count(&self.stats.bad_entries),
            }
        }
        let last = members.last().map_or(last, |(member, _)| member).to_vec();
        Some((page, last))
    }

    /// Keeps the log within its bound: the oldest two bans become one that kills at least what they did.
    async fn merge_oldest(&self, slot: usize, count: i64) {
        let key = self.domains[slot].bans();
        let over = usize::try_from(count).unwrap_or_default().saturating_sub(LIVE_MAX + 1);
        for _ in 0..over.min(TRIES) {
            if let Err(error) = self.merge_two(&self.domains[slot].key, &key).await {
                tracing::debug!(store = "redis", %error, "the log of bans stays long for now");
                return;
            }
        }
    }

    async fn merge_two(&self, namespace: &NamespaceKey, key: &str) -> Result<(), Failure> {
        let mut read = redis::pipe();
        read.cmd("ZRANGE").arg(key).arg(0).arg(2).arg("WITHSCORES");
        let (members,): (Members,) = self.read_pipe(&read).await?;
        let [(identity, _), (first, a), (second, b)] = &members[..] else {
            return Ok(());
        };
        let (Some(id), Some(a), Some(b)) = (Identity::open(namespace, key, identity), epoch(*a), epoch(*b)) else {
            return Ok(());
        };
        let open = |epoch, member| Record::open(namespace, key, Stamp { log: id, epoch }, member);
        let merged = match (open(a, first), open(b, second)) {
            (Some(first), Some(second)) => Some(first.merge(second)),
            (first, second) => first.or(second),
        };
        let stamp = Stamp { log: id, epoch: b };
        let merged = merged.and_then(|live| Record::new(stamp, &live).seal(namespace, key));
        let mut merge = MERGE.key(key);
        merge.arg(first).arg(second).arg(b).arg(merged.unwrap_or_default());
        self.write_script(&merge).await
    }

    /// Puts the log's expiry off, seldom.
    async fn touch(&self, key: &str, touched: Instant) -> Instant {
        if touched.elapsed() < SPARE_LIFE / 24 {
            return touched;
        }
        let mut expire = redis::pipe();
        expire.cmd("PEXPIRE").arg(key).arg(self.log_life()).ignore();
        match self.read_pipe::<()>(&expire).await {
            Ok(()) => Instant::now(),
            Err(_) => touched,
        }
    }

    fn log_life(&self) -> u64 {
        u64::try_from((self.longest_life() + SPARE_LIFE).as_millis()).unwrap_or(u64::MAX)
    }

    async fn read_pipe<T: redis::FromRedisValue>(&self, pipe: &redis::Pipeline) -> Result<T, Failure> {
        let (pass, mut connection) = self.link.reader().ok_or(Failure::Avoided)?;
        let asked = Deadline::after(self.lease.pause().max(READ_MIN))
            .bound(pipe.query_async(&mut connection))
            .await;
        self.judge(pass, asked)
    }

    pub(super) async fn write_script<T: redis::FromRedisValue>(
        &self,
        script: &redis::ScriptInvocation<'_>,
    ) -> Result<T, Failure> {
        let (pass, mut connection) = self.link.writer().ok_or(Failure::Avoided)?;
        let asked = Deadline::after(CALL).bound(script.invoke_async(&mut connection)).await;
        self.judge(pass, asked)
    }
}
