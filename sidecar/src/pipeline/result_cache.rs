//! Stage 4, *result cache*: exact key → hit, lead, follow or bypass. It never fails a request; `only-if-cached`
//! gets the 504 it asked for.

use std::sync::Arc;
use std::time::Duration;

use llmcache_cache::bans::Stamp;
use llmcache_cache::budget::Deadline;
use llmcache_cache::entry::Entry;
use llmcache_cache::redis::Claim;
use llmcache_cache::seal::Digest;
use llmcache_cache::single_flight::Leader;
use llmcache_cache::tiers::Found;
use llmcache_policy::Mode;
use llmcache_provider::error::OwnError;
use moka::sync::Cache;
use tokio::time::Instant;

use super::account::Record;
use super::follow::Head;
use super::semantic_cache::Sought;
use super::stored::{Share, Stored};
use super::{Exchange, Pipeline, reply};
use crate::body::Body;
use crate::outcome::Layer;

pub(crate) mod control;
mod flight;
pub(crate) mod plan;
pub(crate) mod stale;

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
    /// The request's place in the order of bans; none = its answer is not stored.
    pub stamp: Option<Stamp>,
    /// The flight this request leads.
    pub leader: Option<Leader<Head, Stored>>,
    /// The same across processes.
    pub claim: Option<Claim>,
    /// What may be served if the provider fails.
    pub stale: Option<Hit>,
    /// The deadline of its store calls so far.
    pub deadline: Option<Deadline>,
    /// What the semantic cache does with the answer.
    pub sought: Option<Box<Sought>>,
}

/// A stored answer that this request may see.
#[derive(Clone)]
pub(crate) struct Hit {
    /// Its life.
    pub entry: Arc<Entry>,
    /// The answer.
    pub stored: Stored,
    /// How much of it.
    pub share: Share,
}

/// Clients' last questions, for `repeatWindow`, and `Observe`'s would-be entries; clones share them.
#[derive(Clone)]
pub(crate) struct Asked {
    times: Cache<Digest, u64>,
    life: Duration,
}

impl Asked {
    /// Remembers up to `capacity` keys for `life`.
    pub(crate) fn new(capacity: u64, life: Duration) -> Self {
        Self {
            times: Cache::builder().max_capacity(capacity).time_to_live(life).build(),
            life,
        }
    }

    /// How long it remembers.
    pub(crate) fn life(&self) -> Duration {
        self.life
    }

    /// Notes a question now; true when it was asked less than `window` before.
    pub(crate) fn is_repeat(&self, key: Digest, now_ms: u64, window: Duration) -> bool {
        let last = self.times.get(&key);
        self.times.insert(key, now_ms);
        last.is_some_and(|last| u128::from(now_ms.saturating_sub(last)) < window.as_millis())
    }
}

impl Turn {
    /// Goes upstream unseen.
    pub(crate) fn bypass(reason: &'static str) -> Box<Self> {
        Box::new(Self {
            bypass: Some(reason),
            admit: Err(reason),
            stamp: None,
            leader: None,
            claim: None,
            stale: None,
            deadline: None,
            sought: None,
        })
    }

    /// Looked up, and of the answer nothing can be kept.
    pub(crate) fn unkept(reason: &'static str) -> Self {
        Self {
            bypass: None,
            ..*Self::bypass(reason)
        }
    }

    fn miss(plan: Plan, stamp: Option<Stamp>, deadline: Deadline) -> Self {
        Self {
            bypass: None,
            admit: Ok(plan),
            stamp,
            deadline: Some(deadline),
            ..*Self::bypass("")
        }
    }

    /// Whether the answer is read, because a cache may keep it.
    pub(crate) fn is_read(&self) -> bool {
        self.admit.is_ok() || self.sought.is_some()
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
    let deadline = deadline(pipeline, exchange);
    if plan.is_refresh {
        let stamp = pipeline.tiers.lease(deadline).await;
        return Lookup::Upstream(Box::new(Turn::miss(plan, stamp, deadline)), record);
    }
    let found = find(pipeline, exchange, &plan, deadline).await;
    let hit = usable(pipeline, exchange, &plan, found.entry.as_ref());
    let stale = match hit {
        Some(hit) if hit.entry.staleness(exchange.now_ms()).is_none() => {
            return Lookup::Answered(reply::hit(exchange, record, &hit));
        }
        Some(hit) if stale::is_servable(pipeline, exchange, &plan, &hit) => {
            if !exchange.control.only_if_cached {
                stale::refresh(pipeline, exchange, plan, &found);
            }
            return Lookup::Answered(reply::hit(exchange, record, &hit));
        }
        stale => stale,
    };
    if exchange.control.only_if_cached {
        return not_cached(exchange, record);
    }
    if !pipeline.snapshot.result_cache.single_flight.enabled {
        let turn = Turn {
            stale,
            ..Turn::miss(plan, found.stamp, deadline)
        };
        return Lookup::Upstream(Box::new(turn), record);
    }
    flight::fly(pipeline, exchange, plan, found, stale, deadline, record).await
}

/// One budget over all store calls of a request, the first of which may have been routing's.
pub(crate) fn deadline(pipeline: &Pipeline, exchange: &Exchange) -> Deadline {
    exchange.deadline.unwrap_or_else(|| Deadline::after(budget(pipeline)))
}

/// What the store calls of a request may take together.
pub(crate) fn budget(pipeline: &Pipeline) -> Duration {
    let budget = Duration::from_millis(pipeline.snapshot.result_cache.store_budget_ms);
    budget.saturating_sub(TIMER_SLACK).max(budget / 2)
}

async fn find(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, deadline: Deadline) -> Found {
    let started = Instant::now();
    let ttl = Duration::from_millis(plan.class(&pipeline.snapshot).ttl_ms);
    let found = pipeline
        .tiers
        .lookup_within(&plan.keys, exchange.now_ms(), ttl, deadline)
        .await;
    pipeline.metrics.lookup(Layer::ResultCache, started.elapsed());
    found
}

/// Counts what would have been a hit; keeps no body, shares no flight.
fn observe(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, record: Record) -> Lookup {
    let life = Duration::from_millis(plan.class(&pipeline.snapshot).ttl_ms);
    let would_hit = pipeline.observed.is_repeat(plan.keys.newest, exchange.started_ms, life);
    Lookup::Upstream(
        Turn::bypass(if would_hit { "observe_hit" } else { "observe_miss" }),
        record,
    )
}

/// The stored answer, if this request may see it, the policy keeps it so long and the client finds it young enough.
///
/// Its life is the shorter of the one it was stored with and the one its class has now: a policy that lowers a TTL or
/// `maxAge` reaches what is stored, one that raises them does not, for no life is ever extended.
pub(crate) fn usable(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, entry: Option<&Arc<Entry>>) -> Option<Hit> {
    let (ttl, keep) = plan.class(&pipeline.snapshot).life(&pipeline.snapshot.result_cache);
    let entry = entry?.within(ttl, keep);
    let (now_ms, age) = (exchange.now_ms(), entry.age(exchange.now_ms()));
    if entry.is_dead(now_ms) || exchange.control.max_age.is_some_and(|most| age > most) {
        return None;
    }
    let stored = Stored::decode(&entry.value)?;
    match stored.share(|| plan::exact(&pipeline.key, exchange), plan.credential) {
        Share::Nothing => None,
        share => Some(Hit { entry, stored, share }),
    }
}

fn not_cached(exchange: &Exchange, record: Record) -> Lookup {
    Lookup::Answered(reply::own_error(exchange, record, &OwnError::NotCached))
}
