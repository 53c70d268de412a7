//! What the app says of answers: which stored answer a request's id stands for, and the end of a wrong one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use llmcache_cache::bans::Ban;
use llmcache_cache::entry::Layer;
use llmcache_cache::seal::Digest;
use llmcache_semantic::evidence::{Event, Source};
use moka::sync::Cache;

use super::plan::Plan;
use crate::pipeline::Pipeline;

/// How long the app may say something about an answer.
pub(crate) const LIFE: Duration = Duration::from_hours(24);
/// Answers that it may be said of, about 250 bytes each.
const MOST_SUBJECTS: u64 = 65_536;
/// Bytes of drawn candidates kept to be looked at.
const CANDIDATE_BYTES: u64 = 8 << 20;

/// The stored answer that a word of the app is about.
#[derive(Clone)]
pub(crate) struct Subject {
    class: Arc<str>,
    partition: Digest,
    key: Digest,
    /// The pair it labels; none = the answer was served, and the word ends the entry at most.
    pair: Option<u64>,
    is_told: Arc<AtomicBool>,
}

/// A drawn candidate as its caller may see it.
#[derive(Clone)]
struct Shown {
    answer: Bytes,
    credential: Digest,
}

/// Answers of the last day that the app may judge.
pub(crate) struct Feedback {
    subjects: Cache<String, Subject>,
    candidates: Cache<String, Shown>,
}

/// What became of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It counts.
    Accepted,
    /// No answer of this layer has that id, or it is too old.
    Unknown,
    /// It was said before.
    Repeated,
}

impl Subject {
    /// Of an answer that was served.
    pub(super) fn served(plan: &Plan, class: &str, key: Digest) -> Self {
        Self {
            class: class.into(),
            partition: plan.partition,
            key,
            pair: None,
            is_told: Arc::default(),
        }
    }

    /// Of the candidate of a drawn pair.
    pub(super) fn drawn(plan: &Plan, class: &str, key: Digest, pair: u64) -> Self {
        Self {
            pair: Some(pair),
            ..Self::served(plan, class, key)
        }
    }
}

impl Feedback {
    pub(super) fn new() -> Self {
        Self {
            subjects: Cache::builder().max_capacity(MOST_SUBJECTS).time_to_live(LIFE).build(),
            candidates: Cache::builder()
                .max_capacity(CANDIDATE_BYTES)
                .weigher(|_, shown: &Shown| u32::try_from(shown.answer.len() + 256).unwrap_or(u32::MAX))
                .time_to_live(LIFE)
                .build(),
        }
    }

    /// From now on a word about a request is about this answer.
    pub(crate) fn about(&self, request: &str, subject: Subject) {
        self.subjects.insert(request.to_owned(), subject);
    }

    /// Lets the credential that drew a candidate look at it.
    pub(super) fn show(&self, id: &str, answer: Bytes, credential: Digest) {
        self.candidates.insert(id.to_owned(), Shown { answer, credential });
    }

    /// A drawn candidate, for the credential that drew it.
    pub(crate) fn candidate(&self, id: &str, credential: Digest) -> Option<Bytes> {
        let shown = self.candidates.get(id)?;
        (shown.credential == credential).then_some(shown.answer)
    }
}

/// The app's word about a request's answer, or about the candidate of its pair.
pub(crate) async fn hear(pipeline: &Pipeline, request: &str, is_wrong: bool) -> Heard {
    let Some(semantic) = &pipeline.semantic else {
        return Heard::Unknown;
    };
    let Some(subject) = semantic.feedback.subjects.get(request) else {
        return Heard::Unknown;
    };
    if subject.is_told.swap(true, Ordering::AcqRel) {
        return Heard::Repeated;
    }
    if let Some(id) = subject.pair {
        let label = Event::Label {
            id,
            is_wrong,
            source: Source::Feedback,
        };
        semantic.note(&subject.class, label, pipeline.clock.now_ms());
    }
    if is_wrong {
        kill(pipeline, &subject).await;
    }
    Heard::Accepted
}

/// Ends an entry wherever it is stored: a ban on a tag that no other entry has.
pub(super) async fn kill(pipeline: &Pipeline, subject: &Subject) {
    if let Some(semantic) = &pipeline.semantic {
        semantic.neighbours.remove(subject.partition, subject.key);
    }
    let ban = Ban {
        pattern: Some(tag(subject.key)),
        layer: Some(Layer::Semantic),
        ..Ban::default()
    };
    if pipeline.tiers.issue(&ban, pipeline.clock.now_ms()).await.is_err() {
        tracing::error!("the ban on a wrong answer was refused");
    }
    pipeline.metrics.killed();
}

/// The tag that an entry of this layer alone has.
pub(super) fn tag(key: Digest) -> String {
    format!("llmcache:answer:{}", super::hex(&key.0[..16]))
}
