//! Two sidecars on one Redis, asked the same at the same time: how often the provider is asked, and how much later than the
//! process that asks it the other one has the answer.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::Bench;
use super::answers::Request;
use super::client::Connection;
use super::hits::{THINK, calls_for_identical};
use super::lanes::Quantiles;
use super::process::{Redis, Sidecar};
use super::report::{Figure, Report, Target};

const POLICY: &str = "  resultCache: {mode: Enforce}\n";
/// Pairs of leader and follower at once, each on connections of its own.
const PAIRS: u64 = 4;
/// How much later the follower asks: by then the leader's lease is taken.
const HEAD_START: Duration = Duration::from_millis(50);

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, .. } = bench;
    let redis = Redis::start(shop)?;
    let start = || Sidecar::start(shop, POLICY, upstream.address(), Some(redis.address));
    let sidecars = [start()?, start()?];
    let measured = measure_calls(bench, &sidecars, report).and_then(|()| measure_followers(bench, &sidecars, report));
    upstream.think(Duration::ZERO);
    measured
}

fn measure_calls(bench: &Bench, sidecars: &[Sidecar; 2], report: &mut Report) -> Result<()> {
    let servers = sidecars.each_ref().map(|sidecar| sidecar.address);
    let ask = Request::plain();
    bench.upstream.think(THINK);
    let calls = (1..=bench.shop.plan.rounds as u64)
        .map(|nonce| calls_for_identical(bench, &servers, &ask, nonce))
        .collect::<Result<Vec<_>>>()?;
    report.row(
        "20 identical calls at once across two pods, plain: upstream calls, most",
        Figure::Count(calls.into_iter().max().unwrap_or_default()),
        None,
        (Target::AtMost(1.0), "1"),
    );
    Ok(())
}

fn measure_followers(bench: &Bench, sidecars: &[Sidecar; 2], report: &mut Report) -> Result<()> {
    let rows = [
        (
            Duration::from_millis(200),
            25,
            "follower behind its leader in another pod, call of 0.2 s, p50",
            "follower behind its leader in another pod, call of 0.2 s, p99",
        ),
        (
            Duration::from_secs(1),
            10,
            "follower behind its leader in another pod, call of 1 s, p50",
            "follower behind its leader in another pod, call of 1 s, p99",
        ),
    ];
    for (place, (think, turns, p50, p99)) in (1..).zip(rows) {
        bench.upstream.think(think);
        let behind = behind(sidecars, place << 48, turns)?;
        let asked = usize::try_from(PAIRS * turns)?;
        let followed = behind.len();
        ensure!(followed * 10 >= asked * 9, "{followed} of {asked} followers followed");
        let behind = Quantiles::of(behind.into_iter());
        report.row(p50, behind.p50.into(), None, (Target::Informs, ""));
        report.row(p99, behind.p99.into(), None, (Target::Informs, ""));
    }
    Ok(())
}

/// How much later than its leader each follower had its answer; who went to the provider by itself is none.
fn behind(sidecars: &[Sidecar; 2], first: u64, turns: u64) -> Result<Vec<Duration>> {
    thread::scope(|scope| {
        let pairs: Vec<_> = (0..PAIRS)
            .map(|pair| scope.spawn(move || pair_up(sidecars, first + (pair << 32), turns)))
            .collect();
        let mut all = Vec::new();
        for pair in pairs {
            all.extend(pair.join().map_err(|_| anyhow!("a pair panicked"))??);
        }
        Ok(all)
    })
}

fn pair_up([leader, follower]: &[Sidecar; 2], first: u64, turns: u64) -> Result<Vec<Duration>> {
    let (mut ahead, mut behind) = (Connection::open(leader.address)?, Connection::open(follower.address)?);
    let mut times = Vec::new();
    for nonce in first..first + turns {
        let (is_shared, difference) = thread::scope(|scope| {
            let answer = scope.spawn(|| ended(&mut ahead, nonce));
            thread::sleep(HEAD_START);
            let (said, had_by_follower) = ended(&mut behind, nonce).context("the follower")?;
            let (_, had_by_leader) = answer.join().map_err(|_| anyhow!("a leader panicked"))??;
            let difference = had_by_follower.saturating_duration_since(had_by_leader);
            anyhow::Ok((said.contains("; collapsed"), difference))
        })?;
        times.extend(is_shared.then_some(difference));
    }
    Ok(times)
}

/// A call's answer, and when it was whole.
fn ended(connection: &mut Connection, nonce: u64) -> Result<(String, Instant)> {
    let said = connection.fetch(Request::plain().numbered(nonce))?;
    Ok((said, Instant::now()))
}
