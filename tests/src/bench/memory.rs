//! Resident memory of a fresh process, and its peak under distinct and large requests.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::answers::Request;
use super::client::Connection;
use super::process::{Process, Sidecar};
use super::report::{Figure, Report, Target};

const POLICY: &str = "  resultCache: {mode: Enforce}\n  promptCache: {mode: Enforce, strategy: Always}\n";
const KIB_PER_MIB: f64 = 1024.0;

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { shop, upstream, nginx } = bench;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), None)?;
    let idle = Figure::Mebibytes(settled(&sidecar.process)?);
    report.row(
        "idle memory without embedder",
        idle,
        Some(("nginx", Figure::Mebibytes(settled(&nginx.process)?))),
        (Target::AtMost(12.0), "≤ 12 MiB"),
    );

    let mut connection = Connection::open(sidecar.address)?;
    let (mut plain, mut large) = (Request::plain(), Request::large());
    for nonce in 0..shop.plan.requests as u64 * 4 {
        connection.call(plain.numbered(nonce))?;
        if nonce % 100 == 0 {
            connection.call(large.numbered(nonce))?;
        }
    }
    let peak = f64::from(sidecar.process.resident_kib("VmHWM:")?) / KIB_PER_MIB;
    report.row(
        "peak memory under load",
        Figure::Mebibytes(peak),
        None,
        (Target::Informs, ""),
    );
    Ok(())
}

/// The resident size in MiB once it has not changed for half a second.
pub(super) fn settled(process: &Process) -> Result<f64> {
    let mut last = process.resident_kib("VmRSS:")?;
    loop {
        thread::sleep(Duration::from_millis(500));
        let now = process.resident_kib("VmRSS:")?;
        if now == last {
            return Ok(f64::from(now) / KIB_PER_MIB);
        }
        last = now;
    }
}
