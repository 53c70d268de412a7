//! The log once more, past an index: which questions would have found an answer; pure.
//!
//! As a sidecar in `Observe` does before its first opening: what would have been a hit is no neighbour itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use llmcache_sidecar::policy::TtlClass;
use llmcache_sidecar::provider::answer::comparison;
use llmcache_sidecar::semantic::embedding::Vector;
use llmcache_sidecar::semantic::guards::{self, Guard, Question};
use llmcache_sidecar::semantic::index::{Bounds, Flat, Row};

use super::call::{Asked, Call, Cost};

/// Neighbours looked at, nearest first.
const MOST_NEIGHBOURS: usize = 8;
/// What a question holds beside its text: words, stems and sets of them.
const QUESTION_BYTES: usize = 512;
const BYTES_PER_BYTE: usize = 12;

/// The caches as far as the log was replayed.
pub(super) struct Replay<'a> {
    classes: &'a [TtlClass],
    /// Ends of life of exact answers.
    kept: HashMap<[u8; 32], u64>,
    index: Flat<Arc<Past>>,
    pub(super) counts: Counts,
}

/// A question whose answer is kept.
struct Past {
    question: Question,
    closed: Option<String>,
}

/// What came of the calls.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) bypass: BTreeMap<&'static str, u32>,
    pub(super) repeats: u32,
    /// Neighbours that a guard was against.
    pub(super) vetoes: BTreeMap<&'static str, u32>,
    /// One for each TTL class.
    pub(super) classes: Vec<Found>,
}

/// What came of the questions of one class.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) questions: u32,
    pub(super) hits: Vec<Hit>,
}

/// A question that would have been answered by another's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    /// In ten-thousandths.
    pub(super) similarity: u16,
    /// Of the answer that was given, and would have been spared.
    pub(super) cost: Cost,
    /// Whether both answers are the same; none when that cannot be told.
    pub(super) is_same: Option<bool>,
}

impl<'a> Replay<'a> {
    /// Before the first call.
    pub(super) fn new(classes: &'a [TtlClass]) -> Self {
        Self {
            classes,
            kept: HashMap::new(),
            index: Flat::new(Bounds::default()),
            counts: Counts {
                classes: classes.iter().map(|_| Found::default()).collect(),
                ..Counts::default()
            },
        }
    }

    /// Takes the next call as far as it goes without a vector; the question whose vector is wanted, if one is.
    pub(super) fn ask<'c>(&mut self, call: &'c Call) -> Option<&'c Asked> {
        let plan = match &call.plan {
            Ok(plan) => plan,
            Err(reason) => {
                self.bypass(reason);
                return None;
            }
        };
        if self.kept.get(&plan.key).is_some_and(|end| call.at_ms < *end) {
            self.counts.repeats += 1;
            return None;
        }
        if call.answer.is_kept {
            self.kept.insert(plan.key, self.end(call, plan.class));
        }
        plan.question.as_ref().map_err(|reason| self.bypass(reason)).ok()
    }

    /// Counts a call that no cache looks at.
    pub(super) fn bypass(&mut self, reason: &'static str) {
        *self.counts.bypass.entry(reason).or_default() += 1;
    }

    /// Looks the question up; it becomes a neighbour unless it would have been a hit.
    pub(super) fn look(&mut self, call: &Call, asked: &Asked, vector: &Vector) {
        let Ok(plan) = &call.plan else { return };
        let question = Question::read(&asked.text);
        let floor = self.classes[plan.class].similarity_threshold;
        let hit = self.nearest(call, asked, vector, &question, floor);
        let found = &mut self.counts.classes[plan.class];
        found.questions += 1;
        if let Some(hit) = hit {
            found.hits.push(hit);
        } else if call.answer.is_kept {
            let row = Row {
                vector: Box::new(*vector.numbers()),
                key: plan.key,
                payload_bytes: QUESTION_BYTES + asked.text.len() * BYTES_PER_BYTE,
                payload: Arc::new(Past {
                    question,
                    closed: call.answer.closed.clone(),
                }),
                expires_ms: self.end(call, plan.class),
            };
            self.index.insert(asked.partition, row);
        }
    }

    fn nearest(&mut self, call: &Call, asked: &Asked, vector: &Vector, question: &Question, floor: u16) -> Option<Hit> {
        let neighbours = self
            .index
            .nearest(&asked.partition, vector.numbers(), floor, MOST_NEIGHBOURS, call.at_ms);
        for neighbour in neighbours {
            let past = neighbour.payload;
            if let Some(guard) = guards::veto(question, &past.question) {
                *self.counts.vetoes.entry(Guard::word(guard)).or_default() += 1;
                continue;
            }
            let both = call.answer.closed.as_deref().zip(past.closed.as_deref());
            return Some(Hit {
                similarity: neighbour.similarity,
                cost: call.answer.cost,
                is_same: both.and_then(|(one, other)| comparison::compare(one, other)),
            });
        }
        None
    }

    fn end(&self, call: &Call, class: usize) -> u64 {
        call.at_ms.saturating_add(self.classes[class].ttl_ms)
    }
}

#[cfg(test)]
mod tests;
