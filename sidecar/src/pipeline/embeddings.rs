//! `POST /v1/embeddings`: stages 4 to 8 by item of the input, for each item has its vector whatever stands beside it.
//!
//! Items that are stored come from the cache, the others are asked for in one request, each once, and the answer is
//! put together in the caller's order. No vector is made from another form, model or length than the caller asked
//! for: what does not fit together is asked for anew, as a whole. A request that cannot be taken apart goes the way
//! of every other.

use std::sync::Arc;

use http::Response;
use llmcache_cache::bans::Stamp;
use llmcache_cache::single_flight::Leader;
use llmcache_provider::embeddings::{Batch, Vector};
use llmcache_provider::error::OwnError;
use tokio::sync::oneshot;

use super::account::Record;
use super::follow::Head;
use super::result_cache::Turn;
use super::stored::Stored;
use super::{Exchange, Pipeline, while_wanted};
use crate::body::{self, Body};
use crate::memory::Reservation;

mod fetch;
mod finish;
mod kept;
mod lookup;
mod plan;

use lookup::Lookup;
use plan::Plan;

/// TTL class of every vector, in tags and bans.
pub(crate) const CLASS: &str = "embeddings";

/// Calls to the provider that others may follow.
type Lead = Leader<Head, Stored>;

/// Answers one request, whose record is open.
pub(crate) async fn handle(pipeline: Arc<Pipeline>, exchange: Arc<Exchange>, record: Record) -> Response<Body> {
    match lookup::guarded(&pipeline, &exchange, record).await {
        Lookup::Answered(response) => response,
        Lookup::Bypass(reason, record) => super::ask(pipeline, exchange, *Turn::bypass(reason), record).await,
        Lookup::Upstream(wanted, record) => ask(pipeline, exchange, *wanted, record).await,
    }
}

/// What is to be asked for, and what is already there.
pub(crate) struct Wanted {
    plan: Plan,
    /// The stored vector of each distinct item, where there is one that may be served.
    found: Vec<Option<kept::Kept>>,
    /// The request's place in the order of bans; none = nothing of its answer is stored.
    stamp: Option<Stamp>,
    /// Leads calls for the very same items.
    leader: Option<Lead>,
}

impl Wanted {
    /// The vector of each distinct item, stored or in the answer to `asked`, with its tokens.
    fn distinct<'a>(&'a self, batch: &'a Batch, asked: &[usize], tokens: &[u64]) -> Vec<Option<(&'a Vector, u64)>> {
        let stored = |kept: &'a Option<kept::Kept>| kept.as_ref().map(|kept| (&kept.vector, kept.head.tokens));
        let mut all: Vec<_> = self.found.iter().map(stored).collect();
        for ((at, vector), tokens) in asked.iter().zip(&batch.vectors).zip(tokens) {
            all[*at].get_or_insert((vector, *tokens));
        }
        all
    }
}

/// Room for an answer of these vectors; none when it is over 32 MiB or the budget of all buffered bodies is spent.
fn room<'a>(pipeline: &Pipeline, vectors: impl Iterator<Item = &'a Vector>) -> Option<Reservation> {
    let bytes = vectors.map(|vector| vector.object.len()).sum();
    let mut memory = pipeline.budget.open();
    (bytes <= body::MAX_COLLECTED && memory.grow(bytes)).then_some(memory)
}

/// A leader goes on without its client while others follow it.
async fn ask(pipeline: Arc<Pipeline>, exchange: Arc<Exchange>, mut wanted: Wanted, record: Record) -> Response<Body> {
    let Some(leader) = wanted.leader.take() else {
        return alone(&pipeline, &exchange, wanted, record).await;
    };
    let provider = exchange.call.endpoint.provider();
    let (client, answer) = oneshot::channel();
    tokio::spawn(lead(pipeline, exchange, wanted, leader, record, client));
    // The sender is dropped only when the task panicked: an answer is always sent while somebody waits for it.
    answer
        .await
        .unwrap_or_else(|_| OwnError::DeadUpstream.response(provider).map(body::full))
}

async fn lead(
    pipeline: Arc<Pipeline>,
    exchange: Arc<Exchange>,
    mut wanted: Wanted,
    leader: Lead,
    mut record: Record,
    mut client: oneshot::Sender<Response<Body>>,
) {
    let fetched = fetch::fetch(&pipeline, &exchange, &mut wanted, &mut record);
    let Some(fetched) = while_wanted(&mut client, Some(&leader), fetched).await else {
        return;
    };
    let response = finish::finish(&pipeline, &exchange, &wanted, fetched, Some(leader), record);
    drop(client.send(response));
}

async fn alone(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    mut wanted: Wanted,
    mut record: Record,
) -> Response<Body> {
    let fetched = fetch::fetch(pipeline, exchange, &mut wanted, &mut record).await;
    finish::finish(pipeline, exchange, &wanted, fetched, None, record)
}
