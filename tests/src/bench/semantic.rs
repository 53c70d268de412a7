//! A question that is embedded and compared: what that adds to a miss by its length, and the memory it takes. All
//! questions are of one partition, which grows to its bound meanwhile; a number in each keeps them apart.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::Bench;
use super::answers::Request;
use super::client::Connection;
use super::lanes::{self, Lane, Nonces, Quantiles};
use super::memory;
use super::process::Sidecar;
use super::report::{Figure, Report, Target};

/// Nothing is late, so that every figure is a whole lookup's.
const POLICY: &str = "  resultCache: {mode: Disabled, storeBudget: 1s}\n  semanticCache: {mode: Observe}\n";
const WITHOUT: &str = "  resultCache: {mode: Disabled}\n";
/// The model is open after less.
const START: Duration = Duration::from_secs(4);
/// Questions of a length, of the plan's requests.
const PART: usize = 4;
const CALLERS: u64 = 4;
/// Words after the number, which is 11 tokens, with the model's two marks.
const LENGTHS: [(usize, [&str; 2], Target, &str); 3] = [
    (
        0,
        [
            "semantic lookup of 12 tokens adds, p50",
            "semantic lookup of 12 tokens adds, p99",
        ],
        Target::AtMost(3_000.0),
        "≤ 3 ms",
    ),
    (
        28,
        [
            "semantic lookup of 40 tokens adds, p50",
            "semantic lookup of 40 tokens adds, p99",
        ],
        Target::AtMost(8_000.0),
        "≤ 8 ms",
    ),
    (
        114,
        [
            "semantic lookup of 128 tokens adds, p50",
            "semantic lookup of 128 tokens adds, p99",
        ],
        Target::AtMost(20_000.0),
        "≤ 20 ms",
    ),
];

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, .. } = bench;
    let with = Sidecar::start(shop, POLICY, upstream.address(), None)?;
    let without = Sidecar::start(shop, WITHOUT, upstream.address(), None)?;
    thread::sleep(START);
    let resident = memory::settled(&with.process)? + with.process.children_mib()?;
    report.row(
        "idle memory with embedder",
        Figure::Mebibytes(resident),
        Some(("without", Figure::Mebibytes(memory::settled(&without.process)?))),
        (Target::AtMost(100.0), "≤ 100 MiB"),
    );
    for (at, (words, [p50, p99], target, said)) in (0_u64..).zip(LENGTHS) {
        let ask = Request::question(words);
        let mut lanes = [
            Lane::to(without.address, None, &ask)?,
            Lane::to(with.address, None, &ask)?.under(Nonces::Fresh(at << 40)),
        ];
        lanes::play(&shop.plan, shop.plan.requests / PART, &mut lanes)?;
        let [without, with] = &lanes;
        let base = |figure: fn(&lanes::Round) -> Duration| Some(("without the layer", without.median(figure).into()));
        report.row(
            p50,
            with.added(without, |round| round.total.p50).into(),
            base(|round| round.total.p50),
            (Target::Informs, ""),
        );
        report.row(
            p99,
            with.added(without, |round| round.total.p99).into(),
            base(|round| round.total.p99),
            (target, said),
        );
    }
    at_once(&with, shop.plan.requests / PART, report)
}

/// Four callers in turn, each on a connection of its own; the model is asked one question at a time.
fn at_once(with: &Sidecar, requests: usize, report: &mut Report) -> Result<()> {
    let times = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                scope.spawn(move || {
                    let (mut connection, mut ask) = (Connection::open(with.address)?, Request::question(0));
                    let first = (caller + 8) << 40;
                    let call = |at| {
                        let began = Instant::now();
                        connection.call(ask.numbered(first + at)).map(|_| began.elapsed())
                    };
                    (0..requests as u64).map(call).collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.join().map_err(|_| anyhow!("a caller panicked"))??);
        }
        anyhow::Ok(times)
    })?;
    let quantiles = Quantiles::of(times.into_iter());
    for (what, time) in [
        ("semantic miss of 12 tokens, 4 at once, p50", quantiles.p50),
        ("semantic miss of 12 tokens, 4 at once, p99", quantiles.p99),
    ] {
        report.row(what, time.into(), None, (Target::Informs, ""));
    }
    Ok(())
}
