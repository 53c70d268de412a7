//! Drawn pairs that wait for their label, or for the label of an earlier one.

use serde::{Deserialize, Serialize};

/// At most this many wait; a class with more draws none.
pub(super) const ROOM: usize = 512;
/// How long a label may take before it counts as wrong.
const PATIENCE_MS: u64 = 24 * 60 * 60 * 1_000;

/// A drawn pair. The order of the draws is the order of the bets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draw {
    pub(super) id: u64,
    /// Place in the order of the draws of this process.
    pub(super) order: u64,
    pub(super) band: u8,
    pub(super) is_open: bool,
    at_ms: u64,
    /// Known, but an earlier pair of the same test has none yet.
    pub(super) is_wrong: Option<bool>,
}

/// The waiting draws, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Queue {
    pub(super) draws: Vec<Draw>,
    /// How many were ever drawn.
    pub(super) drawn: u64,
}

impl Queue {
    pub(super) fn has_room(&self) -> bool {
        self.draws.len() < ROOM
    }

    pub(super) fn is_pending(&self, id: u64) -> bool {
        self.position(id).is_some()
    }

    /// Whether it found room; an id that waits already does not.
    pub(super) fn push(&mut self, id: u64, band: u8, is_open: bool, now_ms: u64) -> bool {
        if !self.has_room() || self.draws.iter().any(|draw| draw.id == id) {
            return false;
        }
        self.drawn = self.drawn.saturating_add(1);
        let (order, at_ms) = (self.drawn, now_ms);
        self.draws.push(Draw {
            id,
            order,
            band,
            is_open,
            at_ms,
            is_wrong: None,
        });
        true
    }

    /// The oldest draw that waited too long.
    pub(super) fn late(&self, now_ms: u64) -> Option<u64> {
        let is_late = |draw: &&Draw| draw.is_wrong.is_none() && now_ms.saturating_sub(draw.at_ms) >= PATIENCE_MS;
        self.draws.iter().find(is_late).map(|draw| draw.id)
    }

    /// Where a draw without a label is.
    pub(super) fn position(&self, id: u64) -> Option<usize> {
        self.draws
            .iter()
            .position(|draw| draw.id == id && draw.is_wrong.is_none())
    }
}
