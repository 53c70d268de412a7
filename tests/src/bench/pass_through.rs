//! What a call costs that the policy leaves alone, against nginx doing the same.

use anyhow::Result;

use super::Bench;
use super::answers::Request;
use super::lanes::{self, Lane, Round};
use super::process::Sidecar;
use super::report::{Report, Target};

const POLICY: &str = "  mode: Disabled\n";

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, nginx } = bench;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), None)?;
    let (ask, opaque) = (Request::plain(), Request::opaque());
    let mut lanes = [
        Lane::to(upstream.address(), None, &ask)?,
        Lane::to(nginx.address, Some(&nginx.process), &ask)?,
        Lane::to(sidecar.address, Some(&sidecar.process), &ask)?,
        Lane::to(sidecar.address, Some(&sidecar.process), &opaque)?,
    ];
    lanes::play(&shop.plan, shop.plan.requests, &mut lanes)?;

    let [direct, nginx, sidecar, opaque] = &lanes;
    let (p50, p99) = (|round: &Round| round.total.p50, |round: &Round| round.total.p99);
    let added = |lane: &Lane<'_>, figure: fn(&Round) -> std::time::Duration| lane.added(direct, figure).into();
    report.row(
        "direct call, p50",
        direct.median(p50).into(),
        None,
        (Target::Informs, ""),
    );
    report.row(
        "direct call, p99",
        direct.median(p99).into(),
        None,
        (Target::Informs, ""),
    );
    report.row(
        "pass-through, one connection, added p50",
        added(sidecar, p50),
        Some(("nginx", added(nginx, p50))),
        (Target::RatioAtMost(1.5), "≤ 1.5× nginx"),
    );
    report.row(
        "pass-through, one connection, added p99",
        added(sidecar, p99),
        Some(("nginx", added(nginx, p99))),
        (Target::RatioAtMost(2.0), "≤ 2× nginx"),
    );
    report.row(
        "CPU per pass-through request",
        sidecar.median(|round| round.cpu).into(),
        Some(("nginx", nginx.median(|round| round.cpu).into())),
        (Target::AtMost(100.0), "≤ 100 µs"),
    );
    report.row(
        "the same on a path that is not typed, added p50",
        added(opaque, p50),
        Some(("nginx", added(nginx, p50))),
        (Target::Informs, ""),
    );
    Ok(())
}
