//! The counts against what evidence asks for; pure.

use std::time::Duration;

use llmcache_sidecar::account::Nano;
use llmcache_sidecar::policy::{Snapshot, TtlClass};
use llmcache_sidecar::semantic::evidence::{State, Terms, thresholds};

use super::call::Call;
use super::replay::{Counts, Found, Hit};

const SECONDS_PER_DAY: f64 = 86_400.0;
const ALL: u16 = 10_000;

/// What is told.
pub(super) struct Summary<'a> {
    pub(super) requests: u32,
    /// Days from the first request to the last.
    pub(super) days: f64,
    pub(super) counts: &'a Counts,
    /// The share of wrong answers that is allowed, in ten-thousandths.
    pub(super) budget: u16,
    pub(super) classes: Vec<Class>,
}

/// The evidence that one TTL class would gather.
pub(super) struct Class {
    pub(super) name: String,
    /// The least similarity of a hit, in ten-thousandths.
    pub(super) floor: u16,
    pub(super) questions: u32,
    /// Strictest first.
    pub(super) steps: Vec<Step>,
    /// Labels until it may open, if none says "wrong".
    pub(super) needed: u32,
    /// Requests of this log's kind until then; none = its would-be hits never give so many.
    pub(super) requests: Option<f64>,
    /// Days of this log's pace until then.
    pub(super) days: Option<f64>,
    /// Hits counted by their prompt alone.
    pub(super) estimates: u32,
    /// Hits with a part that has no price.
    pub(super) partial: u32,
}

/// Would-be hits from one threshold on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// In ten-thousandths.
    pub(super) threshold: u16,
    pub(super) hits: u32,
    pub(super) usd: Nano,
    /// Both answers are closed and the same.
    pub(super) agreed: u32,
    /// Both are closed and differ.
    pub(super) disagreed: u32,
}

/// Puts everything together; the calls are in the order of their times.
pub(super) fn of<'a>(calls: &[Call], counts: &'a Counts, snapshot: &Snapshot) -> Summary<'a> {
    let times = calls.first().zip(calls.last());
    let span = times.map_or(0, |(first, last)| last.at_ms.saturating_sub(first.at_ms));
    let mut summary = Summary {
        requests: count(calls.len()),
        days: Duration::from_millis(span).as_secs_f64() / SECONDS_PER_DAY,
        counts,
        budget: snapshot.semantic_cache.max_false_hit_rate,
        classes: Vec::new(),
    };
    let classes = snapshot.ttl_classes.iter().zip(&counts.classes);
    summary.classes = classes
        .map(|(class, found)| summary.class(class, found, snapshot))
        .collect();
    summary
}

impl Summary<'_> {
    fn class(&self, class: &TtlClass, found: &Found, snapshot: &Snapshot) -> Class {
        let judge = snapshot.semantic_cache.judge.as_ref();
        let floor = class.similarity_threshold;
        let terms = Terms {
            floor,
            budget: self.budget,
            has_judge: judge.is_some(),
            fingerprint: String::new(),
        };
        let needed = State::new(&terms).summary(&terms).needed;
        // Without a judge every would-be hit is drawn for a label.
        let drawn = f64::from(judge.map_or(ALL, |judge| judge.sample)) / f64::from(ALL);
        let labels = f64::from(count(found.hits.len())) * drawn;
        let times = (labels > 0.0).then(|| f64::from(needed) / labels);
        let those = |wanted: &dyn Fn(&&Hit) -> bool| count(found.hits.iter().filter(wanted).count());
        Class {
            name: class.name.clone(),
            floor,
            questions: found.questions,
            steps: thresholds(floor)
                .map(|threshold| step(threshold, &found.hits))
                .collect(),
            needed,
            requests: times.map(|times| times * f64::from(self.requests)),
            days: times.filter(|_| self.days > 0.0).map(|times| times * self.days),
            estimates: those(&|hit| hit.cost.is_estimate),
            partial: those(&|hit| hit.cost.is_partial),
        }
    }
}

impl Step {
    /// Answers of which one is prose or not in the log.
    pub(super) fn open(&self) -> u32 {
        self.hits - self.agreed - self.disagreed
    }
}

fn step(threshold: u16, hits: &[Hit]) -> Step {
    let mut step = Step {
        threshold,
        ..Step::default()
    };
    for hit in hits.iter().filter(|hit| hit.similarity >= threshold) {
        step.hits += 1;
        step.usd += hit.cost.nano;
        step.agreed += u32::from(hit.is_same == Some(true));
        step.disagreed += u32::from(hit.is_same == Some(false));
    }
    step
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use llmcache_operator::compile::compile;
    use llmcache_operator::validate::load;

    use super::super::call::{Cost, Reply};
    use super::*;

    fn snapshot(semantic: &str) -> Snapshot {
        let text = format!(
            "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {{name: p}}\nspec: {{semanticCache: {semantic}}}\n"
        );
        compile(&load(&text).unwrap().policies[0].0)
    }

    fn hit(similarity: u16, is_same: Option<bool>) -> Hit {
        Hit {
            similarity,
            cost: Cost {
                nano: Nano(5),
                is_estimate: is_same.is_none(),
                is_partial: false,
            },
            is_same,
        }
    }

    fn calls() -> [Call; 2] {
        [0, 86_400_000].map(|at_ms| Call {
            at_ms,
            plan: Err("endpoint"),
            answer: Reply {
                is_kept: true,
                closed: None,
                cost: Cost::default(),
            },
        })
    }

    fn counts() -> Counts {
        let found = Found {
            questions: 9,
            hits: vec![
                hit(9_950, Some(true)),
                hit(8_100, None),
                hit(8_000, Some(false)),
                hit(8_000, None),
            ],
        };
        Counts {
            classes: vec![found],
            ..Counts::default()
        }
    }

    #[test]
    fn hits_are_counted_from_each_threshold_on() {
        let (counts, snapshot) = (counts(), snapshot("{}"));
        let summary = of(&calls(), &counts, &snapshot);
        let class = &summary.classes[0];
        assert_eq!(
            (class.steps.len(), class.steps[0].threshold, class.steps[15].threshold),
            (16, 9_900, 8_000)
        );
        let last = &class.steps[15];
        assert_eq!(
            (last.hits, last.usd, last.agreed, last.disagreed, last.open()),
            (4, Nano(20), 1, 1, 2)
        );
        assert_eq!((class.steps[0].hits, class.steps[14].hits), (1, 1));
        assert_eq!((class.questions, class.estimates, class.partial), (9, 2, 0));
    }

    #[test]
    fn labels_are_awaited_at_the_pace_of_the_log() {
        let counts = counts();
        for (semantic, needed, labels) in [
            ("{}", 376, 4.0),
            ("{maxFalseHitRate: 0.05}", 74, 4.0),
            ("{judge: {model: gpt-5.4-nano, sample: 0.5}}", 401, 2.0),
        ] {
            let snapshot = snapshot(semantic);
            let summary = of(&calls(), &counts, &snapshot);
            let class = &summary.classes[0];
            assert_eq!(class.needed, needed, "{semantic}");
            assert_eq!(class.days, Some(f64::from(needed) / labels), "{semantic}");
            assert_eq!(class.requests, Some(f64::from(needed) / labels * 2.0), "{semantic}");
        }
    }

    #[test]
    fn without_hits_or_time_there_is_no_pace() {
        let (none, snapshot) = (
            Counts {
                classes: vec![Found::default()],
                ..Counts::default()
            },
            snapshot("{}"),
        );
        let summary = of(&calls(), &none, &snapshot);
        assert_eq!((summary.classes[0].requests, summary.classes[0].days), (None, None));
        let counts = counts();
        let summary = of(&calls()[..1], &counts, &snapshot);
        assert_eq!(
            (summary.classes[0].requests, summary.classes[0].days),
            (Some(94.0), None)
        );
    }
}
