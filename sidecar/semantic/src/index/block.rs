//! The rows of one partition: vectors side by side in one block, the rest of each row at the same place in a list.

use super::cosine::{dot, similarity};
use super::{DIMENSIONS, Key, Neighbour, Row};

#[derive(Debug)]
pub(super) struct Block<P> {
    /// Row `n` is the `n`-th run of [`DIMENSIONS`] numbers.
    vectors: Vec<f32>,
    rows: Vec<Meta<P>>,
    payload_bytes: usize,
    /// Order of arrival of the next row.
    next: u64,
    /// A time before which no row is dead; never late.
    first_death_ms: u64,
    /// No longer part of the index: nothing may be put here.
    pub(super) is_gone: bool,
}

#[derive(Debug)]
struct Meta<P> {
    key: Key,
    payload: P,
    payload_bytes: usize,
    expires_ms: u64,
    arrival: u64,
}

impl<P> Block<P> {
    pub(super) fn new() -> Self {
        Self {
            vectors: Vec::new(),
            rows: Vec::new(),
            payload_bytes: 0,
            next: 0,
            first_death_ms: u64::MAX,
            is_gone: false,
        }
    }

    /// An empty one that stays empty.
    pub(super) fn gone() -> Self {
        Self {
            is_gone: true,
            ..Self::new()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row_bytes(payload_bytes: usize) -> usize {
        size_of::<[f32; DIMENSIONS]>() + size_of::<Meta<P>>() + payload_bytes
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * Self::row_bytes(0) + self.payload_bytes
    }

    pub(super) fn has_dead(&self, now_ms: u64) -> bool {
        self.first_death_ms <= now_ms
    }

    /// Adds `row` in place of one with its key, else of the oldest if `most` are held.
    pub(super) fn put(&mut self, row: Row<P>, most: usize) {
        if !self.remove(&row.key) && self.rows.len() >= most {
            self.remove_oldest();
        }
        self.grow();
        self.vectors.extend_from_slice(row.vector.as_slice());
        self.payload_bytes += row.payload_bytes;
        self.first_death_ms = self.first_death_ms.min(row.expires_ms);
        self.rows.push(Meta {
            key: row.key,
            payload: row.payload,
            payload_bytes: row.payload_bytes,
            expires_ms: row.expires_ms,
            arrival: self.next,
        });
        self.next += 1;
    }

    pub(super) fn remove(&mut self, key: &Key) -> bool {
        let place = self.rows.iter().position(|row| row.key == *key);
        place.is_some_and(|place| self.remove_at(place))
    }

    /// Whether there was a row to remove.
    pub(super) fn remove_oldest(&mut self) -> bool {
        let oldest = self.rows.iter().enumerate().min_by_key(|(_, row)| row.arrival);
        oldest
            .map(|(place, _)| place)
            .is_some_and(|place| self.remove_at(place))
    }

    pub(super) fn sweep(&mut self, now_ms: u64) {
        // From the end, so that the row moved into a gap was looked at before.
        for place in (0..self.rows.len()).rev() {
            if self.rows[place].expires_ms <= now_ms {
                self.remove_at(place);
            }
        }
        let deaths = self.rows.iter().map(|row| row.expires_ms);
        self.first_death_ms = deaths.min().unwrap_or(u64::MAX);
    }

    // The last row moves into the gap, its vector with it.
    fn remove_at(&mut self, place: usize) -> bool {
        let row = self.rows.swap_remove(place);
        self.payload_bytes -= row.payload_bytes;
        let last = self.rows.len() * DIMENSIONS;
        self.vectors.copy_within(last.., place * DIMENSIONS);
        self.vectors.truncate(last);
        if self.rows.len() < self.rows.capacity() / 2 {
            self.rows.shrink_to_fit();
            self.vectors.shrink_to_fit();
        }
        true
    }

    // By an eighth and not by doubling: vectors are most of what the index holds.
    fn grow(&mut self) {
        if self.rows.len() == self.rows.capacity() {
            let more = (self.rows.len() / 8).max(1);
            self.rows.reserve_exact(more);
            self.vectors.reserve_exact(more * DIMENSIONS);
        }
    }
}

impl<P: Clone> Block<P> {
    pub(super) fn nearest(&self, vector: &[f32; DIMENSIONS], floor: u16, top: usize, now_ms: u64) -> Vec<Neighbour<P>> {
        let mut best: Vec<(f32, &Meta<P>)> = Vec::new();
        for (other, row) in self.vectors.chunks_exact(DIMENSIONS).zip(&self.rows) {
            let cosine = dot(other, vector);
            if row.expires_ms <= now_ms || similarity(cosine) < floor {
                continue;
            }
            let place = best.partition_point(|(nearer, than)| {
                nearer.total_cmp(&cosine).then(than.arrival.cmp(&row.arrival)).is_gt()
            });
            if place < top {
                best.truncate(top - 1);
                best.insert(place, (cosine, row));
            }
        }
        let neighbour = |(cosine, row): (f32, &Meta<P>)| Neighbour {
            key: row.key,
            similarity: similarity(cosine),
            payload: row.payload.clone(),
        };
        best.into_iter().map(neighbour).collect()
    }
}
