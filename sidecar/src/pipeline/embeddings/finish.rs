//! Stages 7 and 8 by item: each new vector is stored under its own key with its share of the tokens, and the answer
//! is put together from stored and new ones.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, header};
use llmcache_cache::entry::{Entry, Layer};
use llmcache_cache::tiers::Admission;
use llmcache_policy::names;
use llmcache_provider::embeddings::merge;
use llmcache_provider::error::OwnError;
use llmcache_provider::usage::Usage;

use super::fetch::{Answer, Fetched};
use super::{CLASS, Lead, Wanted, kept, lookup};
use crate::body::{self, Body};
use crate::pipeline::account::Record;
use crate::pipeline::reply::{self, CacheStatus};
use crate::pipeline::result_cache::Turn;
use crate::pipeline::upstream::strip_response;
use crate::pipeline::{Exchange, Pipeline, completion, guard};

/// Finishes a request whose response is in hand.
pub(super) fn finish(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    wanted: &Wanted,
    fetched: Fetched,
    leader: Option<Lead>,
    record: Record,
) -> Response<Body> {
    match fetched {
        Fetched::Batch(answer) => batch(pipeline, exchange, wanted, *answer, leader, record),
        Fetched::Other(collected, reason) => {
            pipeline.metrics.bypass("store", reason);
            // Errors are not shared, the next in line asks; an answer that nobody can share is asked for by each.
            if let Some(leader) = leader.filter(|_| collected.is_answer()) {
                leader.refuse();
            }
            let turn = Turn::unkept(reason);
            completion::finish(pipeline, exchange, turn, *collected, record)
        }
    }
}

fn batch(
    pipeline: &Pipeline,
    exchange: &Exchange,
    wanted: &Wanted,
    answer: Answer,
    leader: Option<Lead>,
    mut record: Record,
) -> Response<Body> {
    let kept = guard("store", || store(pipeline, exchange, wanted, &answer)).unwrap_or(Err("internal"));
    if let Err(reason) = kept {
        pipeline.metrics.bypass("store", reason);
    }
    let billed = answer.batch.tokens.unwrap_or_default();
    let Some((total, bytes)) = put_together(wanted, &answer) else {
        record.progress.spent += billed;
        return reply::own_error(exchange, record, &OwnError::DeadUpstream);
    };
    let Answer {
        mut head,
        served,
        memory,
        ..
    } = answer;
    strip_response(&mut head.headers);
    head.headers.remove(header::CONTENT_LENGTH);
    let body = match memory {
        Some(memory) => body::held(bytes.clone(), memory),
        None => body::full(bytes.clone()),
    };
    let mut response = Response::from_parts(head, body);
    let is_partial = wanted.found.iter().any(Option::is_some);
    record.progress.is_partial = is_partial;
    let saved = record.answered_in_part(&input(total), &input(billed), kept);
    if let Some(leader) = leader {
        leader.finish(Some(Arc::new(lookup::whole(exchange, total, bytes))));
    }
    let status = match (is_partial, kept) {
        (true, kept) => CacheStatus::Partial {
            is_stored: kept.is_ok(),
        },
        (false, Ok(())) => CacheStatus::Stored,
        (false, Err(_)) => CacheStatus::Miss,
    };
    let headers = response.headers_mut();
    reply::annotate(headers, exchange, &served, status, kept.err());
    headers.insert(names::HEADER_SAVED_USD, reply::decimal(saved));
    response
}

/// The answer to the whole request, with the tokens it states: what is stored counts as if it had been asked for.
fn put_together(wanted: &Wanted, answer: &Answer) -> Option<(u64, Bytes)> {
    if answer.memory.is_none() {
        return Some((answer.batch.tokens.unwrap_or_default(), answer.bytes.clone()));
    }
    let distinct = wanted.distinct(&answer.batch, &answer.asked, &answer.shares);
    let all: Vec<_> = wanted
        .plan
        .places
        .iter()
        .map(|place| distinct[*place])
        .collect::<Option<_>>()?;
    let total = all.iter().map(|(_, tokens)| tokens).sum();
    let vectors: Vec<_> = all.iter().map(|(vector, _)| *vector).collect();
    Some((total, merge(&answer.batch.envelope, &vectors, total)?))
}

/// Stores what is new; `Err` = why some of it was not.
fn store(pipeline: &Pipeline, exchange: &Exchange, wanted: &Wanted, answer: &Answer) -> Result<(), &'static str> {
    let policy = &pipeline.snapshot.result_cache;
    let stamp = wanted.stamp.ok_or("no_lease")?;
    let tags = wanted.plan.tags.as_ref().map_err(|reason| *reason)?;
    let distinct = wanted.distinct(&answer.batch, &answer.asked, &answer.shares);
    let mut kept = Ok(());
    for (at, part) in distinct.into_iter().enumerate() {
        let Some((vector, tokens)) = part.filter(|_| wanted.found[at].is_none()) else {
            continue;
        };
        let value = kept::encode(vector, tokens, &answer.batch.space, &answer.batch.envelope);
        if value.len() as u64 > policy.max_entry_bytes {
            kept = Err("too_large");
            continue;
        }
        let entry = Entry {
            stored_at_ms: exchange.started_ms,
            ttl: Duration::from_millis(policy.embeddings.ttl_ms),
            keep: Duration::from_millis(policy.embeddings.ttl_ms),
            stamp,
            layer: Layer::Result,
            tags: tags.clone(),
            class: CLASS.to_owned(),
            model: exchange.route.model.clone(),
            value,
        };
        match pipeline
            .tiers
            .admit(wanted.plan.keys[at].newest, entry, exchange.now_ms(), &mut None)
        {
            Admission::Banned => kept = Err("banned"),
            Admission::Expired => kept = Err("expired"),
            Admission::Stored => {}
        }
    }
    kept
}

fn input(tokens: u64) -> Usage {
    Usage {
        input: tokens,
        ..Usage::default()
    }
}
