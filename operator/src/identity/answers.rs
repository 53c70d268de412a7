//! Answers kept for a while, by the hash of the token; never the token itself.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use super::{Failure, Identity};

/// SHA-256 of a token.
pub(super) type Hash = [u8; 32];

/// A bounded memory: what was learned first is forgotten first.
#[derive(Debug)]
pub(super) struct Answers {
    room: usize,
    by_hash: HashMap<Hash, (Instant, Result<Identity, Failure>)>,
    order: VecDeque<(Instant, Hash)>,
}

impl Answers {
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            by_hash: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn find(&self, hash: &Hash, now: Instant) -> Option<Result<Identity, Failure>> {
        let (until, answer) = self.by_hash.get(hash)?;
        (now < *until).then(|| answer.clone())
    }

    pub(super) fn keep(&mut self, hash: Hash, now: Instant, until: Instant, answer: Result<Identity, Failure>) {
        while let Some((end, oldest)) = self.order.front().copied() {
            if self.order.len() < self.room && now < end {
                break;
            }
            self.order.pop_front();
            // A later answer to the same token stays.
            if self.by_hash.get(&oldest).is_some_and(|(until, _)| *until == end) {
                self.by_hash.remove(&oldest);
            }
        }
        self.order.push_back((until, hash));
        self.by_hash.insert(hash, (until, answer));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_end_and_the_memory_stays_within_its_room() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut answers = Answers::new(3);
        for number in 0..10 {
            answers.keep([number; 32], start, after(10), Err(Failure::Shed));
        }
        assert_eq!((answers.by_hash.len(), answers.order.len()), (3, 3));
        assert!(answers.find(&[6; 32], start).is_none());
        assert!(answers.find(&[9; 32], after(9)).is_some());
        assert!(answers.find(&[9; 32], after(10)).is_none());
        answers.keep([9; 32], after(11), after(20), Err(Failure::Shed));
        assert!(answers.find(&[9; 32], after(12)).is_some(), "the later answer stays");
        assert_eq!(answers.by_hash.len(), 1, "what has ended is dropped");
    }
}
