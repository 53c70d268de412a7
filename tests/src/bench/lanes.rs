//! Interleaved measuring: lanes take turns in short blocks, so that a noisy neighbour hits each of them alike.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Plan;
use super::answers::Request;
use super::client::{Connection, Timing};
use super::process::Process;

/// Turns of each lane in one round.
const BLOCKS: usize = 10;

/// One way to the upstream: direct, through nginx, or through the sidecar.
pub(super) struct Lane<'a> {
    connection: Connection,
    process: Option<&'a Process>,
    ask: Request,
    nonces: Nonces,
    expect_hit: bool,
    rounds: Vec<Round>,
}

/// What one lane showed in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// Whole answers.
    pub(super) total: Quantiles,
    /// First byte of the body.
    pub(super) first_byte: Quantiles,
    /// CPU per request of the lane's process; zero without one.
    pub(super) cpu: Duration,
}

/// Median, 99th percentile and the largest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantiles {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) max: Duration,
}

impl<'a> Lane<'a> {
    /// A lane to `address` that asks `ask`; `process` is the proxy on it, whose CPU is read.
    pub(super) fn to(address: SocketAddr, process: Option<&'a Process>, ask: &Request) -> Result<Self> {
        let (ask, nonces) = (ask.clone(), Nonces::Fresh(0));
        Ok(Self {
            connection: Connection::open(address)?,
            process,
            ask,
            nonces,
            expect_hit: false,
            rounds: Vec::new(),
        })
    }

    /// Which keys the lane asks for; each one once if nothing is said.
    pub(super) fn under(mut self, nonces: Nonces) -> Self {
        self.nonces = nonces;
        self
    }

    /// Every answer must be a hit, else the run ends: a miss among hits would be an upstream's figure.
    pub(super) fn expecting_hits(mut self) -> Self {
        self.expect_hit = true;
        self
    }

    /// The median over the rounds of one figure of this lane.
    pub(super) fn median(&self, figure: impl Fn(&Round) -> Duration) -> Duration {
        median(self.rounds.iter().map(figure))
    }

    /// The median over the rounds of how much `figure` is above that of `base` in the same round; zero if below.
    pub(super) fn added(&self, base: &Lane<'_>, figure: impl Fn(&Round) -> Duration) -> Duration {
        let pairs = self.rounds.iter().zip(&base.rounds);
        median(pairs.map(|(own, base)| figure(own).saturating_sub(figure(base))))
    }

    fn block(&mut self, block: &mut Block, length: usize) -> Result<()> {
        let cpu = self.cpu()?;
        for _ in 0..length {
            let timing = self.connection.call(self.ask.numbered(self.nonces.next()))?;
            ensure!(timing.hit || !self.expect_hit, "a request that should be a hit was not");
            block.timings.push(timing);
        }
        block.cpu += self.cpu()?.saturating_sub(cpu);
        Ok(())
    }

    fn cpu(&self) -> Result<Duration> {
        self.process.map_or(Ok(Duration::ZERO), Process::cpu)
    }
}

/// Which nonce each request gets.
pub(super) enum Nonces {
    /// Each once, the first one above this.
    Fresh(u64),
    /// The last one, then again from 0: this many keys in turn.
    Cycle(u64, u64),
}

impl Nonces {
    fn next(&mut self) -> u64 {
        match self {
            Self::Fresh(last) => {
                *last += 1;
                *last
            }
            Self::Cycle(last, keys) => {
                *last = (*last + 1) % *keys;
                *last
            }
        }
    }
}

/// Requests a lane has sent after [`play`], the first block included that warms it.
pub(super) fn sent(plan: &Plan, requests: usize) -> usize {
    let block = (requests / BLOCKS).max(1);
    block + plan.rounds * (requests / block) * block
}

/// Warms every lane by one block, then plays the plan's rounds over all of them in turns.
pub(super) fn play(plan: &Plan, requests: usize, lanes: &mut [Lane<'_>]) -> Result<()> {
    let block = (requests / BLOCKS).max(1);
    for lane in &mut *lanes {
        lane.block(&mut Block::default(), block)?;
    }
    for round in 0..plan.rounds {
        let mut blocks: Vec<Block> = lanes.iter().map(|_| Block::default()).collect();
        for turn in 0..requests / block {
            for step in 0..lanes.len() {
                // Nobody is always first: what a lane leaves behind in the caches falls on each of the others.
                let index = (step + turn + round) % lanes.len();
                lanes[index].block(&mut blocks[index], block)?;
            }
        }
        for (lane, block) in lanes.iter_mut().zip(blocks) {
            lane.rounds.push(block.close()?);
        }
    }
    Ok(())
}

/// What one lane has gathered in the running round.
#[derive(Default)]
struct Block {
    timings: Vec<Timing>,
    cpu: Duration,
}

impl Block {
    fn close(self) -> Result<Round> {
        Ok(Round {
            total: Quantiles::of(self.timings.iter().map(|timing| timing.total)),
            first_byte: Quantiles::of(self.timings.iter().map(|timing| timing.first_byte)),
            cpu: self.cpu / u32::try_from(self.timings.len())?.max(1),
        })
    }
}

impl Quantiles {
    /// Nearest rank; zero of nothing.
    pub(super) fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut sorted: Vec<Duration> = times.collect();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            sorted
                .get((sorted.len() * percent).div_ceil(100).saturating_sub(1))
                .copied()
        };
        Self {
            p50: rank(50).unwrap_or_default(),
            p99: rank(99).unwrap_or_default(),
            max: rank(100).unwrap_or_default(),
        }
    }
}

/// The middle value.
pub(super) fn median(values: impl Iterator<Item = Duration>) -> Duration {
    Quantiles::of(values).p50
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let quantiles = Quantiles::of((1..=200).rev().map(Duration::from_micros));
        assert_eq!(
            (quantiles.p50, quantiles.p99),
            (Duration::from_micros(100), Duration::from_micros(198))
        );
        assert_eq!(Quantiles::of(std::iter::empty()).p99, Duration::ZERO);
    }

    #[test]
    fn the_median_of_an_odd_count_is_its_middle() {
        assert_eq!(
            median([9, 1, 5].into_iter().map(Duration::from_micros)),
            Duration::from_micros(5)
        );
    }
}
