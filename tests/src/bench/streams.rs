//! Streamed misses of 64 frames that are recorded on the way: first byte, and what one frame costs.
//!
//! A frame's cost is the difference between long and short streams, over frames that arrive together (work alone) and
//! over frames that arrive one by one (work and two system calls each, which no proxy can save).

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::answers::{FEW_FRAMES, FRAMES, Request};
use super::lanes::{self, Lane};
use super::process::Sidecar;
use super::report::{Figure, Report, Target};

const POLICY: &str = "  resultCache: {mode: Enforce}\n";

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, nginx } = bench;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), None)?;
    let shapes = [
        ("CPU per frame, frames together", shop.plan.requests, false),
        (
            "CPU per frame, frames one by one",
            (shop.plan.requests / 40).max(1),
            true,
        ),
    ];
    for (what, requests, paced) in shapes {
        let (long, short) = (Request::stream(FRAMES, paced), Request::stream(FEW_FRAMES, paced));
        let mut lanes = [
            Lane::to(upstream.address(), None, &long)?,
            Lane::to(nginx.address, Some(&nginx.process), &long)?,
            Lane::to(nginx.address, Some(&nginx.process), &short)?,
            Lane::to(sidecar.address, Some(&sidecar.process), &long)?,
            Lane::to(sidecar.address, Some(&sidecar.process), &short)?,
        ];
        lanes::play(&shop.plan, requests, &mut lanes)?;
        let [direct, nginx_long, nginx_short, long, short] = &lanes;
        if !paced {
            report_first_byte(report, direct, nginx_long, long);
        }
        report.row(
            what,
            per_frame(long, short),
            Some(("nginx", per_frame(nginx_long, nginx_short))),
            (Target::AtMost(1.0), "≤ 1 µs"),
        );
    }
    Ok(())
}

fn report_first_byte(report: &mut Report, direct: &Lane<'_>, nginx: &Lane<'_>, sidecar: &Lane<'_>) {
    report.row(
        "stream of 64 frames, added first byte p50",
        sidecar.added(direct, |round| round.first_byte.p50).into(),
        Some(("nginx", nginx.added(direct, |round| round.first_byte.p50).into())),
        (Target::Informs, ""),
    );
    report.row(
        "stream of 64 frames, added first byte p99",
        sidecar.added(direct, |round| round.first_byte.p99).into(),
        Some(("nginx", nginx.added(direct, |round| round.first_byte.p99).into())),
        (Target::AtMost(200.0), "≤ 200 µs"),
    );
}

fn per_frame(long: &Lane<'_>, short: &Lane<'_>) -> Figure {
    let frames = u32::try_from(FRAMES - FEW_FRAMES).unwrap_or(u32::MAX);
    let cpu: Duration = long.added(short, |round| round.cpu);
    (cpu / frames).into()
}
