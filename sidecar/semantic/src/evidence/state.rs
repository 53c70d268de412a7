//! The evidence of one policy and TTL class.

use serde::{Deserialize, Serialize};

use super::closing::{Alarm, Watch};
use super::labeller::Labeller;
use super::opening::Walk;
use super::queue::{Draw, Queue, ROOM};
use super::{Event, Happened, Source, Terms, grid};

/// The chance of ever opening a threshold over budget when labels are right by definition.
const ALPHA: f64 = 0.05;
/// The same with a judge, whose quality takes the rest.
const ALPHA_WITH_JUDGE: f64 = 0.04;
/// Until this many hits were drawn after an opening, that is about 500 hits, they are drawn at [`EARLY`].
const EARLY_DRAWS: u32 = 100;
const EARLY: u16 = 2_000;
/// Afterwards: near the serving threshold, and elsewhere.
const NEAR: u16 = 1_000;
const FAR: u16 = 200;
/// What is near.
const NEARBY: u16 = 200;
const ALWAYS: u16 = 10_000;

/// The evidence of one policy and TTL class: counts and what waits for a label, no text, bounded. As JSON it is exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    terms: Terms,
    /// Index of the serving threshold.
    pub(super) open: Option<u8>,
    pub(super) walk: Walk,
    watch: Watch,
    pub(super) labeller: Labeller,
    queue: Queue,
    pub(super) openings: u32,
    pub(super) closings: u32,
    /// The threshold of the last closing.
    pub(super) closed_at: Option<u16>,
}

impl State {
    /// Closed, nothing known.
    pub fn new(terms: &Terms) -> Self {
        Self {
            terms: terms.clone(),
            open: None,
            walk: Walk::new(last(terms), 0, 0),
            watch: Watch::default(),
            labeller: Labeller::default(),
            queue: Queue::default(),
            openings: 0,
            closings: 0,
            closed_at: None,
        }
    }

    /// Itself if it was made under equal terms, else a new one: evidence is never borrowed.
    #[must_use]
    pub fn resume(self, terms: &Terms) -> Self {
        let floor = last(terms);
        let is_sound =
            self.queue.draws.len() <= ROOM && self.walk.lead <= floor && self.open.is_none_or(|open| open <= floor);
        if self.terms == *terms && is_sound {
            self
        } else {
            Self::new(terms)
        }
    }

    /// Takes an event, after counting as wrong what waited for a day. Under other terms it starts anew.
    pub fn apply(&mut self, terms: &Terms, event: &Event, now_ms: u64) -> Happened {
        let mut happened = self.expire(terms, now_ms);
        match *event {
            Event::Drawn {
                id,
                similarity,
                is_open,
            } => {
                let band = grid::band(terms.floor, similarity);
                happened.is_kept = band.is_some_and(|band| self.queue.push(id, band, is_open, now_ms));
                self.watch.drawn = self.watch.drawn.saturating_add(u32::from(happened.is_kept && is_open));
            }
            Event::Label { id, is_wrong, source } => self.label(id, is_wrong, source, &mut happened),
            Event::Repeat { is_wrong } => self.labeller.repeat(is_wrong),
            Event::Planted { is_wrong } => self.labeller.planted(is_wrong),
        }
        happened
    }

    /// Counts as wrong what waited for a day.
    pub fn expire(&mut self, terms: &Terms, now_ms: u64) -> Happened {
        if self.terms != *terms {
            *self = Self::new(terms);
        }
        let mut happened = Happened::default();
        while let Some(id) = self.queue.late(now_ms) {
            self.label(id, true, Source::Expired, &mut happened);
        }
        happened
    }

    /// The serving threshold in ten-thousandths; `None` = closed.
    pub fn threshold(&self) -> Option<u16> {
        self.value(self.open?)
    }

    /// From here on a would-be hit in `Observe` is not added to the index, or neighbours would be denser than when
    /// served: the serving threshold, or while closed the one that would open.
    pub fn proposed(&self, terms: &Terms) -> u16 {
        if self.terms != *terms {
            return terms.floor;
        }
        self.value(self.open.unwrap_or(self.walk.lead)).unwrap_or(terms.floor)
    }

    /// The share of pairs to draw at this similarity, in ten-thousandths: all that would not be served, many of the
    /// first hits, fewer later. The share is one within a band, so that a band's labels need no weights.
    pub fn share(&self, terms: &Terms, similarity: u16) -> u16 {
        let serving = self.threshold().filter(|_| self.terms == *terms);
        let band = grid::band(terms.floor, similarity).and_then(|band| self.value(band));
        match (serving, band) {
            (Some(serving), Some(band)) if band >= serving => {
                if self.watch.drawn < EARLY_DRAWS {
                    EARLY
                } else if band < serving.saturating_add(NEARBY) {
                    NEAR
                } else {
                    FAR
                }
            }
            _ => ALWAYS,
        }
    }

    /// Another pair may be drawn.
    pub fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    /// This draw still waits for its label.
    pub fn is_pending(&self, id: u64) -> bool {
        self.queue.is_pending(id)
    }

    /// The rate of wrong labels that is certified.
    pub(super) fn budget(&self) -> f64 {
        self.labeller.corrected(f64::from(self.terms.budget) / 10_000.0)
    }

    pub(super) fn has_terms_of(&self, other: &Self) -> bool {
        self.terms == other.terms
    }

    pub(super) fn alpha(&self) -> f64 {
        if self.terms.has_judge { ALPHA_WITH_JUDGE } else { ALPHA }
    }

    pub(super) fn value(&self, index: u8) -> Option<u16> {
        grid::thresholds(self.terms.floor).nth(usize::from(index))
    }

    fn label(&mut self, id: u64, is_wrong: bool, source: Source, happened: &mut Happened) {
        let Some(at) = self.queue.position(id) else {
            return;
        };
        happened.labelled.push((source, is_wrong));
        if source == Source::Judge {
            self.labeller.labels = self.labeller.labels.saturating_add(1);
        }
        let is_open = self.queue.draws.get_mut(at).is_some_and(|draw| {
            draw.is_wrong = Some(is_wrong);
            draw.is_open
        });
        if is_open {
            let draw = self.queue.draws.remove(at);
            self.served(&draw, is_wrong, happened);
        }
        self.settle();
        self.try_open(happened);
    }

    /// The label of a served pair: never evidence to open, always a reason to look whether to close.
    fn served(&mut self, draw: &Draw, is_wrong: bool, happened: &mut Happened) {
        let Some(open) = self.open.filter(|open| draw.band <= *open) else {
            return;
        };
        let (closed, rest) = match self.watch.label(draw.band, is_wrong, self.budget()) {
            Alarm::None => return,
            Alarm::Band => (draw.band, draw.band.checked_sub(1)),
            Alarm::Class => (open, None),
        };
        self.open = rest;
        self.closings = self.closings.saturating_add(1);
        self.closed_at = self.value(closed);
        happened.closed = self.closed_at;
        self.walk = Walk::new(last(&self.terms), self.closings, self.queue.drawn);
    }

    /// Bets on what is labelled, in the order of the draws, up to the first of the test that is not.
    fn settle(&mut self) {
        let budget = self.budget();
        loop {
            let Self { walk, queue, open, .. } = self;
            // What is not tested waits for nothing.
            queue.draws.retain(|draw| match draw.is_wrong {
                Some(is_wrong) if !walk.is_tested(draw, *open) => {
                    walk.see(draw, is_wrong);
                    false
                }
                _ => true,
            });
            let Some(at) = queue.draws.iter().position(|draw| walk.is_tested(draw, *open)) else {
                return;
            };
            let Some(is_wrong) = queue.draws.get(at).and_then(|draw| draw.is_wrong) else {
                return;
            };
            let draw = queue.draws.remove(at);
            walk.settle(&draw, is_wrong, *open, budget);
        }
    }

    fn try_open(&mut self, happened: &mut Happened) {
        let floor = last(&self.terms);
        if self.open == Some(floor) {
            return;
        }
        let Some(spent) = self
            .walk
            .wins(&self.queue.draws, self.open, self.budget(), self.alpha())
        else {
            return;
        };
        let lead = self.walk.lead;
        self.watch
            .open(self.open.map_or(0, |open| open.saturating_add(1))..=lead);
        self.open = Some(lead);
        self.openings = self.openings.saturating_add(1);
        happened.opened = self.value(lead);
        if lead < floor {
            self.walk.below(floor, spent.min(self.queue.drawn));
        }
    }
}

/// Index of the floor.
fn last(terms: &Terms) -> u8 {
    u8::try_from(grid::thresholds(terms.floor).count().saturating_sub(1)).unwrap_or(0)
}
