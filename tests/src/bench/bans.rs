//! Bans across sidecars on one Redis: how long after the reply to the one that set it another one still serves the entry.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::Bench;
use super::answers::{self, Request};
use super::client::Connection;
use super::lanes::Quantiles;
use super::process::{Redis, Sidecar};
use super::report::{Report, Target};

/// The budget is wide: a slow moment of the store is not the question here.
const POLICY: &str = "  resultCache: {mode: Enforce, storeBudget: 1s}\n";
const SIDECARS: u64 = 8;
const ROUNDS: u64 = 6;
/// Entries polled at once, and banned one after the other at this distance.
const ENTRIES: u64 = 8;
const APART: Duration = Duration::from_millis(120);
/// Polling goes on so long after a round's last ban: well above the second that a ban may take.
const TAIL: Duration = Duration::from_millis(1500);
/// Between two polls of one sidecar: eight sidecars and their clients share two cores.
const PAUSE: Duration = Duration::from_millis(1);
/// An entry that is not everywhere by then was not stored.
const LOAD_LIMIT: Duration = Duration::from_secs(10);

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, .. } = bench;
    let redis = Redis::start(shop)?;
    let sidecars = (0..SIDECARS)
        .map(|_| Sidecar::start(shop, POLICY, upstream.address(), Some(redis.address)))
        .collect::<Result<Vec<_>>>()?;
    let mut dead = Vec::new();
    for round in 0..ROUNDS {
        dead.extend(play(&sidecars, round)?);
    }
    let dead = Quantiles::of(dead.into_iter());
    report.row(
        "ban to dead across 8 sidecars, p50",
        dead.p50.into(),
        None,
        (Target::Informs, ""),
    );
    let target = (Target::AtMost(1e6), "≤ 1 s");
    report.row(
        "ban to dead across 8 sidecars, p99 of 48",
        dead.p99.into(),
        None,
        target,
    );
    Ok(())
}

/// One poll that was answered with the entry.
#[derive(Clone, Copy)]
struct Hit {
    begun: Instant,
    ended: Instant,
}

/// For each ban of the round: from its reply to the last hit of its entry in any other sidecar.
fn play(sidecars: &[Sidecar], round: u64) -> Result<Vec<Duration>> {
    let first = round * ENTRIES;
    load(sidecars, first)?;
    let is_over = AtomicBool::new(false);
    let (banned, watched) = thread::scope(|scope| {
        let pollers: Vec<_> = sidecars
            .iter()
            .map(|sidecar| scope.spawn(|| watch(sidecar, first, &is_over)))
            .collect();
        let banned = ban_each(sidecars, first);
        if banned.is_ok() {
            thread::sleep(TAIL);
        }
        is_over.store(true, Ordering::Relaxed);
        let watched = pollers
            .into_iter()
            .map(|poller| poller.join().map_err(|_| anyhow!("a poller panicked"))?)
            .collect::<Result<Vec<_>>>()?;
        anyhow::Ok((banned?, watched))
    })?;
    banned
        .iter()
        .enumerate()
        .map(|(entry, &(issuer, replied))| {
            let own = watched[issuer][entry];
            ensure!(
                own.begun <= replied,
                "the sidecar that set a ban served its entry after it"
            );
            let others = watched.iter().map(|hits| hits[entry].ended);
            Ok(others
                .map(|last| last.saturating_duration_since(replied))
                .max()
                .unwrap_or_default())
        })
        .collect()
}

/// Every sidecar has every entry, bought by the first one that was asked.
fn load(sidecars: &[Sidecar], first: u64) -> Result<()> {
    let (mut ask, mut cached) = (Request::tagged(), Request::tagged().only_if_cached());
    let deadline = Instant::now() + LOAD_LIMIT;
    for sidecar in sidecars {
        let mut connection = Connection::open(sidecar.address)?;
        for nonce in first..first + ENTRIES {
            while !connection.finds(cached.numbered(nonce))? {
                ensure!(Instant::now() < deadline, "an entry is not kept by every sidecar");
                connection.call(ask.numbered(nonce))?;
                thread::sleep(PAUSE);
            }
        }
    }
    Ok(())
}

/// Bans every entry of the round, each by another sidecar; gives which one, and when it replied.
fn ban_each(sidecars: &[Sidecar], first: u64) -> Result<Vec<(usize, Instant)>> {
    sidecars
        .iter()
        .enumerate()
        .cycle()
        .zip(first..first + ENTRIES)
        .map(|((issuer, sidecar), nonce)| {
            thread::sleep(APART);
            let reply = Connection::open(sidecar.address)?.fetch(&answers::ban(&answers::tag(nonce)))?;
            let replied = Instant::now();
            ensure!(
                reply.contains("\"Store\""),
                "the ban reached its own process alone: {reply}"
            );
            Ok((issuer, replied))
        })
        .collect()
}

/// Polls the round's entries in turn; gives the last hit of each.
fn watch(sidecar: &Sidecar, first: u64, is_over: &AtomicBool) -> Result<Vec<Hit>> {
    let mut connection = Connection::open(sidecar.address)?;
    let mut cached = Request::tagged().only_if_cached();
    let mut last = vec![None; usize::try_from(ENTRIES)?];
    while !is_over.load(Ordering::Relaxed) {
        for (nonce, last) in (first..).zip(&mut last) {
            let begun = Instant::now();
            if connection.finds(cached.numbered(nonce))? {
                let ended = Instant::now();
                *last = Some(Hit { begun, ended });
            }
            thread::sleep(PAUSE);
        }
    }
    let last: Option<Vec<Hit>> = last.into_iter().collect();
    last.ok_or_else(|| anyhow!("an entry was dead before its ban"))
}
