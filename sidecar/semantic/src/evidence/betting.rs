//! The arithmetic of the bets: e-values that hold at every look, by Ville's inequality.
//!
//! Each value is what a gambler owns who stakes one coin, at fair odds, on "fewer wrong than the budget". If the
//! budget is overrun, the chance that he ever owns 1/α is at most α, however often one looks.

/// Shares of the budget that are betted on; their mean is taken.
const BELIEFS: [f64; 5] = [0.0, 0.1, 0.25, 0.5, 0.7];
/// Multiples of the budget that the closing detector watches for.
const ALARMS: [f64; 3] = [2.0, 4.0, 10.0];
/// The chance that the labeller's misses are underestimated, at any look.
const QUALITY_ALPHA: f64 = 0.01;
/// More labels than any deployment gives.
const NEVER: u32 = u32::MAX;

/// How many labels there are, and how many of them say "wrong".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tally {
    pub(super) labels: u32,
    pub(super) wrong: u32,
}

impl Tally {
    pub(super) fn add(&mut self, is_wrong: bool) {
        self.labels = self.labels.saturating_add(1);
        self.wrong = self.wrong.saturating_add(u32::from(is_wrong)).min(self.labels);
    }

    /// Natural logarithm of the e-value against "the share of wrong labels is at least `budget`".
    ///
    /// It depends on the counts alone, falls with each wrong label and rises with the budget. The last is why a
    /// budget that is corrected by a lower bound of the labeller's sensitivity may be corrected at any look.
    pub(super) fn log_evidence(self, budget: f64) -> f64 {
        // At no budget at all right labels gain nothing, and wrong ones lose what they always do.
        let budget = budget.clamp(1e-12, 1.0 - 1e-12);
        let right = f64::from(self.labels.saturating_sub(self.wrong));
        let wrong = f64::from(self.wrong);
        let logs = BELIEFS.map(|share| {
            let loss = if self.wrong == 0 { 0.0 } else { wrong * share.ln() };
            loss + right * ((1.0 - share * budget) / (1.0 - budget)).ln()
        });
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
        most + sum.ln() - 5_f64.ln()
    }

    /// The number of labels at which the evidence reaches `goal` if no further wrong one comes.
    pub(super) fn needed(self, budget: f64, goal: f64) -> u32 {
        let is_enough = |labels: u32| Self { labels, ..self }.log_evidence(budget) >= goal;
        let (mut short, mut enough) = (self.labels, self.labels.max(1));
        while !is_enough(enough) {
            short = enough;
            enough = enough.saturating_mul(2);
            if enough == NEVER {
                return NEVER;
            }
        }
        while enough - short > 1 {
            let middle = short + (enough - short) / 2;
            *(if is_enough(middle) { &mut enough } else { &mut short }) = middle;
        }
        enough
    }

    /// A bound on the share of wrong labels that holds at every look but for one chance in a hundred.
    pub(super) fn most_wrong(self) -> f64 {
        let goal = -QUALITY_ALPHA.ln();
        let (mut low, mut high) = (0.0, 1.0);
        // 40 halvings: finer than any count can tell.
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            *(if self.log_evidence(middle) >= goal {
                &mut high
            } else {
                &mut low
            }) = middle;
        }
        high
    }
}

/// The closing detector after one more label; it starts at 0 and closes at 2 000.
pub(super) fn alarm(before: f64, is_wrong: bool, budget: f64) -> f64 {
    let ratios = ALARMS.map(|times| {
        if is_wrong {
            times
        } else {
            (1.0 - times * budget).max(0.0) / (1.0 - budget)
        }
    });
    (before + 1.0) * ratios.iter().sum::<f64>() / 3.0
}

/// Whole millionths of a non-negative number, rounded up; what is kept so comes back from JSON exactly.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and a cast saturates"
)]
pub(super) fn millionths(value: f64) -> u32 {
    (value.max(0.0) * 1e6).ceil() as u32
}
