//! A miss: lead or follow, first inside this process, then for plain calls across the processes on one store.

use std::sync::Arc;
use std::time::Duration;

use llmcache_cache::budget::Deadline;
use llmcache_cache::redis::{Claim, Claimed, Followed};
use llmcache_cache::single_flight::{Leader, Lost, Role};
use llmcache_cache::tiers::Found;
use tokio::time::Instant;

use super::plan::{self, Plan};
use super::{Hit, Lookup, Turn, budget, find, usable};
use crate::pipeline::account::Record;
use crate::pipeline::follow::{self, Head};
use crate::pipeline::stored::{Share, Stored};
use crate::pipeline::{Exchange, Pipeline, reply};

/// Times that the store may change under one request before it goes on alone.
const ROUNDS: usize = 8;

/// What asking the other processes came to.
enum Across {
    /// This request fetches the answer.
    Fetch(Option<Claim>),
    /// The store has it now; another process was waited for, or not.
    Stored(Hit, bool),
    /// Another process gave it to those who wait.
    Given(Stored, Share),
}

/// Leads, or follows until an answer comes or its leader is lost.
pub(super) async fn fly(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    plan: Plan,
    found: Found,
    stale: Option<Hit>,
    mut deadline: Deadline,
    mut record: Record,
) -> Lookup {
    let flight = plan.flight(&pipeline.key, found.stamp);
    let turn = Turn {
        stale,
        ..Turn::miss(plan.clone(), found.stamp, deadline)
    };
    loop {
        match pipeline.flights.join(flight) {
            Role::Lead(leader) => {
                // The last leader may have filled the in-process tier since the lookup.
                let near = pipeline.tiers.peek(&plan.keys.newest, exchange.now_ms());
                if let Some(hit) = fresh(pipeline, exchange, &plan, &near.into()) {
                    return Lookup::Answered(reply::hit(exchange, record, &hit));
                }
                return match across(pipeline, exchange, &plan, &found, deadline).await {
                    Across::Fetch(claim) => {
                        let turn = Turn {
                            leader: Some(leader),
                            claim,
                            deadline: Some(deadline),
                            ..turn
                        };
                        Lookup::Upstream(Box::new(turn), record)
                    }
                    Across::Stored(hit, has_waited) => {
                        share(leader, &hit.stored);
                        Lookup::Answered(if has_waited {
                            follow::finished(exchange, &hit.stored, hit.share, record)
                        } else {
                            reply::hit(exchange, record, &hit)
                        })
                    }
                    Across::Given(stored, how_much) => {
                        share(leader, &stored);
                        Lookup::Answered(follow::finished(exchange, &stored, how_much, record))
                    }
                };
            }
            Role::Follow(follower) => match follow::follow(pipeline, exchange, &plan, follower, record).await {
                Ok(response) => return Lookup::Answered(response),
                Err((Some(Lost::Leader), open)) => {
                    record = open;
                    // Waiting was not the store's delay.
                    deadline = Deadline::after(budget(pipeline));
                }
                Err((_, open)) => return Lookup::Upstream(Box::new(turn), open),
            },
        }
    }
}

/// Asks for the claim on a plain answer, and waits for whoever has it.
async fn across(
    pipeline: &Pipeline,
    exchange: &Exchange,
    plan: &Plan,
    found: &Found,
    mut deadline: Deadline,
) -> Across {
    let wait = Duration::from_millis(pipeline.snapshot.result_cache.single_flight.wait_ms);
    let (Some(shared), Some(stamp)) = (&pipeline.tiers.shared, found.stamp) else {
        return Across::Fetch(None);
    };
    if exchange.call.request.wants_stream() || wait.is_zero() {
        return Across::Fetch(None);
    }
    let flight = shared.flight(plan.keys.newest, stamp);
    let until = Instant::now() + wait;
    let (mut seen, mut has_waited) = (found.seen, false);
    for _ in 0..ROUNDS {
        match flight.claim(seen, deadline).await {
            Claimed::Mine(claim) => return Across::Fetch(Some(claim)),
            Claimed::Alone => return Across::Fetch(None),
            Claimed::Changed => {}
            Claimed::Other(owner) => {
                has_waited = true;
                match flight.follow(owner, until, budget(pipeline)).await {
                    Followed::Gone => {}
                    Followed::Alone => return Across::Fetch(None),
                    Followed::Answer(answer) => return given(pipeline, exchange, plan, &answer),
                }
                // Waiting is not the store's delay: each look after it has a budget of its own.
                deadline = Deadline::after(budget(pipeline));
            }
        }
        let found = find(pipeline, exchange, plan, deadline).await;
        if let Some(hit) = fresh(pipeline, exchange, plan, &found) {
            return Across::Stored(hit, has_waited);
        }
        seen = found.seen;
    }
    Across::Fetch(None)
}

fn given(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, answer: &bytes::Bytes) -> Across {
    let Some(stored) = Stored::decode(answer) else {
        return Across::Fetch(None);
    };
    match stored.share(|| plan::exact(&pipeline.key, exchange), plan.credential) {
        Share::Nothing => Across::Fetch(None),
        share => Across::Given(stored, share),
    }
}

/// Gives the followers in this process what came from another.
fn share(leader: Leader<Head, Stored>, stored: &Stored) {
    leader.begin(Head::finished(&stored.head.model, None));
    leader.finish(Some(Arc::new(stored.clone())));
}

fn fresh(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, found: &Found) -> Option<Hit> {
    let hit = usable(pipeline, exchange, plan, found.entry.as_ref())?;
    hit.entry.staleness(exchange.now_ms()).is_none().then_some(hit)
}
