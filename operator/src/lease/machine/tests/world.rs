//! Processes with clocks of their own, one Lease, and a network that delays, loses and parts.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::super::*;

/// A source of chance that a seed repeats.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What happens at a moment of true time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A process looks what to do.
    Wake { process: usize, life: u64 },
    /// A call reaches the server.
    Arrive { process: usize, life: u64, call: u64 },
    /// An answer, or the end of patience, reaches the process.
    Answered { process: usize, life: u64, call: u64 },
    /// The network changes, or a process dies, freezes or leaves.
    Fault,
}

/// One process: its machine and its clocks.
pub(super) struct Process {
    pub(super) machine: Machine,
    /// Microseconds of its clock in a second of true time.
    pub(super) rate: u64,
    /// What its steady clock read at the beginning.
    pub(super) origin_us: u64,
    pub(super) wall_skew: i64,
    pub(super) life: u64,
    pub(super) is_cut_off: bool,
    pub(super) frozen_until_us: u64,
    pub(super) waits_for: Option<u64>,
}

impl Process {
    pub(super) fn moment(&self, true_us: u64) -> Moment {
        Moment::from_micros(self.origin_us + true_us * self.rate / 1_000_000)
    }

    pub(super) fn wall(&self, true_us: u64) -> Timestamp {
        let second = i64::try_from(true_us / 1_000_000).unwrap() + self.wall_skew;
        Timestamp::from_second(second).unwrap()
    }

    /// When its clock will read so.
    pub(super) fn true_us(&self, moment: Moment) -> u64 {
        // Rounded up, or it would wake a moment too early for ever.
        let local = u64::try_from(moment.as_micros()).unwrap() + 1;
        local.saturating_sub(self.origin_us) * 1_000_000 / self.rate + 1
    }

    pub(super) fn leads(&self, true_us: u64) -> bool {
        self.machine.leads_until(self.moment(true_us)).is_some()
    }
}

/// A call on its way.
pub(super) struct Call {
    pub(super) id: u64,
    pub(super) sent: Moment,
    pub(super) action: Action,
    pub(super) answer: Answer,
}

/// The server's side.
#[derive(Default)]
pub(super) struct Server {
    pub(super) lease: Option<Versioned>,
    version: u64,
    /// Everybody who ever wrote the Lease.
    pub(super) holders: BTreeSet<String>,
}

impl Server {
    pub(super) fn take(&mut self, action: &Action) -> Answer {
        match (action, &self.lease) {
            (Action::Read, Some(lease)) => Answer::Found(lease.clone()),
            (Action::Create(record), None) => self.write(record.clone()),
            (Action::Update(wanted), Some(lease)) if wanted.version == lease.version => {
                self.write(wanted.record.clone())
            }
            (Action::Read | Action::Update(_), None) => Answer::Missing,
            _ => Answer::Conflict,
        }
    }

    fn write(&mut self, record: Record) -> Answer {
        self.version += 1;
        self.holders.extend(record.holder.clone());
        let lease = Versioned {
            record,
            version: self.version.to_string(),
        };
        self.lease = Some(lease.clone());
        Answer::Written(lease)
    }
}

/// Events in the order of true time.
#[derive(Default)]
pub(super) struct Agenda(BinaryHeap<Reverse<(u64, u64, Event)>>, u64);

impl Agenda {
    pub(super) fn add(&mut self, true_us: u64, event: Event) {
        self.1 += 1;
        self.0.push(Reverse((true_us, self.1, event)));
    }

    pub(super) fn next(&mut self) -> Option<(u64, Event)> {
        self.0.pop().map(|Reverse((true_us, _, event))| (true_us, event))
    }
}
