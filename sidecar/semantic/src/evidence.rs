//! Evidence: from which similarity on a class may be answered by the semantic cache.
//!
//! Pure: the caller draws the pairs, brings the labels and tells the time. One [`State`] per policy and class.
//!
//! **What is tested.** "Of the hits from threshold t on, at least ε are wrong", against labels of pairs that were drawn
//! before any answer was seen, in the order of the draw. A later pair that is labelled sooner counts only as if every
//! earlier one without a label were wrong; else quick praise and slow complaints would open a class.
//!
//! **In which order.** Strictest first, literally, would wait for hundreds of labels at 0.99, where few paraphrases lie.
//! So one stake walks the other way: it starts at the floor, where every label counts, and when the bets lose it moves
//! to a stricter threshold *with what is left of it*. Gains are never taken along. As long as stricter thresholds are
//! not worse than looser ones, the stake meets all bad thresholds before the first good one, so the chance of ever
//! opening a bad one is at most α; without that assumption it is at most 4/3 α, since a move keeps at most a quarter.
//!
//! **After an opening** hits are labelled rarely and misses always, so their labels are not pooled. Lower thresholds
//! are tested on fresh draws of the misses alone, that is on the band between the two: two parts within the budget make
//! a whole within the budget, in whatever proportion they are served. The stake is what the winning bet began with.
//!
//! **Closing** is always safe: a detector per band; one over all bands and five wrong labels in a row for the class.

mod betting;
mod closing;
mod grid;
mod labeller;
mod opening;
mod queue;
mod state;
mod summary;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use grid::thresholds;
pub use state::State;
pub use summary::Summary;

/// What the evidence must satisfy; another fingerprint, floor or budget starts a new process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// `similarityThreshold` in ten-thousandths.
    pub floor: u16,
    /// `maxFalseHitRate` in ten-thousandths.
    pub budget: u16,
    /// A judge labels too; its quality is measured, which takes a fifth of α.
    pub has_judge: bool,
    /// Hash of what else decides which pairs are served and how they are labelled: model, guards, judge, partition.
    pub fingerprint: String,
}

/// Something that bears on the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A pair whose label will come.
    Drawn {
        /// What the label will name.
        id: u64,
        /// In ten-thousandths.
        similarity: u16,
        /// The similarity was at or above the serving threshold.
        is_open: bool,
    },
    /// The label of a pending draw; of any other it is ignored.
    Label {
        /// The draw.
        id: u64,
        /// The stored answer is wrong for this question.
        is_wrong: bool,
        /// Who says so.
        source: Source,
    },
    /// What the judge said of an identical request that was asked again: "wrong" is its mistake.
    Repeat {
        /// Its word.
        is_wrong: bool,
    },
    /// What the judge said of a pair that a guard vetoed: "right" is its mistake.
    Planted {
        /// Its word.
        is_wrong: bool,
    },
}

/// Who labelled a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The application, by `POST /llmcache/feedback`.
    Feedback,
    /// A model that compared the two answers.
    Judge,
    /// Equality of two closed answers.
    Comparison,
    /// Nobody within a day: counts as wrong.
    Expired,
}

impl Source {
    /// All of them, strongest first.
    pub const ALL: [Self; 4] = [Self::Feedback, Self::Judge, Self::Comparison, Self::Expired];

    /// The word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Feedback => "feedback",
            Self::Judge => "judge",
            Self::Comparison => "comparison",
            Self::Expired => "expired",
        }
    }
}

/// What an event led to, for the caller to count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Labels that arrived, with "is wrong".
    pub labelled: Vec<(Source, bool)>,
    /// The serving threshold came down to this.
    pub opened: Option<u16>,
    /// Evidence closed serving from this threshold up to the next open one.
    pub closed: Option<u16>,
    /// A drawn pair found room.
    pub is_kept: bool,
}

/// Whether a pair is drawn at this share in ten-thousandths, by keyed hash bytes of the request.
pub fn is_drawn(digest: &[u8], share: u16) -> bool {
    let mut head = [0; 8];
    for (to, from) in head.iter_mut().zip(digest) {
        *to = *from;
    }
    (u128::from(u64::from_be_bytes(head)) * 10_000) >> 64 < u128::from(share)
}
