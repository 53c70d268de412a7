//! Exact hits: latency in process and through Redis, throughput, and identical calls at the same time.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::answers::{FRAMES, Request};
use super::client::Connection;
use super::lanes::{self, Lane, Nonces};
use super::process::{Redis, Sidecar};
use super::report::{Figure, Report, Target};
use super::{Bench, Plan};

const POLICY: &str = "  resultCache: {mode: Enforce}\n";
/// Distinct answers that the in-process rows ask for in turn.
const KEYS: u64 = 256;
/// An answer is stored behind its last byte; a key not served by this deadline was not stored at all.
const STORE_LIMIT: Duration = Duration::from_secs(5);
const CONNECTIONS: u64 = 4;
const CALLERS: usize = 20;
/// Long enough that all callers have asked before the first answer begins.
pub(super) const THINK: Duration = Duration::from_millis(200);

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, .. } = bench;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), None)?;
    let ask = Request::plain();
    store(sidecar.address, &ask, 0..KEYS)?;
    await_hit(sidecar.address, &ask, KEYS - 1)?;

    let mut lanes = [
        Lane::to(upstream.address(), None, &ask)?,
        Lane::to(sidecar.address, Some(&sidecar.process), &ask)?
            .under(Nonces::Cycle(0, KEYS))
            .expecting_hits(),
    ];
    lanes::play(&shop.plan, shop.plan.requests, &mut lanes)?;
    let [direct, hits] = &lanes;
    let direct_p50 = direct.median(|round| round.total.p50).into();
    let direct_p99 = direct.median(|round| round.total.p99).into();
    report.row(
        "exact hit in process, one connection, p50",
        hits.median(|round| round.total.p50).into(),
        Some(("direct", direct_p50)),
        (Target::AtMost(100.0), "≤ 100 µs"),
    );
    report.row(
        "exact hit in process, one connection, p99",
        hits.median(|round| round.total.p99).into(),
        Some(("direct", direct_p99)),
        (Target::AtMost(300.0), "≤ 300 µs"),
    );
    report.row(
        "CPU per exact hit",
        hits.median(|round| round.cpu).into(),
        None,
        (Target::Informs, ""),
    );

    measure_throughput(bench, &sidecar, &ask, report)?;
    measure_redis(bench, report)
}

fn measure_throughput(bench: &Bench, sidecar: &Sidecar, ask: &Request, report: &mut Report) -> Result<()> {
    let Plan { rounds, requests, .. } = bench.shop.plan;
    let mut direct = Vec::new();
    let mut hits = Vec::new();
    for _ in 0..rounds {
        direct.push(per_request(bench.upstream.address(), ask, requests, false)?);
        hits.push(per_request(sidecar.address, ask, requests, true)?);
    }
    let rate = |times: Vec<Duration>| Figure::PerSecond(lanes::median(times.into_iter()).as_secs_f64().recip());
    report.row(
        "hits per second, 4 connections, 1 KB in, 2 KB out",
        rate(hits),
        Some(("direct", rate(direct))),
        (Target::AtLeast(20_000.0), "≥ 20 000 /s"),
    );
    Ok(())
}

/// Wall time per request of `CONNECTIONS` threads that each send `requests`.
fn per_request(address: SocketAddr, ask: &Request, requests: usize, hit: bool) -> Result<Duration> {
    let connect = |_| Connection::open(address);
    let connections = (0..CONNECTIONS).map(connect).collect::<Result<Vec<_>>>()?;
    let begun = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                let mut ask = ask.clone();
                scope.spawn(move || -> Result<()> {
                    for nonce in 0..requests as u64 {
                        let timing = connection.call(ask.numbered(nonce % KEYS))?;
                        ensure!(timing.hit == hit, "a request that should be a hit was not");
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a load thread panicked"))?)
    })?;
    let sent = u32::try_from(requests)?.max(1) * u32::try_from(CONNECTIONS)?;
    Ok(begun.elapsed() / sent)
}

/// One process stores, a second one with the same secret asks each key once: its own memory cannot have it.
fn measure_redis(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, .. } = bench;
    let redis = Redis::start(shop)?;
    let ask = Request::plain();
    let keys = lanes::sent(&shop.plan, shop.plan.requests) as u64;
    {
        let writer = Sidecar::start(shop, POLICY, upstream.address(), Some(redis.address))?;
        store(writer.address, &ask, 1..keys + 1)?;
        // The writes to Redis are behind the answers and in their order, so the last one closes the set.
        let probe = Sidecar::start(shop, POLICY, upstream.address(), Some(redis.address))?;
        await_hit(probe.address, &ask, keys)?;
    }
    let reader = Sidecar::start(shop, POLICY, upstream.address(), Some(redis.address))?;
    let mut lanes = [
        Lane::to(upstream.address(), None, &ask)?,
        Lane::to(reader.address, Some(&reader.process), &ask)?.expecting_hits(),
    ];
    lanes::play(&shop.plan, shop.plan.requests, &mut lanes)?;
    let [direct, hits] = &lanes;
    report.row(
        "exact hit through Redis, one connection, p50",
        hits.median(|round| round.total.p50).into(),
        Some(("direct", direct.median(|round| round.total.p50).into())),
        (Target::Informs, ""),
    );
    report.row(
        "exact hit through Redis, one connection, p99",
        hits.median(|round| round.total.p99).into(),
        Some(("direct", direct.median(|round| round.total.p99).into())),
        (Target::AtMost(1000.0), "≤ 1 ms"),
    );
    Ok(())
}

pub(super) fn store(address: SocketAddr, ask: &Request, nonces: std::ops::Range<u64>) -> Result<()> {
    let mut connection = Connection::open(address)?;
    let mut ask = ask.clone();
    nonces
        .into_iter()
        .try_for_each(|nonce| connection.call(ask.numbered(nonce)).map(drop))
}

fn await_hit(address: SocketAddr, ask: &Request, nonce: u64) -> Result<()> {
    let mut connection = Connection::open(address)?;
    let mut ask = ask.clone();
    let deadline = Instant::now() + STORE_LIMIT;
    while !connection.call(ask.numbered(nonce))?.hit {
        ensure!(Instant::now() < deadline, "an answer was never stored");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// How many calls reach the provider when `CALLERS` ask the same at once.
pub(super) fn measure_single_flight(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, .. } = bench;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), None)?;
    let shapes = [
        ("20 identical calls at once, plain: upstream calls", Request::plain()),
        (
            "20 identical calls at once, streamed: upstream calls",
            Request::stream(FRAMES, true),
        ),
    ];
    upstream.think(THINK);
    for (what, ask) in shapes {
        let direct = calls_for_identical(bench, &[upstream.address()], &ask, 0)?;
        let calls = calls_for_identical(bench, &[sidecar.address], &ask, 0)?;
        let baseline = Some(("direct", Figure::Count(direct)));
        report.row(what, Figure::Count(calls), baseline, (Target::AtMost(1.0), "1"));
    }
    upstream.think(Duration::ZERO);
    Ok(())
}

/// Upstream calls when `CALLERS` ask the same at once, spread evenly over these servers.
pub(super) fn calls_for_identical(bench: &Bench, servers: &[SocketAddr], ask: &Request, nonce: u64) -> Result<u64> {
    let before = bench.upstream.calls();
    let gate = Barrier::new(CALLERS);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .zip(servers.iter().cycle())
            .map(|(_, &server)| {
                let mut ask = ask.clone();
                let gate = &gate;
                scope.spawn(move || -> Result<()> {
                    // Whoever cannot connect still passes the gate: the others would wait for ever.
                    let connection = Connection::open(server);
                    gate.wait();
                    connection?.call(ask.numbered(nonce)).map(drop)
                })
            })
            .collect();
        callers
            .into_iter()
            .try_for_each(|caller| caller.join().map_err(|_| anyhow!("a caller panicked"))?)
    })
    .context("identical calls at once")?;
    Ok(bench.upstream.calls() - before)
}
