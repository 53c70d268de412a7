//! Stage 4, *result cache*: exact key → hit, lead, follow or bypass. It never fails a request; `only-if-cached`
//! gets the 504 it asked for.

use std::sync::Arc;
use std::time::Duration;

use llmcache_cache::budget::Deadline;
use llmcache_cache::entry::Entry;
use llmcache_cache::seal::Digest;
use llmcache_cache::single_flight::{Leader, Lost, Role};
use llmcache_cache::tiers::Lookup as Found;
use llmcache_policy::Mode;
use llmcache_provider::error::OwnError;
use moka::sync::Cache;
use tokio::time::Instant;

use super::account::Record;
use super::follow::{self, Head};
use super::stored::{Share, Stored};
use super::{Exchange, Pipeline, reply};
use crate::body::Body;
use crate::outcome::Layer;

pub(crate) mod control;
pub(crate) mod plan;

use plan::Plan;

/// Timers have a grain of a millisecond and the task must be woken: the promise is the budget, not the timer.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// What the lookup came to.
pub(crate) enum Lookup {
    /// Answered here.
    Answered(http::Response<Body>),
    /// Goes upstream.
    Upstream(Box<Turn>, Record),
}

/// How a request goes upstream.
pub(crate) struct Turn {
    /// Why nothing was looked up; none = a miss.
    pub bypass: Option<&'static str>,
    /// Where the answer may be kept; `Err` = why it may not.
    pub admit: Result<Plan, &'static str>,
    /// The flight this request leads.
    pub leader: Option<Leader<Head, Stored>>,
}

/// Clients' last questions, for `repeatWindow`, and `Observe`'s would-be entries.
pub(crate) struct Asked(Cache<Digest, u64>);

impl Asked {
    /// Remembers up to `capacity` keys for `life`.
    pub(crate) fn new(capacity: u64, life: Duration) -> Self {
        Self(Cache::builder().max_capacity(capacity).time_to_live(life).build())
    }

    /// Notes a question now; true when it was asked less than `window` before.
    fn is_repeat(&self, key: Digest, now_ms: u64, window: Duration) -> bool {
        let last = self.0.get(&key);
        self.0.insert(key, now_ms);
        last.is_some_and(|last| u128::from(now_ms.saturating_sub(last)) < window.as_millis())
    }
}

impl Turn {
    /// Goes upstream unseen.
    pub(crate) fn bypass(reason: &'static str) -> Box<Self> {
        Box::new(Self {
            bypass: Some(reason),
            admit: Err(reason),
            leader: None,
        })
    }

    fn miss(plan: Plan, leader: Option<Leader<Head, Stored>>) -> Box<Self> {
        Box::new(Self {
            bypass: None,
            admit: Ok(plan),
            leader,
        })
    }
}

/// Looks a request up.
pub(crate) async fn lookup(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>, record: Record) -> Lookup {
    let plan = match plan::plan(pipeline, exchange) {
        Ok(plan) => plan,
        Err(_) if exchange.control.only_if_cached => return not_cached(exchange, record),
        Err(reason) => return Lookup::Upstream(Turn::bypass(reason), record),
    };
    if pipeline.snapshot.result_cache.mode == Mode::Observe {
        return observe(pipeline, exchange, &plan, record);
    }
    if plan.is_refresh {
        return Lookup::Upstream(Turn::miss(plan, None), record);
    }
    if let Found::Hit(entry) = find(pipeline, &plan, exchange.now_ms()).await
        && let Some((stored, share)) = usable(pipeline, exchange, &plan, &entry)
    {
        return Lookup::Answered(reply::hit(exchange, record, &stored, share, &entry));
    }
    if exchange.control.only_if_cached {
        return not_cached(exchange, record);
    }
    if !pipeline.snapshot.result_cache.single_flight.enabled {
        return Lookup::Upstream(Turn::miss(plan, None), record);
    }
    fly(pipeline, exchange, plan, record).await
}

async fn find(pipeline: &Pipeline, plan: &Plan, now_ms: u64) -> Found {
    let started = Instant::now();
    let budget = Duration::from_millis(pipeline.snapshot.result_cache.store_budget_ms);
    let deadline = Deadline::after(budget.saturating_sub(TIMER_SLACK).max(budget / 2));
    let found = pipeline.tiers.lookup(&plan.key, now_ms, deadline).await;
    pipeline.metrics.lookup(Layer::ResultCache, started.elapsed());
    found
}

/// Leads, or follows until an answer comes or its leader is lost.
async fn fly(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>, plan: Plan, mut record: Record) -> Lookup {
    let flight = plan.flight(&pipeline.key, exchange.epoch);
    loop {
        match pipeline.flights.join(flight) {
            Role::Lead(leader) => {
                // The last leader may have filled the in-process tier since the lookup.
                if let Some(entry) = pipeline.tiers.peek(&plan.key, exchange.now_ms())
                    && let Some((stored, share)) = usable(pipeline, exchange, &plan, &entry)
                {
                    return Lookup::Answered(reply::hit(exchange, record, &stored, share, &entry));
                }
                return Lookup::Upstream(Turn::miss(plan, Some(leader)), record);
            }
            Role::Follow(follower) => match follow::follow(pipeline, exchange, &plan, follower, record).await {
                Ok(response) => return Lookup::Answered(response),
                Err((Some(Lost::Leader), open)) => record = open,
                Err((_, open)) => return Lookup::Upstream(Turn::miss(plan, None), open),
            },
        }
    }
}

/// Counts what would have been a hit; keeps no body, shares no flight.
fn observe(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, record: Record) -> Lookup {
    let life = Duration::from_millis(plan.class(&pipeline.snapshot).ttl_ms);
    let would_hit = pipeline.observed.is_repeat(plan.key, exchange.started_ms, life);
    Lookup::Upstream(
        Turn::bypass(if would_hit { "observe_hit" } else { "observe_miss" }),
        record,
    )
}

/// The stored answer, if this request may see it and finds it young enough.
fn usable(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, entry: &Entry) -> Option<(Stored, Share)> {
    if exchange
        .control
        .max_age
        .is_some_and(|most| entry.age(exchange.now_ms()) > most)
    {
        return None;
    }
    let stored = Stored::decode(&entry.value)?;
    match stored.share(|| plan::exact(&pipeline.key, exchange), plan.credential) {
        Share::Nothing => None,
        share => Some((stored, share)),
    }
}

fn not_cached(exchange: &Exchange, record: Record) -> Lookup {
    Lookup::Answered(reply::own_error(exchange, record, &OwnError::NotCached))
}
