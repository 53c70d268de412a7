//! What all requests under one policy share of this layer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use llmcache_cache::budget::{Deadline, StoreStats};
use llmcache_cache::seal::{Keyring, Keys, NamespaceKey};
use llmcache_cache::tiers::Tiers;
use llmcache_policy::semantic_cache::Judge;
use llmcache_policy::{Mode, Snapshot};
use llmcache_provider::judge;
use llmcache_semantic::embedding::{Embedder, Space, State as EmbedderState, Unavailable, Vector};
use llmcache_semantic::evidence::{Event, Summary, Terms};
use llmcache_semantic::guards;
use tokio::time::Instant;

use super::books::{Book, Books, Place};
use super::feedback::Feedback;
use super::judge::{Check, Purse};
use super::neighbours::Neighbours;
use super::qdrant::Shared;
use super::search::Vetoed;
use crate::pipeline::shared::Stores;
use crate::pipeline::{Exchange, Pipeline};
use crate::process::Process;

/// Version of what two requests must share; a change starts new evidence.
const PARTITION: &str = "1";
/// How long a start may take before it is said that there is no embedder.
const START: Duration = Duration::from_secs(10);

/// The layer of one policy.
pub(crate) struct Semantic {
    /// Questions whose answers are stored.
    pub neighbours: Arc<Neighbours>,
    /// Answers that the app may judge.
    pub feedback: Arc<Feedback>,
    books: Arc<Books>,
    embedder: Result<Arc<Embedder>, Arc<str>>,
    mode: Mode,
    judge: Option<Judge>,
    /// What the judge may still cost.
    purse: Arc<Purse>,
}

/// How a candidate stands with the evidence.
pub(crate) struct Standing {
    /// Of its question to the request's, in ten-thousandths.
    pub similarity: u16,
    /// The least similarity that is served; none = the class is closed.
    pub threshold: Option<u16>,
    /// The least similarity that is a would-be hit.
    pub proposed: u16,
    /// The share of such candidates that is drawn.
    pub share: u16,
    /// Another pair may be drawn.
    pub has_room: bool,
}

impl Standing {
    /// Whether it may be served.
    pub(crate) fn is_open(&self) -> bool {
        self.threshold.is_some_and(|threshold| self.similarity >= threshold)
    }
}

impl Semantic {
    /// The layer under a policy that has it; what its forerunner has learned and that still holds goes on.
    pub(crate) fn build(
        process: &Process,
        snapshot: &Snapshot,
        keys: &Keyring,
        stores: &Stores,
        tiers: &Tiers,
        kin: Option<&Self>,
    ) -> Option<Arc<Self>> {
        let policy = &snapshot.semantic_cache;
        if policy.mode == Mode::Disabled {
            return None;
        }
        let embedder = process.embedder.clone();
        if let Ok(embedder) = &embedder {
            warm(embedder);
        }
        Some(Arc::new(Self {
            neighbours: kin.map_or_else(
                || Arc::new(Neighbours::new(process.index_bytes, shared(process, stores, keys))),
                |kin| kin.neighbours.clone(),
            ),
            feedback: kin.map_or_else(|| Arc::new(Feedback::new()), |kin| kin.feedback.clone()),
            books: books(process, snapshot, keys, tiers, kin),
            embedder,
            mode: policy.mode,
            judge: policy.judge.clone(),
            purse: kin.map_or_else(Arc::default, |kin| kin.purse.clone()),
        }))
    }

    /// The vector of a question by the deadline, or the word why there is none.
    pub(super) async fn embed(&self, question: &str, deadline: Deadline) -> Result<Vector, &'static str> {
        let embedder = self.embedder.as_ref().map_err(|_| Unavailable::Off.word())?;
        let until = Instant::now() + deadline.remaining();
        embedder.embed(question, until).await.map_err(Unavailable::word)
    }

    /// How a candidate of a class stands; while a class is closed a judge sees but its share of the pairs.
    pub(super) fn standing(&self, class: &str, similarity: u16) -> Standing {
        let mut standing = self.books.standing(class, similarity).unwrap_or(Standing {
            similarity,
            threshold: None,
            proposed: similarity,
            share: 0,
            has_room: false,
        });
        if let Some(judge) = &self.judge
            && !standing.is_open()
        {
            standing.share = judge.sample;
        }
        standing
    }

    /// One more request: it earns a part of a call of the judge.
    pub(super) fn earn(&self) {
        if self.judge.is_some() {
            self.purse.earn();
        }
    }

    /// Whether a pair that is drawn can be labelled: by feedback where there is no judge, else by the judge alone.
    pub(super) fn affords(&self, exchange: &Exchange) -> bool {
        let Some(judge) = &self.judge else { return true };
        judge::is_asked_at(exchange.call.endpoint, &judge.model) && self.purse.take(1)
    }

    /// Whether a judge labels pairs.
    pub(super) fn has_judge(&self) -> bool {
        self.judge.is_some()
    }

    /// The judge need not be asked about a pair after all.
    pub(super) fn spare(&self) {
        if self.judge.is_some() {
            self.purse.give_back();
        }
    }

    /// What the judge is tried on, at a lot and while it is paid for.
    pub(super) fn check(&self, pipeline: &Pipeline, exchange: &Exchange, vetoed: Option<Vetoed>) -> Option<Check> {
        let judge = self.judge.as_ref()?;
        let check = Check::draw(pipeline, exchange, vetoed)?;
        let is_paid = judge::is_asked_at(exchange.call.endpoint, &judge.model) && self.purse.take(check.calls());
        is_paid.then_some(check)
    }

    /// Adds to the evidence of a class.
    pub(super) fn note(&self, class: &str, event: Event, now_ms: u64) {
        self.books.note(class, event, now_ms);
    }

    /// Why nothing is looked up; none = the embedder can be asked.
    pub(crate) fn off(&self) -> Option<String> {
        match &self.embedder {
            Err(reason) => Some(reason.to_string()),
            Ok(embedder) => match embedder.state() {
                EmbedderState::Off(reason) => Some(reason),
                EmbedderState::Down => Some("the embedder ended and is started again".into()),
                _ => None,
            },
        }
    }

    /// State and message of the report.
    pub(crate) fn report(&self) -> (&'static str, String) {
        if let Some(reason) = self.off() {
            return ("Off", reason);
        }
        let classes = self.books.summaries();
        let is_over = |summary: &Summary| summary.threshold.is_none() && summary.closings > 0;
        let is_open = |summary: &Summary| summary.threshold.is_some();
        let state = match self.mode {
            _ if classes.iter().any(|(_, summary)| is_over(summary)) => "OverBudget",
            Mode::Enforce if classes.iter().any(|(_, summary)| is_open(summary)) => "Enforcing",
            // What is to serve observes until the evidence allows it.
            Mode::Enforce | Mode::Observe | Mode::Disabled => "Observing",
        };
        let messages = classes
            .iter()
            .map(|(class, summary)| format!("class {class}: {}", summary.message()));
        (state, messages.collect::<Vec<_>>().join("; "))
    }

    /// Drops what has expired, and sets the gauges.
    pub(crate) fn publish(&self, metrics: &crate::metrics::Metrics, now_ms: u64) {
        self.neighbours.sweep(now_ms);
        metrics.neighbours(self.neighbours.len());
        for (class, summary) in self.books.summaries() {
            metrics.evidence(class, &summary);
        }
    }

    /// Keeps what is not kept yet.
    pub(crate) async fn flush(&self) {
        self.books.flush().await;
        if let Some(shared) = self.neighbours.shared() {
            shared.flush().await;
        }
    }

    /// Counters of the shared index, if there is one.
    pub(crate) fn index(&self) -> Option<&StoreStats> {
        self.neighbours.shared().map(Shared::stats)
    }
}

/// The shared index of the namespace, if its store has one.
fn shared(process: &Process, stores: &Stores, keys: &Keyring) -> Option<Shared> {
    let server = stores.qdrant.as_ref()?;
    let opened = Shared::open(server, &stores.key.qdrant_name(), keys.clone(), process.clock.clone());
    opened
        .inspect_err(|error| tracing::error!(store = "qdrant", %error, "not in use"))
        .ok()
}

/// Starts the embedder, so that no request is the first.
fn warm(embedder: &Arc<Embedder>) {
    let embedder = embedder.clone();
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            if !embedder.ready(Instant::now() + START).await {
                tracing::warn!(
                    state = embedder.state().word(),
                    "the semantic cache has no embedder yet"
                );
            }
        });
    }
}

/// The books of the forerunner where they are kept under the same names, or new ones.
fn books(process: &Process, snapshot: &Snapshot, keys: &Keyring, tiers: &Tiers, kin: Option<&Semantic>) -> Arc<Books> {
    let place = match (&tiers.shared, &process.state) {
        (Some(redis), _) => Place::Store(redis.cells()),
        (None, Some(folder)) => Place::Folder(Path::new(&**folder).to_owned()),
        (None, None) => Place::Memory,
    };
    let books: Vec<Book> = snapshot
        .ttl_classes
        .iter()
        .map(|class| {
            let terms = terms(snapshot, class.similarity_threshold);
            let name = name(keys, snapshot, &class.name, &terms);
            Book::new(&class.name, terms, name)
        })
        .collect();
    match kin {
        Some(kin) if kin.books.are(&books) => kin.books.clone(),
        _ => Books::open(books, place, process.clock.clone(), process.metrics.clone()),
    }
}

/// Whatever changes which pairs are served, or who labels them, is part of the terms.
fn terms(snapshot: &Snapshot, floor: u16) -> Terms {
    let policy = &snapshot.semantic_cache;
    let judge = policy.judge.as_ref().map_or("", |judge| judge.model.as_str());
    Terms {
        floor,
        budget: policy.max_false_hit_rate,
        has_judge: policy.judge.is_some(),
        fingerprint: format!(
            "{} guards={} partition={PARTITION} judge={judge}",
            Space::known(),
            guards::SET
        ),
    }
}

fn name(keys: &Keyring, snapshot: &Snapshot, class: &str, terms: &Terms) -> Keys {
    let digest = |key: &NamespaceKey| {
        let mut mac = key.mac("evidence");
        mac.field(snapshot.identity.name.as_bytes())
            .field(class.as_bytes())
            .field(&terms.floor.to_be_bytes())
            .field(&terms.budget.to_be_bytes())
            .field(terms.fingerprint.as_bytes());
        mac.finish()
    };
    Keys {
        newest: digest(&keys.newest),
        previous: keys.previous.as_ref().map(digest),
    }
}
