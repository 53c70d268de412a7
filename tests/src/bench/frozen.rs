//! A Redis that stops answering for a minute under steady load: what that adds to the requests that meet the freeze, and to
//! all those after them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::Bench;
use super::answers::Request;
use super::client::Connection;
use super::lanes::Quantiles;
use super::process::{Redis, Sidecar};
use super::report::{Report, Target};

const POLICY: &str = "  resultCache: {mode: Enforce}\n";
/// How long the store is healthy before, and frozen then.
const BEFORE: Duration = Duration::from_secs(5);
const FROZEN: Duration = Duration::from_mins(1);
/// Twice the store's budget: whoever asks until then may be among the first to find out.
const MEETS: Duration = Duration::from_millis(50);
/// Misses in turn on each connection, at this pause; the upstream takes a while, so that some are in flight at any time.
const CONNECTIONS: u64 = 4;
const PAUSE: Duration = Duration::from_millis(5);
const THINK: Duration = Duration::from_millis(5);

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    bench.upstream.think(THINK);
    let played = play(bench);
    bench.upstream.think(Duration::ZERO);
    let (calls, freeze) = played?;

    let of = |chosen: &dyn Fn(&Call) -> bool| {
        let calls: Vec<_> = calls.iter().filter(|call| chosen(call)).collect();
        ensure!(!calls.is_empty(), "no request to judge by");
        Ok(Quantiles::of(calls.iter().map(|call| call.took)))
    };
    // The first second opens connections.
    let warm = calls.first().map_or(freeze, |call| call.begun + Duration::from_secs(1));
    let before = of(&|call| call.begun > warm && call.begun + call.took < freeze)?;
    let meeting = of(&|call| call.begun < freeze + MEETS && call.begun + call.took >= freeze)?;
    let after = of(&|call| call.begun >= freeze + MEETS)?;

    let target = (Target::AtMost(25_000.0), "≤ 25 ms");
    let added = meeting.max.saturating_sub(before.p50);
    report.row(
        "frozen Redis adds to requests in flight, largest",
        added.into(),
        None,
        target,
    );
    let target = (Target::AtMost(1000.0), "≤ 1 ms");
    let added = after.p50.saturating_sub(before.p50);
    report.row("frozen Redis adds over 60 s, p50", added.into(), None, target);
    let added = after.p99.saturating_sub(before.p99);
    report.row("frozen Redis adds over 60 s, p99", added.into(), None, target);
    report.row(
        "slowest request of those 60 s",
        after.max.into(),
        Some(("before", before.max.into())),
        (Target::Informs, ""),
    );
    Ok(())
}

/// One request of the load.
struct Call {
    begun: Instant,
    took: Duration,
}

/// The calls in the order of their beginning, and when the store froze.
fn play(bench: &Bench) -> Result<(Vec<Call>, Instant)> {
    let Bench { shop, upstream, .. } = bench;
    let redis = Redis::start(shop)?;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), Some(redis.address))?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|lane| {
                let (address, is_over) = (sidecar.address, &is_over);
                scope.spawn(move || load(Connection::open(address)?, lane << 32, is_over))
            })
            .collect();
        thread::sleep(BEFORE);
        let frozen = redis.freeze();
        let freeze = Instant::now();
        if frozen.is_ok() {
            thread::sleep(FROZEN);
        }
        is_over.store(true, Ordering::Relaxed);
        let mut calls = Vec::new();
        for worker in workers {
            calls.extend(worker.join().map_err(|_| anyhow!("a load thread panicked"))??);
        }
        frozen?;
        calls.sort_unstable_by_key(|call| call.begun);
        Ok((calls, freeze))
    })
}

fn load(mut connection: Connection, first: u64, is_over: &AtomicBool) -> Result<Vec<Call>> {
    let mut ask = Request::plain();
    let mut calls = Vec::new();
    for nonce in first.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let begun = Instant::now();
        let timing = connection.call(ask.numbered(nonce))?;
        ensure!(!timing.hit, "a request that should be a miss was not");
        calls.push(Call {
            begun,
            took: timing.total,
        });
        thread::sleep(PAUSE);
    }
    Ok(calls)
}
