//! The stored questions: those that this process embedded, and through a Qdrant those of every sidecar of the namespace.

use std::collections::HashSet;
use std::sync::Arc;

use llmcache_cache::budget::Deadline;
use llmcache_cache::seal::Digest;
use llmcache_semantic::embedding::Vector;
use llmcache_semantic::guards::Question;
use llmcache_semantic::index::{Bounds, Flat, Neighbour, Row};

use super::qdrant::Shared;

/// Neighbours looked at, nearest first: past so many vetoes the next is no better.
pub(super) const MOST_NEIGHBOURS: usize = 8;
/// Rows of one partition: a scan of so many takes 0.2 ms.
const ROWS: usize = 10_000;

/// A stored question.
#[derive(Debug)]
pub(crate) struct Known {
    /// Its text, for a judge.
    pub text: String,
    /// The same, read for the guards.
    pub question: Question,
}

/// Where a question stands in its partition.
pub(super) struct Spot<'a> {
    pub partition: Digest,
    pub vector: &'a Vector,
}

/// All stored questions that a policy may compare with.
pub(crate) struct Neighbours {
    /// Always kept: it has what the server has not yet, and all that is left while the server is away.
    flat: Flat<Arc<Known>>,
    shared: Option<Shared>,
}

impl Known {
    pub(super) fn read(text: String) -> Self {
        Self {
            question: Question::read(&text),
            text,
        }
    }

    /// What a read question holds beside its text: words, stems and sets of them.
    fn bytes(&self) -> usize {
        512 + self.text.len() * 13
    }
}

impl Neighbours {
    pub(super) fn new(bytes: usize, shared: Option<Shared>) -> Self {
        let bounds = Bounds {
            rows_per_partition: ROWS,
            bytes,
        };
        Self {
            flat: Flat::new(bounds),
            shared,
        }
    }

    /// The nearest questions of the partition with at least `floor` similarity, nearest first. The server is waited for
    /// no longer than the deadline.
    pub(super) async fn nearest(
        &self,
        spot: &Spot<'_>,
        floor: u16,
        now_ms: u64,
        deadline: Deadline,
    ) -> Vec<Neighbour<Arc<Known>>> {
        let mut found = match &self.shared {
            Some(shared) => shared.nearest(spot, floor, now_ms, deadline).await,
            None => Vec::new(),
        };
        let (partition, vector) = (&spot.partition.0, spot.vector.numbers());
        let known: HashSet<_> = found.iter().map(|neighbour| neighbour.key).collect();
        let own = self.flat.nearest(partition, vector, floor, MOST_NEIGHBOURS, now_ms);
        found.extend(own.into_iter().filter(|own| !known.contains(&own.key)));
        found.sort_by_key(|neighbour| std::cmp::Reverse(neighbour.similarity));
        found.truncate(MOST_NEIGHBOURS);
        found
    }

    pub(super) fn insert(&self, spot: &Spot<'_>, key: Digest, known: Known, expires_ms: u64) {
        if let Some(shared) = &self.shared {
            shared.insert(spot, key, &known.text, expires_ms);
        }
        let row = Row {
            vector: Box::new(*spot.vector.numbers()),
            key: key.0,
            payload_bytes: known.bytes(),
            payload: Arc::new(known),
            expires_ms,
        };
        self.flat.insert(spot.partition.0, row);
    }

    /// Forgets a question whose answer is gone.
    pub(super) fn remove(&self, partition: Digest, key: Digest) {
        self.flat.remove(&partition.0, &key.0);
        if let Some(shared) = &self.shared {
            shared.remove(key);
        }
    }

    pub(super) fn sweep(&self, now_ms: u64) {
        self.flat.sweep(now_ms);
    }

    /// Questions kept in this process.
    pub(super) fn len(&self) -> usize {
        self.flat.len()
    }

    /// The shared part, if there is one.
    pub(super) fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }
}
