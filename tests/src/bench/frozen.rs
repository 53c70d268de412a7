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
/// Left out at the beginning.
const WARM: Duration = Duration::from_secs(1);
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
    let (calls, direct, freeze) = played?;

    let (before, direct_before) = (healthy(&calls, freeze)?, healthy(&direct, freeze)?);
    let meeting = of(&calls, |call| {
        call.begun < freeze + MEETS && call.begun + call.took >= freeze
    })?;
    let is_after = |call: &Call| call.begun >= freeze + MEETS;
    let (after, direct_after) = (of(&calls, is_after)?, of(&direct, is_after)?);

    let target = (Target::AtMost(25_000.0), "≤ 25 ms");
    let added = meeting.max.saturating_sub(before.p50);
    report.row(
        "frozen Redis adds to requests in flight, largest",
        added.into(),
        None,
        target,
    );
    let target = (Target::AtMost(1000.0), "≤ 1 ms");
    let p50 = [after.p50, before.p50, direct_after.p50, direct_before.p50];
    let p99 = [after.p99, before.p99, direct_after.p99, direct_before.p99];
    let max = [after.max, before.max, direct_after.max, direct_before.max];
    for (what, [after, before, direct_after, direct_before], target) in [
        ("frozen Redis adds over 60 s, p50", p50, target),
        ("frozen Redis adds over 60 s, p99", p99, target),
        ("frozen Redis adds over 60 s, largest", max, (Target::Informs, "")),
    ] {
        // What direct calls became slower by in the meantime is the machine's.
        let machine = direct_after.saturating_sub(direct_before);
        let added = after.saturating_sub(before).saturating_sub(machine);
        report.row(what, added.into(), Some(("direct, of itself", machine.into())), target);
    }
    Ok(())
}

/// One request of the load.
#[derive(Clone, Copy)]
struct Call {
    begun: Instant,
    took: Duration,
}

fn of(calls: &[Call], is_chosen: impl Fn(&Call) -> bool) -> Result<Quantiles> {
    let chosen: Vec<_> = calls.iter().filter(|call| is_chosen(call)).collect();
    ensure!(!chosen.is_empty(), "no request to judge by");
    Ok(Quantiles::of(chosen.iter().map(|call| call.took)))
}

/// The calls before the freeze but for the first second's, which opens connections.
fn healthy(calls: &[Call], freeze: Instant) -> Result<Quantiles> {
    let first = calls.iter().map(|call| call.begun).min().unwrap_or(freeze);
    of(calls, |call| {
        call.begun > first + WARM && call.begun + call.took < freeze
    })
}

/// The calls through a sidecar, those to the provider itself, and when the store froze.
fn play(bench: &Bench) -> Result<(Vec<Call>, Vec<Call>, Instant)> {
    let Bench { shop, upstream, .. } = bench;
    let redis = Redis::start(shop)?;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), Some(redis.address))?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let lane = |address, lane: u64| {
            let is_over = &is_over;
            scope.spawn(move || load(Connection::open(address)?, lane << 32, is_over))
        };
        let loaded: Vec<_> = (0..CONNECTIONS).map(|n| lane(sidecar.address, n)).collect();
        let direct = lane(upstream.address(), CONNECTIONS);
        thread::sleep(BEFORE);
        let frozen = redis.freeze();
        let freeze = Instant::now();
        if frozen.is_ok() {
            thread::sleep(FROZEN);
        }
        is_over.store(true, Ordering::Relaxed);
        let mut calls = Vec::new();
        for lane in loaded {
            calls.extend(lane.join().map_err(|_| anyhow!("a load thread panicked"))??);
        }
        let direct = direct.join().map_err(|_| anyhow!("a load thread panicked"))??;
        frozen?;
        Ok((calls, direct, freeze))
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
