//! What status and metrics say about a class.

use super::{State, Terms};

/// The evidence in a few numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Labels of the threshold under test.
    pub labels: u32,
    /// Those that say "wrong".
    pub wrong: u32,
    /// About how many labels open it if no more wrong ones come; `u32::MAX` while the judge is not measured.
    pub needed: u32,
    /// Of the threshold under test; it opens near 1.3.
    pub log10_evidence: f64,
    /// The serving threshold; `None` = closed.
    pub threshold: Option<u16>,
    /// How often a threshold opened.
    pub openings: u32,
    /// How often evidence closed one.
    pub closings: u32,
    /// What is wrong with the labels, if anything is.
    pub noise: Option<String>,
    closed_at: Option<u16>,
}

impl State {
    /// What status and metrics say.
    pub fn summary(&self, terms: &Terms) -> Summary {
        let fresh = Self::new(terms);
        let state = if fresh.has_terms_of(self) { self } else { &fresh };
        let budget = state.budget();
        let walk = &state.walk;
        let noise = if state.labeller.is_unmeasured() {
            Some("the judge is not measured yet")
        } else if state.labeller.is_too_noisy(budget) {
            Some("labels too noisy for this budget")
        } else {
            None
        };
        Summary {
            labels: walk.bet.labels,
            wrong: walk.bet.wrong,
            needed: walk.bet.needed(budget, walk.goal(state.alpha())),
            log10_evidence: walk.log_stake(budget) / std::f64::consts::LN_10,
            threshold: state.threshold(),
            openings: state.openings,
            closings: state.closings,
            noise: noise.map(str::to_owned),
            closed_at: state.closed_at,
        }
    }
}

impl Summary {
    /// One line for status.
    pub fn message(&self) -> String {
        if let Some(threshold) = self.threshold {
            return format!("serving from {}", decimal(threshold));
        }
        if let Some(noise) = &self.noise {
            return noise.clone();
        }
        let labels = format!("{} of about {} labels", self.labels, self.needed);
        match self.closed_at {
            Some(threshold) => format!("closed by evidence at {}, {labels}", decimal(threshold)),
            None => labels,
        }
    }
}

/// Ten-thousandths with two to four places.
fn decimal(value: u16) -> String {
    let text = format!("{}.{:04}", value / 10_000, value % 10_000);
    let short = text.strip_suffix("00").or_else(|| text.strip_suffix('0'));
    short.unwrap_or(&text).to_owned()
}
