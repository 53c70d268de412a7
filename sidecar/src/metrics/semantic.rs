//! The semantic cache: what became of candidates, who vetoed, what the labels say.

use llmcache_semantic::embedding::{Embedder, State};
use llmcache_semantic::evidence::{Source, Summary};
use llmcache_semantic::guards::Guard;
use prometheus::{Error, Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use super::family::{counts, register};

/// What became of the nearest stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// None was near enough.
    None,
    /// Guards were against each that was.
    Vetoed,
    /// Its answer is not stored any more, or not for this request.
    Gone,
    /// Not near enough for what the evidence allows.
    Below,
    /// A would-be hit of `Observe`.
    Observed,
    /// Its label is wanted; the provider answers.
    Drawn,
    /// Served.
    Served,
}

#[derive(Debug)]
pub(super) struct Semantic {
    candidates: IntCounterVec,
    vetoes: IntCounterVec,
    labels: IntCounterVec,
    pub(super) killed: IntCounter,
    pub(super) openings: IntCounterVec,
    pub(super) closings: IntCounterVec,
    threshold: GaugeVec,
    evidence: GaugeVec,
    held: GaugeVec,
    needed: GaugeVec,
    pub(super) entries: Gauge,
    embedder_up: Gauge,
    embedder_restarts: IntCounter,
}

impl Candidate {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Vetoed,
        Self::Gone,
        Self::Below,
        Self::Observed,
        Self::Drawn,
        Self::Served,
    ];

    /// The word in metrics and headers.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Vetoed => "vetoed",
            Self::Gone => "gone",
            Self::Below => "below",
            Self::Observed => "observed",
            Self::Drawn => "drawn",
            Self::Served => "served",
        }
    }
}

impl Semantic {
    pub(super) fn register(r: &Registry) -> Result<Self, Error> {
        let by_class = |name: &str, help: &str| register(r, GaugeVec::new(Opts::new(name, help), &["class"]));
        let killed = IntCounter::new("semantic_killed_total", "entries ended because their answer was wrong");
        let restarts = IntCounter::new("embedder_restarts_total", "times the embedder was started again");
        let semantic = Self {
            candidates: counts(r, "semantic_candidates_total", "nearest stored answers", &["result"])?,
            vetoes: counts(r, "semantic_vetoes_total", "candidates a guard was against", &["guard"])?,
            labels: counts(r, "semantic_labels_total", "labels of pairs", &["source", "verdict"])?,
            killed: register(r, killed)?,
            openings: counts(
                r,
                "semantic_openings_total",
                "times the evidence opened a class",
                &["class"],
            )?,
            closings: counts(
                r,
                "semantic_closings_total",
                "times the evidence closed a class",
                &["class"],
            )?,
            threshold: by_class("semantic_threshold", "least similarity that is served; 0 = closed")?,
            evidence: by_class("semantic_evidence", "log10 of the leading e-value")?,
            held: by_class("semantic_labels", "labels of the leading threshold")?,
            needed: by_class("semantic_labels_needed", "labels it needs, if none more is wrong")?,
            entries: register(r, Gauge::new("semantic_entries", "questions with a stored answer"))?,
            embedder_up: register(r, Gauge::new("embedder_up", "1 while the embedder answers"))?,
            embedder_restarts: register(r, restarts)?,
        };
        semantic.start_at_zero();
        Ok(semantic)
    }

    pub(super) fn candidate(&self, candidate: Candidate) {
        self.candidates.with_label_values(&[candidate.word()]).inc();
    }

    pub(super) fn veto(&self, guard: Guard) {
        self.vetoes.with_label_values(&[guard.word()]).inc();
    }

    pub(super) fn label(&self, source: Source, is_wrong: bool) {
        self.labels.with_label_values(&[source.word(), verdict(is_wrong)]).inc();
    }

    pub(super) fn evidence(&self, class: &str, summary: &Summary) {
        let set = |gauge: &GaugeVec, value: f64| gauge.with_label_values(&[class]).set(value);
        set(
            &self.threshold,
            summary.threshold.map_or(0.0, |at| f64::from(at) / 10_000.0),
        );
        set(&self.evidence, summary.log10_evidence);
        set(&self.held, f64::from(summary.labels));
        set(&self.needed, f64::from(summary.needed));
        for counter in [&self.openings, &self.closings] {
            counter.with_label_values(&[class]);
        }
    }

    /// Nothing is known of any class any more.
    pub(super) fn forget(&self) {
        for gauge in [&self.threshold, &self.evidence, &self.held, &self.needed] {
            gauge.reset();
        }
        self.entries.set(0.0);
    }

    pub(super) fn embedder(&self, embedder: &Embedder) {
        self.embedder_up
            .set(if embedder.state() == State::Ready { 1.0 } else { 0.0 });
        let restarts = embedder.restarts().saturating_sub(self.embedder_restarts.get());
        self.embedder_restarts.inc_by(restarts);
    }

    fn start_at_zero(&self) {
        for candidate in Candidate::ALL {
            self.candidates.with_label_values(&[candidate.word()]);
        }
        for guard in Guard::ALL {
            self.vetoes.with_label_values(&[guard.word()]);
        }
        for source in Source::ALL {
            for is_wrong in [false, true] {
                self.labels.with_label_values(&[source.word(), verdict(is_wrong)]);
            }
        }
    }
}

fn verdict(is_wrong: bool) -> &'static str {
    if is_wrong { "wrong" } else { "right" }
}
