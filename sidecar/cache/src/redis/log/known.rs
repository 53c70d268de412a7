//! What is known of a log between two reads, and how one that lost bans is told from one that merged them.

use std::collections::VecDeque;

use tokio::time::Instant;

/// The largest integer that a score holds exactly, halved to stay far from it.
const EPOCH_MAX: u64 = 1 << 52;

/// Identities of replaced logs that are remembered.
const REPLACED_MAX: usize = 16;

/// Members with their scores, as the store lists them.
pub(super) type Members = Vec<(Vec<u8>, f64)>;

/// What was last read of a log; nothing at first.
#[derive(Debug, Default)]
pub(in crate::redis) struct Known {
    pub(super) head: Option<Head>,
    /// Identities of logs that were replaced, the latest last: one that comes back (an old dump, an old replica) lacks
    /// the bans of its successors.
    replaced: VecDeque<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) id: u64,
    pub(super) identity: Vec<u8>,
    pub(super) epoch: u64,
    pub(super) last: Vec<u8>,
    /// When its expiry was last put off.
    pub(super) touched: Instant,
}

impl Known {
    pub(super) fn replace(&mut self, head: Head) {
        if let Some(old) = self.head.take()
            && old.identity != head.identity
        {
            self.replaced.push_back(old.identity);
            if self.replaced.len() > REPLACED_MAX {
                self.replaced.pop_front();
            }
        }
        self.head = Some(head);
    }

    /// Whether bans may be missing from a log that does not go on from here.
    pub(super) fn is_behind(&self, identity: &Vec<u8>, bans: &[(Vec<u8>, f64)]) -> bool {
        let went_back = |head: &Head| head.went_back(identity, bans);
        self.head.as_ref().is_some_and(went_back) || self.replaced.contains(identity)
    }
}

impl Head {
    /// Whether a log that does not go on from here is the same one as it was before: then bans were lost. One whose
    /// oldest ban is later than all known here has only merged them meanwhile.
    fn went_back(&self, identity: &[u8], bans: &[(Vec<u8>, f64)]) -> bool {
        let oldest = bans.first().and_then(|(_, score)| epoch(*score));
        self.identity == identity && oldest.is_none_or(|oldest| oldest <= self.epoch)
    }
}

pub(super) fn epoch(score: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the range is checked, and integers in it are exact"
    )]
    let exact = (score > 0.0 && score < EPOCH_MAX as f64).then_some(score as u64);
    exact
}
