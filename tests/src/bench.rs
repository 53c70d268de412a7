//! `make bench`: how the sidecar measures against DESIGN's targets, each figure beside a baseline of the same run.
//!
//! The load generator and the upstream are blocking threads over plain sockets: on two shared cores every microsecond they
//! spend is one the proxy under test does not get. The upstream answers from memory and is not the fake provider, whose
//! bookkeeping would be larger than the figures. Only loopback is touched, and every count is bounded by the plan.

mod answers;
mod bans;
mod client;
mod entries;
mod frozen;
mod hits;
mod lanes;
mod later;
mod marks;
mod memory;
mod pass_through;
mod pods;
mod process;
mod report;
mod semantic;
mod streams;
mod upstream;

use std::path::PathBuf;

use anyhow::Result;

use self::process::{Nginx, Workshop};
use self::report::Report;
use self::upstream::Upstream;

/// What to run and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The release binary of `kubectl-llmcache`.
    pub llmcache: PathBuf,
    /// Debian's nginx, the baseline reverse proxy.
    pub nginx: PathBuf,
    /// Debian's Redis server, for the shared tier.
    pub redis_server: PathBuf,
    /// Rounds per row; a figure is the median over rounds.
    pub rounds: usize,
    /// Requests per lane in one round.
    pub requests: usize,
    /// Only the sections whose name contains this; empty = all.
    pub only: String,
}

/// Runs every row of this version and lists the rows of later ones as not measured; a section that fails is named in the
/// report and costs the others nothing.
pub fn run(plan: &Plan, mut progress: impl FnMut(&str)) -> Result<Report> {
    let shop = Workshop::open(plan.clone())?;
    let upstream = Upstream::start()?;
    let nginx = Nginx::start(&shop, upstream.address())?;
    let bench = Bench { shop, upstream, nginx };

    let mut report = Report::new(plan.rounds, plan.requests);
    let sections: [(&str, Section); 12] = [
        ("memory at rest", memory::measure),
        ("pass-through", pass_through::measure),
        ("exact hits", hits::measure),
        ("large bodies with marks", marks::measure),
        ("streams", streams::measure),
        ("identical calls at once", hits::measure_single_flight),
        ("several sidecars on one Redis", pods::measure),
        ("bans across sidecars", bans::measure),
        ("memory per entry", entries::measure),
        ("semantic lookups", semantic::measure),
        ("a Redis frozen for a minute", frozen::measure),
        ("a Qdrant frozen for a minute", frozen::measure_index),
    ];
    let only = &bench.shop.plan.only;
    for (name, section) in sections.into_iter().filter(|(name, _)| name.contains(only.as_str())) {
        progress(name);
        if let Err(error) = section(&bench, &mut report) {
            report.failed(name, &error);
        }
    }
    if only.is_empty() {
        later::list(&mut report);
    }
    Ok(report)
}

type Section = fn(&Bench, &mut Report) -> Result<()>;

/// Everything a section needs: the processes that live for the whole run, and where to start more.
struct Bench {
    shop: Workshop,
    upstream: Upstream,
    nginx: Nginx,
}
