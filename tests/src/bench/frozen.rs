//! A Redis that stops answering in the middle of traffic: what it adds to the first request, and to those after it.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::answers::Request;
use super::client::Connection;
use super::lanes::{self, Quantiles};
use super::process::{Redis, Sidecar};
use super::report::{Report, Target};

const POLICY: &str = "  resultCache: {mode: Enforce}\n";
/// Misses before the freeze, and after the one that meets it.
const REQUESTS: u64 = 200;

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let rounds = (0..bench.shop.plan.rounds)
        .map(|_| round(bench))
        .collect::<Result<Vec<_>>>()?;
    let first = lanes::median(rounds.iter().map(|round| round.first));
    let after = lanes::median(rounds.iter().map(|round| round.after));
    let target = (Target::AtMost(25_000.0), "≤ 25 ms");
    report.row("frozen Redis adds to the first request", first.into(), None, target);
    let target = (Target::AtMost(1000.0), "≤ 1 ms");
    report.row("frozen Redis adds to later requests, p99", after.into(), None, target);
    Ok(())
}

/// What the freeze adds over the same quantile of misses before it.
struct Round {
    first: Duration,
    after: Duration,
}

fn round(bench: &Bench) -> Result<Round> {
    let Bench { shop, upstream, .. } = bench;
    let redis = Redis::start(shop)?;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), Some(redis.address))?;
    let mut connection = Connection::open(sidecar.address)?;
    let mut ask = Request::plain();
    let mut call = |nonce| connection.call(ask.numbered(nonce)).map(|timing| timing.total);

    let before = Quantiles::of((0..REQUESTS).map(&mut call).collect::<Result<Vec<_>>>()?.into_iter());
    redis.freeze()?;
    let first = call(REQUESTS)?;
    let after = (REQUESTS + 1..2 * REQUESTS)
        .map(&mut call)
        .collect::<Result<Vec<_>>>()?;
    Ok(Round {
        first: first.saturating_sub(before.p50),
        after: Quantiles::of(after.into_iter()).p99.saturating_sub(before.p99),
    })
}
