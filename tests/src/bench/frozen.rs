//! A Redis, or a Qdrant, that stops answering for a minute under steady load: what that adds to the requests that meet
//! the freeze, and to all those after them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::Bench;
use super::answers::Request;
use super::client::Connection;
use super::lanes::Quantiles;
use super::process::{Redis, Sidecar, Stores};
use super::report::{Report, Target};
use crate::kit::FakeQdrant;

const POLICY: &str = "  resultCache: {mode: Enforce}\n";
const QUESTIONS: &str = "  resultCache: {mode: Disabled}\n  semanticCache: {mode: Observe}\n";
/// The semantic cache's model is open after less.
const START: Duration = Duration::from_secs(4);
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

/// What the rows of a store are called: requests in flight, then over the minute.
type Rows = [&'static str; 4];
const REDIS: Rows = [
    "frozen Redis adds to requests in flight, largest",
    "frozen Redis adds over 60 s, p50",
    "frozen Redis adds over 60 s, p99",
    "frozen Redis adds over 60 s, largest",
];
const QDRANT: Rows = [
    "frozen Qdrant adds to requests in flight, largest",
    "frozen Qdrant adds over 60 s, p50",
    "frozen Qdrant adds over 60 s, p99",
    "frozen Qdrant adds over 60 s, largest",
];

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, .. } = bench;
    let redis = Redis::start(shop)?;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), Some(redis.address))?;
    tell(
        report,
        &REDIS,
        play(bench, &sidecar, &Request::plain(), || redis.freeze())?,
    )
}

/// The same with the shared index, whose lookups come after a question's vector.
pub(super) fn measure_index(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, .. } = bench;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (redis, qdrant) = (Redis::start(shop)?, runtime.block_on(FakeQdrant::start(None))?);
    let stores = Stores {
        redis: Some(redis.address),
        index: Some(qdrant.url()),
    };
    let sidecar = Sidecar::start_with(shop, QUESTIONS, upstream.address(), &stores)?;
    thread::sleep(START);
    let freeze = || {
        qdrant.freeze(true);
        Ok(())
    };
    tell(report, &QDRANT, play(bench, &sidecar, &Request::question(0), freeze)?)
}

/// What was seen: the calls through a sidecar, those to the provider itself, and when the store froze.
struct Seen {
    calls: Vec<Call>,
    direct: Vec<Call>,
    freeze: Instant,
}

fn tell(report: &mut Report, rows: &Rows, seen: Seen) -> Result<()> {
    let Seen { calls, direct, freeze } = seen;
    let (before, direct_before) = (healthy(&calls, freeze)?, healthy(&direct, freeze)?);
    let meeting = of(&calls, |call| {
        call.begun < freeze + MEETS && call.begun + call.took >= freeze
    })?;
    let is_after = |call: &Call| call.begun >= freeze + MEETS;
    let (after, direct_after) = (of(&calls, is_after)?, of(&direct, is_after)?);
    let [first, p50, p99, largest] = rows;

    let target = (Target::AtMost(25_000.0), "≤ 25 ms");
    let added = meeting.max.saturating_sub(before.p50);
    report.row(first, added.into(), None, target);
    let target = (Target::AtMost(1000.0), "≤ 1 ms");
    let p50s = [after.p50, before.p50, direct_after.p50, direct_before.p50];
    let p99s = [after.p99, before.p99, direct_after.p99, direct_before.p99];
    let most = [after.max, before.max, direct_after.max, direct_before.max];
    for (what, [after, before, direct_after, direct_before], target) in [
        (p50, p50s, target),
        (p99, p99s, target),
        (largest, most, (Target::Informs, "")),
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

fn play(bench: &Bench, sidecar: &Sidecar, ask: &Request, freeze: impl Fn() -> Result<()>) -> Result<Seen> {
    bench.upstream.think(THINK);
    let seen = loaded(bench.upstream.address(), sidecar.address, ask, freeze);
    bench.upstream.think(Duration::ZERO);
    seen
}

fn loaded(upstream: SocketAddr, sidecar: SocketAddr, ask: &Request, freeze: impl Fn() -> Result<()>) -> Result<Seen> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let lane = |address, lane: u64| {
            let is_over = &is_over;
            scope.spawn(move || load(Connection::open(address)?, ask.clone(), lane << 32, is_over))
        };
        let lanes: Vec<_> = (0..CONNECTIONS).map(|n| lane(sidecar, n)).collect();
        let straight = lane(upstream, CONNECTIONS);
        thread::sleep(BEFORE);
        let frozen = freeze();
        let began = Instant::now();
        if frozen.is_ok() {
            thread::sleep(FROZEN);
        }
        is_over.store(true, Ordering::Relaxed);
        let mut calls = Vec::new();
        for lane in lanes {
            calls.extend(lane.join().map_err(|_| anyhow!("a load thread panicked"))??);
        }
        let direct = straight.join().map_err(|_| anyhow!("a load thread panicked"))??;
        frozen?;
        Ok(Seen {
            calls,
            direct,
            freeze: began,
        })
    })
}

fn load(mut connection: Connection, mut ask: Request, first: u64, is_over: &AtomicBool) -> Result<Vec<Call>> {
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
