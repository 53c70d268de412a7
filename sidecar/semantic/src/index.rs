//! The nearest neighbours of a question among the rows of its own partition: an exact flat scan in process.
//!
//! A row is a unit vector, the key of its entry and a payload. Rows of one partition never answer for another. Memory is
//! bounded twice: a partition that is full loses its oldest row, the whole loses its least recently used partitions.
//! Readers of any partitions run at once; a writer waits only for the readers of its own partition.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use block::Block;

mod block;
mod cosine;
#[cfg(test)]
mod tests;

/// Numbers in a vector.
pub const DIMENSIONS: usize = 384;

/// Digest of all that two questions must share before one may answer for the other.
pub type Partition = [u8; 32];

/// Digest under which the entry of a row is kept.
pub type Key = [u8; 32];

// A partition without rows: its place in the map, its locks and counters.
const PARTITION_BYTES: usize = 256;

/// Cosine of two unit vectors in ten-thousandths, floored; 0 for a negative one.
pub fn similarity(a: &[f32; DIMENSIONS], b: &[f32; DIMENSIONS]) -> u16 {
    cosine::similarity(cosine::dot(a, b))
}

/// How much a [`Flat`] may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Rows of one partition; at least one is held.
    pub rows_per_partition: usize,
    /// Bytes of all rows with their payloads. Up to an eighth more is allocated, so that a row seldom moves the others.
    pub bytes: usize,
}

impl Default for Bounds {
    /// 10 000 rows in a partition, 64 MiB in all.
    fn default() -> Self {
        Self {
            rows_per_partition: 10_000,
            bytes: 64 << 20,
        }
    }
}

/// What is kept of one question.
#[derive(Debug, Clone)]
pub struct Row<P> {
    /// Of unit length: the scan multiplies and does not divide.
    pub vector: Box<[f32; DIMENSIONS]>,
    /// Of the entry that answers it; a second row with the same key in a partition takes the place of the first.
    pub key: Key,
    /// Handed back with each neighbour.
    pub payload: P,
    /// Bytes the payload holds outside of itself, counted against the bound.
    pub payload_bytes: usize,
    /// Unix milliseconds at which the row is no neighbour any more.
    pub expires_ms: u64,
}

/// A row near enough to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour<P> {
    /// Of its entry.
    pub key: Key,
    /// Cosine in ten-thousandths, floored; 0 for a negative one.
    pub similarity: u16,
    /// That of the row.
    pub payload: P,
}

/// Rows by partition; all calls are for any thread.
#[derive(Debug)]
pub struct Flat<P> {
    bounds: Bounds,
    slots: RwLock<HashMap<Partition, Arc<Slot<P>>>>,
    bytes: AtomicUsize,
    /// Counts uses, so that the least recent is known without a clock.
    uses: AtomicU64,
    /// One thread makes room at a time, lest two of them drop twice as much as needed.
    making_room: Mutex<()>,
}

// Locks are taken in the order of map, then block; nobody waits for a block while the map is held.
#[derive(Debug)]
struct Slot<P> {
    used: AtomicU64,
    block: RwLock<Block<P>>,
}

impl<P: Clone> Flat<P> {
    /// An empty index.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            slots: RwLock::default(),
            bytes: AtomicUsize::new(0),
            uses: AtomicU64::new(0),
            making_room: Mutex::default(),
        }
    }

    /// Adds `row`, in place of one with the same key; a row larger than the whole bound is left out.
    pub fn insert(&self, partition: Partition, row: Row<P>) {
        if PARTITION_BYTES + Block::<P>::row_bytes(row.payload_bytes) > self.bounds.bytes {
            self.remove(&partition, &row.key);
            return;
        }
        loop {
            let slot = self.slot_or_new(partition);
            let mut block = slot.block.write();
            // Dropped between the look-up and the lock: the next look-up makes another.
            if block.is_gone {
                continue;
            }
            self.change(&mut block, |block| {
                block.put(row, self.bounds.rows_per_partition.max(1));
            });
            break;
        }
        self.make_room(&partition);
    }

    /// Up to `top` rows of `partition` alive at `now_ms` with at least `floor` similarity, nearest first.
    ///
    /// Of two equally near ones the newer comes first. Dead rows met are dropped unless others are reading.
    pub fn nearest(
        &self,
        partition: &Partition,
        vector: &[f32; DIMENSIONS],
        floor: u16,
        top: usize,
        now_ms: u64,
    ) -> Vec<Neighbour<P>> {
        let Some(slot) = self.slot(partition) else {
            return Vec::new();
        };
        self.touch(&slot);
        let (found, is_sweep_due) = {
            let block = slot.block.read();
            (block.nearest(vector, floor, top, now_ms), block.has_dead(now_ms))
        };
        if is_sweep_due {
            if let Some(mut block) = slot.block.try_write() {
                self.change(&mut block, |block| block.sweep(now_ms));
            }
            self.drop_if_empty(partition);
        }
        found
    }

    /// Drops the row of `key`; whether there was one.
    pub fn remove(&self, partition: &Partition, key: &Key) -> bool {
        let Some(slot) = self.slot(partition) else {
            return false;
        };
        let has_removed = self.change(&mut slot.block.write(), |block| block.remove(key));
        self.drop_if_empty(partition);
        has_removed
    }

    /// Drops every row dead at `now_ms`, also in partitions that nobody asks any more.
    pub fn sweep(&self, now_ms: u64) {
        let slots: Vec<_> = self.slots.read().iter().map(|(at, slot)| (*at, slot.clone())).collect();
        for (partition, slot) in slots {
            if slot.block.read().has_dead(now_ms) {
                self.change(&mut slot.block.write(), |block| block.sweep(now_ms));
            }
            self.drop_if_empty(&partition);
        }
    }

    /// Rows held, dead ones that were not met yet among them.
    pub fn len(&self) -> usize {
        let slots: Vec<_> = self.slots.read().values().cloned().collect();
        slots.iter().map(|slot| slot.block.read().len()).sum()
    }

    /// Whether no row is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that count against the bound.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn slot(&self, partition: &Partition) -> Option<Arc<Slot<P>>> {
        self.slots.read().get(partition).cloned()
    }

    fn slot_or_new(&self, partition: Partition) -> Arc<Slot<P>> {
        let slot = self.slot(&partition).unwrap_or_else(|| {
            let mut slots = self.slots.write();
            let slot = slots.entry(partition).or_insert_with(|| {
                self.bytes.fetch_add(PARTITION_BYTES, Ordering::Relaxed);
                Arc::new(Slot {
                    used: AtomicU64::new(0),
                    block: RwLock::new(Block::new()),
                })
            });
            slot.clone()
        });
        self.touch(&slot);
        slot
    }

    fn touch(&self, slot: &Slot<P>) {
        let use_number = self.uses.fetch_add(1, Ordering::Relaxed);
        slot.used.fetch_max(use_number, Ordering::Relaxed);
    }

    // Every change of a block goes through here, so that the sum stays the sum.
    fn change<T>(&self, block: &mut Block<P>, change: impl FnOnce(&mut Block<P>) -> T) -> T {
        let before = block.bytes();
        let result = change(block);
        // Added first: the sum never passes below zero.
        self.bytes.fetch_add(block.bytes(), Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
        result
    }

    fn make_room(&self, own: &Partition) {
        if self.bytes() <= self.bounds.bytes {
            return;
        }
        let _one_at_a_time = self.making_room.lock();
        // A sixteenth below the bound, so that the search for the least used is not repeated at each insert.
        let goal = self.bounds.bytes - self.bounds.bytes / 16;
        if self.bytes() > self.bounds.bytes {
            for partition in self.least_used_first(own) {
                if self.bytes() <= goal {
                    return;
                }
                self.drop_partition(&partition);
            }
        }
        if let Some(slot) = self.slot(own) {
            let mut block = slot.block.write();
            while self.bytes() > self.bounds.bytes && self.change(&mut block, Block::remove_oldest) {}
        }
    }

    fn least_used_first(&self, except: &Partition) -> Vec<Partition> {
        let mut by_use: Vec<_> = self
            .slots
            .read()
            .iter()
            .filter(|(partition, _)| *partition != except)
            .map(|(partition, slot)| (slot.used.load(Ordering::Relaxed), *partition))
            .collect();
        by_use.sort_unstable();
        by_use.into_iter().map(|(_, partition)| partition).collect()
    }

    fn drop_partition(&self, partition: &Partition) {
        let dropped = self.slots.write().remove(partition);
        if let Some(slot) = dropped {
            self.change(&mut slot.block.write(), |block| *block = Block::gone());
            self.bytes.fetch_sub(PARTITION_BYTES, Ordering::Relaxed);
        }
    }

    // One that is in use stays; the next sweep comes past it again.
    fn drop_if_empty(&self, partition: &Partition) {
        let mut slots = self.slots.write();
        let is_dropped = slots.get(partition).is_some_and(|slot| {
            let Some(mut block) = slot.block.try_write() else {
                return false;
            };
            block.is_gone = block.len() == 0;
            block.is_gone
        });
        if is_dropped {
            slots.remove(partition);
            self.bytes.fetch_sub(PARTITION_BYTES, Ordering::Relaxed);
        }
    }
}
