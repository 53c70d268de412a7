//! All items looked up in one go; what is there for all of them is the answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use http::{Response, header};
use llmcache_cache::bans::Stamp;
use llmcache_cache::budget::Deadline;
use llmcache_cache::entry::Entry;
use llmcache_cache::single_flight::{Lost, Role};
use llmcache_policy::{Mode, names};
use llmcache_provider::embeddings::merge;
use llmcache_provider::error::OwnError;
use llmcache_provider::usage::{Billing, Usage};
use tokio::time::{Instant, timeout_at};

use super::kept::Kept;
use super::plan::{self, Plan};
use super::{Lead, Wanted};
use crate::body::{self, Body};
use crate::memory::Reservation;
use crate::outcome::Layer;
use crate::pipeline::account::Record;
use crate::pipeline::reply::{self, CacheStatus};
use crate::pipeline::stored::{Head, Share, Stored};
use crate::pipeline::{Exchange, Pipeline, follow, result_cache};

/// What the lookup came to.
pub(super) enum Lookup {
    /// Answered here.
    Answered(Response<Body>),
    /// Goes upstream as it is; the word says why.
    Bypass(&'static str, Record),
    /// Goes upstream for what is missing.
    Upstream(Box<Wanted>, Record),
}

/// What the cache has of a request.
struct Found {
    /// The stored vector of each distinct item that may be served.
    items: Vec<Option<Kept>>,
    stamp: Option<Stamp>,
}

/// The lookup behind a guard of its own: a panic in it costs the lookup, not the request.
pub(super) async fn guarded(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>, record: Record) -> Lookup {
    exchange.is_guarded.store(true, Ordering::Relaxed);
    let looked_up = AssertUnwindSafe(lookup(pipeline, exchange, record))
        .catch_unwind()
        .await;
    exchange.is_guarded.store(false, Ordering::Relaxed);
    looked_up.unwrap_or_else(|_panic| {
        tracing::error!(id = exchange.id, stage = "result_cache", "a stage panicked");
        Lookup::Bypass("internal", Record::open(pipeline, exchange))
    })
}

async fn lookup(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>, record: Record) -> Lookup {
    let plan = match plan::plan(pipeline, exchange) {
        Ok(plan) => plan,
        Err(_) if exchange.control.only_if_cached => return not_cached(exchange, record),
        Err(reason) => return Lookup::Bypass(reason, record),
    };
    if pipeline.snapshot.result_cache.mode == Mode::Observe {
        return observe(pipeline, exchange, &plan, record);
    }
    let deadline = result_cache::deadline(pipeline, exchange);
    if plan.is_refresh {
        let found = Found {
            items: vec![None; plan.keys.len()],
            stamp: pipeline.tiers.lease(deadline).await,
        };
        return upstream(plan, found, None, record);
    }
    let found = find(pipeline, exchange, &plan, deadline).await;
    if let Some(hit) = Hit::of(pipeline, exchange, &plan, &found.items) {
        return hit.reply(exchange, record);
    }
    if exchange.control.only_if_cached {
        return not_cached(exchange, record);
    }
    // A caller that bounds an answer's age must not get the stored part of another's.
    if !pipeline.snapshot.result_cache.single_flight.enabled || exchange.control.max_age.is_some() {
        return upstream(plan, found, None, record);
    }
    fly(pipeline, exchange, plan, found, record).await
}

/// Counts what would have been a hit of all items; keeps no vector, shares no flight.
fn observe(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, record: Record) -> Lookup {
    let life = Duration::from_millis(pipeline.snapshot.result_cache.embeddings.ttl_ms);
    let mut would_hit = true;
    for key in &plan.keys {
        would_hit &= pipeline.observed.is_repeat(key.newest, exchange.started_ms, life);
    }
    Lookup::Bypass(if would_hit { "observe_hit" } else { "observe_miss" }, record)
}

/// The stored vectors that this request may see and that fit together, by distinct item.
async fn find(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, deadline: Deadline) -> Found {
    let started = Instant::now();
    let (stamp, entries) = pipeline
        .tiers
        .lookup_many(&plan.keys, exchange.now_ms(), deadline)
        .await;
    pipeline.metrics.lookup(Layer::ResultCache, started.elapsed());
    let mut items = readable(pipeline, exchange, entries);
    // Vectors of two spaces in one answer would be compared by whoever asked.
    if !is_one_space(&items) {
        items.fill(None);
    }
    Found { items, stamp }
}

fn readable(pipeline: &Pipeline, exchange: &Exchange, entries: Vec<Option<Arc<Entry>>>) -> Vec<Option<Kept>> {
    let now = exchange.now_ms();
    // The policy may keep vectors for less long than when they were stored.
    let policy = &pipeline.snapshot.result_cache.embeddings;
    let longest = Duration::from_millis(policy.max_age_ms);
    let ttl = Duration::from_millis(policy.ttl_ms);
    let most = exchange.control.max_age.unwrap_or(longest).min(longest);
    let is_young = |kept: &Kept| kept.age <= most;
    let read = |entry: Option<Arc<Entry>>| {
        Kept::read(&entry?.within(ttl, longest), now).filter(|kept| !kept.remaining.is_zero())
    };
    entries.into_iter().map(|entry| read(entry).filter(is_young)).collect()
}

fn is_one_space(found: &[Option<Kept>]) -> bool {
    let mut spaces = found.iter().flatten().map(|kept| &kept.head.space);
    let first = spaces.next();
    spaces.all(|space| Some(space) == first)
}

/// The answer to all items, put together from what is stored.
struct Hit {
    answer: Stored,
    memory: Reservation,
    /// Of the oldest item.
    age: Duration,
    /// Of the item that ends first.
    remaining: Duration,
}

impl Hit {
    /// None when an item is missing, or there is no room to put them together.
    fn of(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, found: &[Option<Kept>]) -> Option<Self> {
        let all: Vec<&Kept> = plan
            .places
            .iter()
            .map(|place| found[*place].as_ref())
            .collect::<Option<_>>()?;
        let memory = super::room(pipeline, all.iter().map(|kept| &kept.vector))?;
        let tokens = all.iter().map(|kept| kept.head.tokens).sum();
        let vectors: Vec<_> = all.iter().map(|kept| &kept.vector).collect();
        let body = merge(all.first()?.head.envelope.as_bytes(), &vectors, tokens)?;
        Some(Self {
            answer: whole(exchange, tokens, body),
            memory,
            age: all.iter().map(|kept| kept.age).max()?,
            remaining: all.iter().map(|kept| kept.remaining).min()?,
        })
    }

    fn reply(self, exchange: &Exchange, record: Record) -> Lookup {
        let mut response = reply::replay(exchange, &self.answer, Share::Whole);
        let saved = record.hit(&self.answer, Layer::ResultCache);
        let seconds = i64::try_from(self.remaining.as_secs()).unwrap_or(i64::MAX);
        let (model, status) = (self.answer.head.model.as_str(), CacheStatus::Hit(seconds));
        let headers = response.headers_mut();
        headers.insert(header::AGE, self.age.as_secs().into());
        reply::annotate(headers, exchange, model, status, None);
        headers.insert(names::HEADER_SAVED_USD, reply::decimal(saved));
        *response.body_mut() = body::held(self.answer.body, self.memory);
        Lookup::Answered(response)
    }
}

/// A whole answer as followers and the account take it.
pub(super) fn whole(exchange: &Exchange, tokens: u64, body: bytes::Bytes) -> Stored {
    let head = Head {
        model: exchange.route.model.clone(),
        usage: Usage {
            input: tokens,
            ..Usage::default()
        },
        billing: Billing::default(),
        has_thinking: false,
        has_tool_calls: false,
        exact: None,
        credential: [0; 32],
    };
    Stored { head, body }
}

/// Leads, or follows a call for the very same items until its answer comes or its leader is lost.
async fn fly(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    plan: Plan,
    mut found: Found,
    record: Record,
) -> Lookup {
    let flight = plan.flight(pipeline, found.stamp);
    let wait = Instant::now() + Duration::from_millis(pipeline.snapshot.result_cache.single_flight.wait_ms);
    loop {
        let mut follower = match pipeline.flights.join(flight) {
            Role::Lead(leader) => {
                // The last leader may have filled the in-process tier since the lookup.
                let entries = plan
                    .keys
                    .iter()
                    .map(|key| pipeline.tiers.peek(&key.newest, exchange.now_ms()))
                    .collect();
                let now_there = readable(pipeline, exchange, entries);
                if now_there.iter().all(Option::is_some) && is_one_space(&now_there) {
                    found.items = now_there;
                }
                return match Hit::of(pipeline, exchange, &plan, &found.items) {
                    Some(hit) => hit.reply(exchange, record),
                    None => upstream(plan, found, Some(leader), record),
                };
            }
            Role::Follow(follower) => follower,
        };
        match timeout_at(wait, follower.value()).await {
            Ok(Ok(Some(stored))) => return Lookup::Answered(follow::finished(exchange, &stored, Share::Whole, record)),
            Ok(Err(Lost::Leader)) => {}
            Err(_) | Ok(Ok(None) | Err(Lost::Behind | Lost::Unshared)) => return upstream(plan, found, None, record),
        }
    }
}

fn upstream(plan: Plan, found: Found, leader: Option<Lead>, record: Record) -> Lookup {
    let Found { mut items, stamp } = found;
    // All are there, and yet there was no room for the answer.
    if items.iter().all(Option::is_some) {
        items.fill(None);
    }
    let wanted = Wanted {
        plan,
        found: items,
        stamp,
        leader,
    };
    Lookup::Upstream(Box::new(wanted), record)
}

fn not_cached(exchange: &Exchange, record: Record) -> Lookup {
    Lookup::Answered(reply::own_error(exchange, record, &OwnError::NotCached))
}
