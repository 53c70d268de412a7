//! Memory per 10 000 stored answers of 2 KB to questions of 1 KB: in the sidecar and in Redis, without and with tags.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Bench;
use super::answers::Request;
use super::hits;
use super::memory::settled;
use super::process::{Redis, Sidecar};
use super::report::{Figure, Report, Target};

/// Room for all of them, and patience: none may have to leave, and a slow moment of the store is not the question here.
const POLICY: &str = "  resultCache: {mode: Enforce, memory: 1Gi, storeBudget: 1s}\n";
const ENTRIES: u32 = 10_000;
/// Asked before counting begins: connections, buffers and pools are there by then.
const WARM: u64 = 500;
/// Longer than any write takes.
const SETTLED: Duration = Duration::from_millis(500);
const MEBIBYTE: f64 = 1_048_576.0;

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let shapes = [
        (
            Request::plain(),
            "memory per 10 000 entries, sidecar",
            "memory per 10 000 entries, Redis",
        ),
        (
            Request::tagged(),
            "memory per 10 000 entries of two tags, sidecar",
            "memory per 10 000 entries of two tags, Redis",
        ),
    ];
    for (ask, in_sidecar, in_redis) in shapes {
        let (sidecar, redis) = grown(bench, &ask)?;
        report.row(in_sidecar, sidecar, None, (Target::Informs, ""));
        report.row(in_redis, redis, None, (Target::Informs, ""));
    }
    Ok(())
}

/// What `ENTRIES` entries add to a sidecar's resident size and to what Redis has allocated.
fn grown(bench: &Bench, ask: &Request) -> Result<(Figure, Figure)> {
    let Bench { shop, upstream, .. } = bench;
    let redis = Redis::start(shop)?;
    let sidecar = Sidecar::start(shop, POLICY, upstream.address(), Some(redis.address))?;
    hits::store(sidecar.address, ask, 0..WARM)?;
    let values = settled_values(&redis)?;
    let (resident, used) = (settled(&sidecar.process)?, redis.used()?);
    hits::store(sidecar.address, ask, WARM..WARM + u64::from(ENTRIES))?;
    let written = settled_values(&redis)?.saturating_sub(values);
    // A store that was slow for a moment is avoided, and what it misses then is not its memory.
    ensure!(written > ENTRIES / 2, "{written} of {ENTRIES} entries reached Redis");
    let grown = f64::from(redis.used()?.saturating_sub(used)) / MEBIBYTE;
    Ok((
        Figure::Mebibytes(settled(&sidecar.process)? - resident),
        Figure::Mebibytes(grown * f64::from(ENTRIES) / f64::from(written)),
    ))
}

/// The values in Redis once they have not changed for a while: writes are behind the answers.
fn settled_values(redis: &Redis) -> Result<u32> {
    let mut last = redis.values()?;
    loop {
        thread::sleep(SETTLED);
        let now = redis.values()?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
}
