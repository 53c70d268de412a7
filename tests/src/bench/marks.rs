//! A 400 KB conversation that is parsed, keyed, marked and sent, each time with a new last turn.

use anyhow::{Result, ensure};

use super::Bench;
use super::answers::Request;
use super::lanes::{self, Lane};
use super::process::Sidecar;
use super::report::{Report, Target};

const POLICY: &str = "  resultCache: {mode: Enforce}\n  promptCache: {mode: Enforce, strategy: Always}\n";

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, nginx } = bench;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), None)?;
    let ask = Request::large();
    let requests = (shop.plan.requests / 10).max(1);
    let marked = upstream.marked();
    let mut lanes = [
        Lane::to(upstream.address(), None, &ask)?,
        Lane::to(nginx.address, Some(&nginx.process), &ask)?,
        Lane::to(sidecar.address, Some(&sidecar.process), &ask)?,
    ];
    lanes::play(&shop.plan, requests, &mut lanes)?;
    let marked = upstream.marked() - marked;
    let sent = lanes::sent(&shop.plan, requests) as u64;
    ensure!(
        marked == sent,
        "only {marked} of {sent} bodies reached the upstream with marks"
    );

    let [direct, nginx, sidecar] = &lanes;
    report.row(
        "400 KB body with marks, added p50",
        sidecar.added(direct, |round| round.total.p50).into(),
        Some(("nginx, no marks", nginx.added(direct, |round| round.total.p50).into())),
        (Target::AtMost(2000.0), "≤ 2 ms"),
    );
    report.row(
        "CPU per 400 KB body with marks",
        sidecar.median(|round| round.cpu).into(),
        Some(("nginx, no marks", nginx.median(|round| round.cpu).into())),
        (Target::Informs, ""),
    );
    Ok(())
}
