//! Stale answers: served at once while one refresh runs behind, or in place of the provider's failure. Never past
//! `maxAge` or a ban, and never to a client that names an age.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use llmcache_cache::budget::Deadline;
use llmcache_cache::redis::Claimed;
use llmcache_cache::single_flight::Role;
use llmcache_cache::tiers::Found;
use llmcache_policy::TtlClass;
use tokio::sync::oneshot;

use super::plan::Plan;
use super::{Hit, Turn, budget};
use crate::account::settle::Expense;
use crate::body::Body;
use crate::pipeline::account::Record;
use crate::pipeline::completion::Failure;
use crate::pipeline::follow::Head;
use crate::pipeline::{Exchange, Pipeline, lead, mark, reply};

/// Whether a stale answer is served at once.
pub(super) fn is_servable(pipeline: &Pipeline, exchange: &Exchange, plan: &Plan, hit: &Hit) -> bool {
    let class = plan.class(&pipeline.snapshot);
    is_within(exchange, hit, class.stale_while_revalidate_ms)
}

/// Refreshes an answer behind its readers; does nothing where that is under way, here or in another process.
pub(super) fn refresh(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>, plan: Plan, found: &Found) {
    let &Found { stamp, seen, .. } = found;
    // No client waits for them, so nothing else bounds how many there are.
    let Ok(permit) = pipeline.refreshes.clone().try_acquire_owned() else {
        return;
    };
    let Role::Lead(leader) = pipeline.flights.join(plan.flight(&pipeline.key, stamp)) else {
        return;
    };
    let (pipeline, exchange) = (pipeline.clone(), exchange.clone());
    tokio::spawn(async move {
        let _permit = permit;
        let claimed = match (&pipeline.tiers.shared, stamp) {
            (Some(shared), Some(stamp)) => {
                let flight = shared.flight(plan.keys.newest, stamp);
                flight.claim(seen, Deadline::after(budget(&pipeline))).await
            }
            _ => Claimed::Alone,
        };
        let claim = match claimed {
            Claimed::Mine(claim) => Some(claim),
            Claimed::Alone => None,
            Claimed::Other(_) | Claimed::Changed => return,
        };
        let turn = Turn {
            leader: Some(leader),
            claim,
            ..Turn::miss(plan, stamp, Deadline::after(budget(&pipeline)))
        };
        let record = Record::expense(&pipeline, &exchange, Expense::Refresh);
        let marked = mark(&pipeline, &exchange);
        let (client, answer) = oneshot::channel::<Response<Body>>();
        let reading = async {
            // Read to its end, for with that it is stored; whether it ends well is not this reader's to say.
            if let Ok(mut response) = answer.await {
                while let Some(Ok(_)) = response.body_mut().frame().await {}
            }
        };
        tokio::join!(lead(pipeline, exchange, turn, marked, record, client), reading);
    });
}

/// What stands in for an answer that the provider failed to give.
pub(in crate::pipeline) async fn stand_in(
    pipeline: &Pipeline,
    exchange: &Exchange,
    turn: &mut Turn,
    failure: Failure,
) -> Option<(Hit, Failure)> {
    let hit = turn.stale.take()?;
    let class: &TtlClass = turn.admit.as_ref().ok()?.class(&pipeline.snapshot);
    // A ban may have come while the provider was asked.
    let deadline = Deadline::after(budget(pipeline));
    let is_allowed = is_within(exchange, &hit, class.stale_if_error_ms)
        && pipeline
            .tiers
            .is_servable(&hit.entry, exchange.now_ms(), deadline)
            .await;
    is_allowed.then_some((hit, failure))
}

/// Gives it to the client and to those who follow.
pub(in crate::pipeline) fn answer(
    exchange: &Exchange,
    turn: Turn,
    hit: &Hit,
    failure: Failure,
    mut record: Record,
) -> Response<Body> {
    if let Some(leader) = turn.leader {
        let stale = Some((hit.entry.clone(), failure));
        leader.begin(Head::finished(&hit.stored.head.model, stale));
        leader.finish(Some(Arc::new(hit.stored.clone())));
    }
    // What was asked in vain costs nothing and says nothing of the answer.
    record.progress.model = None;
    reply::stale(exchange, record, hit, failure)
}

/// Whether a stale answer may be given to this client at all.
pub(in crate::pipeline) fn is_accepted(exchange: &Exchange) -> bool {
    exchange.control.max_age.is_none()
}

/// Whether an answer's fresh life ended less than so long ago, and the client takes stale ones.
fn is_within(exchange: &Exchange, hit: &Hit, stale_ms: u64) -> bool {
    let over = hit.entry.staleness(exchange.now_ms()).unwrap_or_default();
    is_accepted(exchange) && over < Duration::from_millis(stale_ms)
}
