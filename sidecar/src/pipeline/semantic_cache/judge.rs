//! A judge's word on a pair, and how good the judge is: pairs that a guard vetoed should be called wrong, and the same
//! request asked again should not.
//!
//! Each call is paid for with the credential of the request that led to it, and all of them together are at most one in
//! a hundred requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use llmcache_cache::budget::Deadline;
use llmcache_provider::answer::{self, read_plain};
use llmcache_provider::judge::{self, Pair};
use llmcache_provider::usage::{Billing, Usage};
use llmcache_semantic::evidence::{self, Event, Source};
use tokio::time::{Instant, timeout};

use super::feedback::{self, Subject};
use super::lot;
use super::search::{Vetoed, only};
use crate::account::settle::Expense;
use crate::body;
use crate::pipeline::account::Record;
use crate::pipeline::stored::Stored;
use crate::pipeline::upstream::{forwarded, target};
use crate::pipeline::{Exchange, Pipeline};

/// What one request earns, and a call costs.
const EARNED: u64 = 1;
const COST: u64 = 100;
/// Calls that can be saved up.
const MOST_CALLS: u64 = 10;
/// How long a judge may take; nobody waits for it.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long the store may take for a vetoed answer; nobody waits for it.
const STORE_BUDGET: Duration = Duration::from_secs(1);
/// Shares of requests on which the judge is tried, in ten-thousandths: of those with a vetoed neighbour, and of all.
const PLANTED: u16 = 100;
const REPEATED: u16 = 10;

/// Calls that may still be made.
#[derive(Debug, Default)]
pub(super) struct Purse(AtomicU64);

/// What the judge is asked about.
pub(super) struct Case {
    /// What its word is good for.
    pub about: About,
    /// Name of the TTL class.
    pub class: Arc<str>,
    /// The new question.
    pub question: String,
    /// The stored one.
    pub candidate_question: String,
    /// The provider's answer to the new question.
    pub answer: String,
    /// The stored answer.
    pub candidate: String,
}

/// What a judge's word is good for.
#[derive(Clone)]
pub(super) enum About {
    /// It labels a pair; the entry of a wrong one ends.
    Pair(u64, Subject),
    /// The pair is wrong as far as the guards know: it measures the judge.
    Planted,
    /// Both answers are to the same request: it measures the judge.
    Repeat,
}

impl Purse {
    /// One more request.
    pub(super) fn earn(&self) {
        // Nothing to do where it is full.
        _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            (held < MOST_CALLS * COST).then_some(held + EARNED)
        });
    }

    /// Puts back a call that was not made.
    pub(super) fn give_back(&self) {
        self.0.fetch_add(COST, Ordering::Relaxed);
    }

    /// Takes so many calls, or none.
    pub(super) fn take(&self, calls: u64) -> bool {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_sub(calls * COST)
        });
        taken.is_ok()
    }
}

/// What the judge is tried on.
pub(super) enum Check {
    /// A neighbour that a guard vetoed.
    Planted(Vetoed),
    /// The same request once more.
    Repeat,
}

impl Check {
    /// By lot, before any answer is seen.
    pub(super) fn draw(pipeline: &Pipeline, exchange: &Exchange, vetoed: Option<Vetoed>) -> Option<Self> {
        let is_drawn = |purpose, share| evidence::is_drawn(&lot(pipeline, exchange, purpose).0, share);
        if let Some(vetoed) = vetoed.filter(|_| is_drawn("plant", PLANTED)) {
            return Some(Self::Planted(vetoed));
        }
        // Sent as it came, so it is one that came as it is sent.
        let is_plain = !exchange.call.request.wants_stream() && exchange.call.request.model() == exchange.route.model;
        (is_plain && is_drawn("repeat", REPEATED)).then_some(Self::Repeat)
    }

    /// Calls that it takes.
    pub(super) fn calls(&self) -> u64 {
        match self {
            Self::Planted(_) => 1,
            Self::Repeat => 2,
        }
    }
}

/// Tries the judge, behind the request that `answer` is of.
pub(super) fn check(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    class: Arc<str>,
    question: String,
    answer: String,
    check: Check,
) {
    let (pipeline, exchange) = (pipeline.clone(), exchange.clone());
    tokio::spawn(async move {
        let (about, candidate_question, candidate) = match check {
            Check::Planted(vetoed) => {
                let candidate = stored(&pipeline, &exchange, &vetoed).await;
                (About::Planted, vetoed.known.text.clone(), candidate)
            }
            Check::Repeat => (About::Repeat, question.clone(), again(&pipeline, &exchange).await),
        };
        let Some(candidate) = candidate else { return };
        let case = Case {
            about,
            class,
            question,
            candidate_question,
            answer,
            candidate,
        };
        ask(&pipeline, &exchange, case).await;
    });
}

/// The text of a vetoed neighbour's answer.
async fn stored(pipeline: &Pipeline, exchange: &Exchange, vetoed: &Vetoed) -> Option<String> {
    let (now_ms, deadline) = (pipeline.clock.now_ms(), Deadline::after(STORE_BUDGET));
    let entry = pipeline.tiers.lookup(&only(vetoed.key), now_ms, deadline).await.entry?;
    let body = Stored::decode(&entry.value)?.body;
    answer::text(exchange.call.endpoint, &body)
}

/// The text of another answer to the same request.
async fn again(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>) -> Option<String> {
    let (bytes, model) = (exchange.call.request.bytes().clone(), exchange.route.model.clone());
    let body = call(pipeline, exchange, bytes, &model, Expense::ReAsk).await?;
    answer::text(exchange.call.endpoint, &body)
}

/// Asks the judge and adds its word to the evidence.
pub(super) async fn ask(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>, case: Case) {
    let Some(is_wrong) = verdict(pipeline, exchange, &case).await else {
        return;
    };
    let event = match case.about {
        About::Pair(id, _) => Event::Label {
            id,
            is_wrong,
            source: Source::Judge,
        },
        About::Planted => Event::Planted { is_wrong },
        About::Repeat => Event::Repeat { is_wrong },
    };
    if let Some(semantic) = &pipeline.semantic {
        semantic.note(&case.class, event, pipeline.clock.now_ms());
    }
    if let (About::Pair(_, subject), true) = (&case.about, is_wrong) {
        feedback::kill(pipeline, subject).await;
    }
}

async fn verdict(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>, case: &Case) -> Option<bool> {
    let model = &pipeline.snapshot.semantic_cache.judge.as_ref()?.model;
    let endpoint = exchange.call.endpoint;
    let pair = Pair {
        question: &case.question,
        candidate_question: &case.candidate_question,
        answer: &case.answer,
        candidate: &case.candidate,
    };
    let request = judge::request(endpoint, model, &pair)?;
    let answer = call(pipeline, exchange, request, model, Expense::Judge).await?;
    judge::verdict(endpoint, &answer)
}

/// One call of our own; its cost is an expense whatever comes of it.
async fn call(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    bytes: Bytes,
    model: &str,
    of: Expense,
) -> Option<Bytes> {
    let mut record = Record::expense(pipeline, exchange, of);
    record.progress.model = Some(model.to_owned());
    record.progress.sent = Some(Instant::now());
    let asked = timeout(PATIENCE, send(pipeline, exchange, bytes)).await;
    let Some(body) = asked.ok().flatten() else {
        record.failed("judge");
        return None;
    };
    let Ok(answer) = read_plain(exchange.call.endpoint, body) else {
        record.answered(&Usage::default(), &Billing::default(), Err("judge"));
        return None;
    };
    record.answered(&answer.usage, &answer.billing, Err("judge"));
    Some(answer.body)
}

async fn send(pipeline: &Pipeline, exchange: &Exchange, bytes: Bytes) -> Option<Bytes> {
    let call = &exchange.call;
    let provider = call.endpoint.provider();
    let mut headers = forwarded(&call.headers);
    headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
    headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    let mut request = Request::new(body::full(bytes));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target(pipeline.base(provider), &call.path)?;
    *request.headers_mut() = headers;
    let response = pipeline.client(provider).send(request).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    body::buffer(response.into_body(), &mut pipeline.budget.open())
        .await
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_one_in_a_hundred_requests() {
        let purse = Purse::default();
        for _ in 0..99 {
            purse.earn();
        }
        assert!(!purse.take(1));
        purse.earn();
        assert!(purse.take(1) && !purse.take(1));
        for _ in 0..100_000 {
            purse.earn();
        }
        assert!(purse.take(MOST_CALLS) && !purse.take(1));
    }
}
