//! Two namespaces, each with processes that come and go and whose clocks disagree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::time::Instant;

use super::dice::Dice;
use super::referee::Referee;
use super::wire::Wire;
use super::{KEEP, LEASE};
use crate::memory::Memory;
use crate::redis::tests::place;
use crate::redis::tests::server::Server;
use crate::redis::{Place, Redis};
use crate::tiers::Tiers;

/// Processes of each namespace.
pub(super) const PROCESSES: u64 = 2;
pub(super) const NAMESPACES: [&str; 2] = ["one", "two"];
/// How far clocks may be apart, milliseconds either way: more than any answer lives.
const SKEW_MS: u64 = 3_600_000;

pub(super) struct World {
    pub(super) referee: Referee,
    seed: u64,
    store: u16,
    slots: Vec<RwLock<Arc<Process>>>,
    born: AtomicU64,
}

/// One life of a process.
pub(super) struct Process {
    pub(super) id: u64,
    pub(super) namespace: &'static str,
    pub(super) tiers: Tiers,
    pub(super) wire: Wire,
    started: Instant,
    clock_ms: u64,
}

impl World {
    pub(super) async fn new(server: &Server, seed: u64) -> Self {
        let mut world = Self {
            referee: Referee::new(),
            seed,
            store: server.port(),
            slots: Vec::new(),
            born: AtomicU64::new(0),
        };
        let mut dice = Dice::new(seed);
        for namespace in NAMESPACES {
            for _ in 0..PROCESSES {
                let process = world.bear(namespace, &mut dice).await;
                world.slots.push(RwLock::new(process));
            }
        }
        world
    }

    pub(super) fn process(&self, dice: &mut Dice) -> Arc<Process> {
        self.slot(dice).read().clone()
    }

    /// Kills a process and starts another in its place; what it had in memory is lost.
    pub(super) async fn crash(&self, dice: &mut Dice) {
        let slot = self.slot(dice);
        let namespace = slot.read().namespace;
        let new = self.bear(namespace, dice).await;
        *slot.write() = new;
    }

    /// Whether a process still lives: what a dead one would have said, nobody hears.
    pub(super) fn is_alive(&self, process: &Arc<Process>) -> bool {
        self.slots.iter().any(|slot| Arc::ptr_eq(&slot.read(), process))
    }

    fn slot(&self, dice: &mut Dice) -> &RwLock<Arc<Process>> {
        &self.slots[usize::try_from(dice.below(self.slots.len() as u64)).unwrap()]
    }

    async fn bear(&self, namespace: &'static str, dice: &mut Dice) -> Arc<Process> {
        let wire = Wire::to(self.store).await;
        let place = Place {
            lease: LEASE,
            longest_life: KEEP,
            ..place(namespace, &format!("history-{}", self.seed))
        };
        let server = crate::redis::Server::parse(&format!("redis://127.0.0.1:{}", wire.port)).unwrap();
        let redis = Redis::open(&server, place);
        Arc::new(Process {
            id: self.born.fetch_add(1, Ordering::Relaxed),
            namespace,
            tiers: Tiers::new(Memory::new(1 << 20), Some(redis)),
            wire,
            started: Instant::now(),
            clock_ms: 10 * SKEW_MS + dice.below(2 * SKEW_MS),
        })
    }
}

impl Process {
    /// The time as this process believes it.
    pub(super) fn now_ms(&self) -> u64 {
        self.clock_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }
}
