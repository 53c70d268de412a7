//! Simulated deployments of the semantic cache's evidence: how many overrun their budget, how soon they open, what
//! they serve, and what drift costs. Run with `cargo run --release --example evidence_simulation -p llmcache-semantic`.

use std::io::Write as _;

use llmcache_semantic::evidence::{Event, Source, State, Terms};

const FLOOR: u16 = 8_000;

/// A small generator (splitmix64): a seed makes a deployment repeatable.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: u16) -> u16 {
        u16::try_from(self.bits() % u64::from(bound.max(1))).unwrap_or(0)
    }

    fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.bits() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    fn happens(&mut self, chance: f64) -> bool {
        self.unit() < chance
    }
}

/// What kind of class is simulated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Errors from none to far over budget at the floor, fewer at stricter thresholds.
    Steady,
    /// Just over budget at every similarity and nothing asked twice: the hardest case for the guarantee. (Repeats help:
    /// a wrong label kills its entry.)
    Edge,
    /// As `Steady`, and from the middle on every similarity has a tenth wrong.
    Drift,
}

/// A pair of questions that may be asked again.
#[derive(Clone, Copy)]
struct Pair {
    similarity: u16,
    chance: f64,
    is_wrong: bool,
    is_killed: bool,
}

/// What became of a deployment.
#[derive(Default)]
struct Outcome {
    lookups: u32,
    served: u32,
    /// The sum of the true error chances of what was served.
    risk: f64,
    opened_after: Option<u32>,
    /// Wrong answers between the drift and the next closing.
    drift_wrong: Option<u32>,
    is_over: bool,
}

struct Deployment {
    random: Random,
    kind: Kind,
    terms: Terms,
    state: State,
    budget: f64,
    floor_error: f64,
    top_error: f64,
    sensitivity: f64,
    false_alarm: f64,
    recent: Vec<Pair>,
}

impl Deployment {
    fn new(kind: Kind, budget: u16, seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let has_judge = random.happens(0.5);
        let terms = Terms {
            floor: FLOOR,
            budget,
            has_judge,
            fingerprint: String::new(),
        };
        let budget = f64::from(budget) / 10_000.0;
        let floor_error = if kind == Kind::Edge {
            1.02 * budget
        } else {
            12.0 * budget * random.unit().powi(2)
        };
        let top_error = if kind == Kind::Edge {
            floor_error
        } else {
            floor_error.min(budget) * random.unit() * 0.5
        };
        let sensitivity = if has_judge { 0.9 + 0.1 * random.unit() } else { 1.0 };
        let false_alarm = if has_judge { 0.2 * budget * random.unit() } else { 0.0 };
        let state = State::new(&terms);
        let mut deployment = Self {
            random,
            kind,
            terms,
            state,
            budget,
            floor_error,
            top_error,
            sensitivity,
            false_alarm,
            recent: Vec::new(),
        };
        for _ in 0..if has_judge { 300 } else { 0 } {
            let planted = Event::Planted {
                is_wrong: deployment.random.happens(sensitivity),
            };
            deployment.state.apply(&deployment.terms, &planted, 0);
        }
        deployment
    }

    /// The next lookup: some ask again what was asked, and the denser the index the closer the neighbour.
    fn pair(&mut self, progress: f64) -> (usize, Pair) {
        if self.kind != Kind::Edge && self.recent.len() >= 50 && self.random.happens(0.3) {
            let at = usize::from(self.random.below(u16::try_from(self.recent.len()).unwrap_or(u16::MAX)));
            if let Some(pair) = self.recent.get(at).filter(|pair| !pair.is_killed) {
                // Asked before, so no longer a matter of chance.
                return (
                    at,
                    Pair {
                        chance: f64::from(u8::from(pair.is_wrong)),
                        ..*pair
                    },
                );
            }
        }
        let spread = 0.5 * (self.random.unit() + self.random.unit());
        let closeness = (spread + 0.2 * progress).min(1.0);
        let similarity = FLOOR - 400 + self.random.below(100) + fraction(2_300.0 * closeness);
        let distance = f64::from(10_000_u16.saturating_sub(similarity)) / f64::from(10_000 - FLOOR);
        let mut chance = (self.top_error + (self.floor_error - self.top_error) * distance.powi(2)).min(1.0);
        if self.kind == Kind::Drift && progress > 0.5 {
            chance = chance.max(0.1);
        }
        let pair = Pair {
            similarity,
            chance,
            is_wrong: self.random.happens(chance),
            is_killed: false,
        };
        let at = usize::from(self.random.below(500)).min(self.recent.len());
        match self.recent.get_mut(at) {
            Some(old) => *old = pair,
            None => self.recent.push(pair),
        }
        (at, pair)
    }

    fn label(&mut self, is_wrong: bool) -> (bool, Source) {
        if !self.terms.has_judge || self.random.happens(0.1) {
            return (is_wrong, Source::Feedback);
        }
        let chance = if is_wrong { self.sensitivity } else { self.false_alarm };
        (self.random.happens(chance), Source::Judge)
    }

    fn run(mut self, lookups: u32) -> Outcome {
        let mut outcome = Outcome {
            lookups,
            ..Outcome::default()
        };
        let mut since_drift = None;
        for lookup in 0..lookups {
            let (at, pair) = self.pair(f64::from(lookup) / f64::from(lookups));
            if self.kind == Kind::Drift && lookup == lookups / 2 && self.state.threshold().is_some() {
                since_drift = Some(0);
            }
            if pair.similarity < FLOOR {
                continue;
            }
            let is_open = self
                .state
                .threshold()
                .is_some_and(|threshold| pair.similarity >= threshold);
            let share = self.state.share(&self.terms, pair.similarity);
            if self.random.below(10_000) >= share {
                outcome.served += 1;
                outcome.risk += pair.chance;
                since_drift = since_drift.map(|wrong| wrong + u32::from(pair.is_wrong));
                continue;
            }
            let (is_wrong, source) = self.label(pair.is_wrong);
            let id = u64::from(lookup);
            self.state.apply(
                &self.terms,
                &Event::Drawn {
                    id,
                    similarity: pair.similarity,
                    is_open,
                },
                0,
            );
            let happened = self.state.apply(&self.terms, &Event::Label { id, is_wrong, source }, 0);
            if let (true, Some(pair)) = (is_wrong, self.recent.get_mut(at)) {
                pair.is_killed = true;
            }
            if happened.opened.is_some() {
                outcome.opened_after.get_or_insert(lookup);
            }
            if self.state.threshold().is_none() {
                outcome.drift_wrong = since_drift.take().or(outcome.drift_wrong);
            }
        }
        outcome.drift_wrong = since_drift.or(outcome.drift_wrong);
        outcome.is_over = outcome.risk > self.budget * f64::from(outcome.served);
        outcome
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small number that is not negative"
)]
fn fraction(value: f64) -> u16 {
    value as u16
}

/// As many lookups as `looks` budgets' worth: the smaller the budget, the more labels every step takes.
fn deployments(kind: Kind, budget: u16, looks: u32, count: u64) -> Vec<Outcome> {
    let lookups = looks * 10_000 / u32::from(budget);
    (0..count)
        .map(|seed| Deployment::new(kind, budget, seed * 31 + u64::from(budget)).run(lookups))
        .collect()
}

fn median(mut values: Vec<u32>) -> String {
    values.sort_unstable();
    values
        .get(values.len() / 2)
        .map_or_else(|| "-".to_owned(), u32::to_string)
}

fn percent(part: usize, whole: usize) -> f64 {
    let count = |value: usize| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
    100.0 * count(part) / count(whole.max(1))
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "kind   budget  over%  opened%  median lookups to open  served%  wrong after drift (median, p95)"
    )?;
    for (name, kind) in [("steady", Kind::Steady), ("edge", Kind::Edge), ("drift", Kind::Drift)] {
        for budget in [50, 100, 200, 500] {
            let outcomes = deployments(kind, budget, 100, 1_000);
            let over = outcomes.iter().filter(|outcome| outcome.is_over).count();
            let opened: Vec<u32> = outcomes.iter().filter_map(|outcome| outcome.opened_after).collect();
            let served = outcomes.iter().map(|outcome| outcome.served).sum::<u32>();
            let lookups = outcomes.iter().map(|outcome| outcome.lookups).sum::<u32>();
            let mut wrong: Vec<u32> = outcomes.iter().filter_map(|outcome| outcome.drift_wrong).collect();
            wrong.sort_unstable();
            let tail = wrong
                .get(wrong.len() * 95 / 100)
                .map_or_else(|| "-".to_owned(), u32::to_string);
            writeln!(
                out,
                "{name:6} {:5.1}%  {:5.1}  {:7.1}  {:>22}  {:7.1}  {}, {tail}",
                f64::from(budget) / 100.0,
                percent(over, outcomes.len()),
                percent(opened.len(), outcomes.len()),
                median(opened),
                100.0 * f64::from(served) / f64::from(lookups),
                median(wrong),
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand short deployments: how many opened, how many overran their budget.
    fn thousand(kind: Kind) -> (usize, usize) {
        let mut outcomes = deployments(kind, 500, 20, 300);
        outcomes.extend(deployments(kind, 1_000, 20, 700));
        let opened = outcomes.iter().filter(|outcome| outcome.opened_after.is_some());
        let over = outcomes.iter().filter(|outcome| outcome.is_over);
        (opened.count(), over.count())
    }

    #[test]
    fn few_deployments_overrun_their_budget() {
        let (opened, over) = thousand(Kind::Steady);
        assert!(over <= 61, "{over}");
        assert!(opened >= 250, "a layer that never opens keeps any budget: {opened}");
    }

    #[test]
    fn few_classes_just_over_budget_ever_open() {
        let (_, over) = thousand(Kind::Edge);
        assert!(over <= 61, "{over}");
    }
}
