//! The walk of the stake: which threshold is bet on, when it moves to a stricter one, when it opens.

use serde::{Deserialize, Serialize};

use super::betting::{Tally, millionths};
use super::grid::BANDS;
use super::queue::Draw;

/// A bet that lost this much moves: ln 4. One wrong label alone does not cost as much.
const LOSS: f64 = 2.0 * std::f64::consts::LN_2;
/// A bet that gained nothing by this many labels times the budget, twice what a clean opening takes, moves too.
const PATIENCE: f64 = 8.0;

/// One stake and what it is on: the pairs between threshold `lead` and the serving threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Walk {
    /// Index of the threshold that would open.
    pub(super) lead: u8,
    /// Labels since the stake is on this threshold.
    pub(super) bet: Tally,
    /// Draws up to this one are spent.
    spent: u64,
    /// What the stake was at the start of this bet: minus its logarithm, in millionths, rounded up.
    lost: u32,
    /// All labels of unserved pairs by band, to choose where to move.
    seen: [Tally; BANDS],
}

impl Walk {
    /// Starts at the floor after `halvings` reopenings with half the stake each.
    pub(super) fn new(floor: u8, halvings: u32, spent: u64) -> Self {
        let lost = millionths(f64::from(halvings) * std::f64::consts::LN_2);
        Self {
            lead: floor,
            bet: Tally::default(),
            spent,
            lost,
            seen: [Tally::default(); BANDS],
        }
    }

    /// Goes on below an opened threshold with the stake that the winning bet began with.
    pub(super) fn below(&mut self, floor: u8, spent: u64) {
        *self = Self {
            lead: floor,
            bet: Tally::default(),
            spent,
            ..self.clone()
        };
    }

    /// Logarithm of what the stake has become.
    pub(super) fn log_stake(&self, budget: f64) -> f64 {
        self.bet.log_evidence(budget) - self.log_lost()
    }

    /// What the bet itself must reach.
    pub(super) fn goal(&self, alpha: f64) -> f64 {
        self.log_lost() - alpha.ln()
    }

    /// Whether the label of this draw is bet on.
    pub(super) fn is_tested(&self, draw: &Draw, open: Option<u8>) -> bool {
        !draw.is_open && draw.order > self.spent && draw.band <= self.lead && open.is_none_or(|open| draw.band > open)
    }

    /// Remembers a label that is not bet on.
    pub(super) fn see(&mut self, draw: &Draw, is_wrong: bool) {
        if let (false, Some(seen)) = (draw.is_open, self.seen.get_mut(usize::from(draw.band))) {
            seen.add(is_wrong);
        }
    }

    /// Bets on the next label in the order of the draws, and moves if that is lost.
    pub(super) fn settle(&mut self, draw: &Draw, is_wrong: bool, open: Option<u8>, budget: f64) {
        self.see(draw, is_wrong);
        self.bet.add(is_wrong);
        let log = self.bet.log_evidence(budget);
        let is_stuck = log <= 0.0 && f64::from(self.bet.labels) * budget >= PATIENCE;
        if log > -LOSS && !is_stuck {
            return;
        }
        if let Some(lead) = self.stricter(open, budget) {
            self.lead = lead;
            self.lost = self.lost.saturating_add(millionths(LOSS.max(-log)));
            self.bet = Tally::default();
            self.spent = draw.order;
        }
    }

    /// Whether the stake has grown enough at any point of the order, and up to which draw: one without a label counts as wrong.
    pub(super) fn wins(&self, draws: &[Draw], open: Option<u8>, budget: f64, alpha: f64) -> Option<u64> {
        let goal = self.goal(alpha);
        let mut bet = self.bet;
        if bet.log_evidence(budget) >= goal {
            return Some(draws.first().map_or(u64::MAX, |draw| draw.order.saturating_sub(1)));
        }
        for draw in draws.iter().filter(|draw| self.is_tested(draw, open)) {
            bet.add(draw.is_wrong.unwrap_or(true));
            if draw.is_wrong == Some(false) && bet.log_evidence(budget) >= goal {
                return Some(draw.order);
            }
        }
        None
    }

    /// A stricter threshold with the best evidence so far among those that keep half of the labels; else one step.
    fn stricter(&self, open: Option<u8>, budget: f64) -> Option<u8> {
        let first = open.map_or(0, |open| open.saturating_add(1));
        let all = self.seen_within(first, self.lead).labels;
        let mut best: Option<(u8, f64)> = None;
        for lead in (first..self.lead).rev() {
            let seen = self.seen_within(first, lead);
            let log = seen.log_evidence(budget);
            if best.is_none_or(|(_, most)| log > most && seen.labels.saturating_mul(2) >= all) {
                best = Some((lead, log));
            }
        }
        best.map(|(lead, _)| lead)
    }

    fn seen_within(&self, first: u8, last: u8) -> Tally {
        let bands = self
            .seen
            .get(usize::from(first)..=usize::from(last))
            .unwrap_or_default();
        bands.iter().fold(Tally::default(), |sum, band| Tally {
            labels: sum.labels.saturating_add(band.labels),
            wrong: sum.wrong.saturating_add(band.wrong),
        })
    }

    fn log_lost(&self) -> f64 {
        f64::from(self.lost) / 1e6
    }
}
