//! Asks for the items that are missing. An answer of which a part is of no use alone (too few vectors, one of
//! another length, another model's) is thrown away and the client's own request is sent instead.

use bytes::Bytes;
use http::response::Parts;
use llmcache_provider::answer::NotAnswer;
use llmcache_provider::embeddings::{self, Batch, Envelope};
use llmcache_provider::request::Item;
use llmcache_provider::usage::{Billing, Usage};

use super::Wanted;
use crate::memory::Reservation;
use crate::pipeline::account::Record;
use crate::pipeline::completion::{self, Collected, Served};
use crate::pipeline::prompt_cache::Marked;
use crate::pipeline::{Exchange, Pipeline, upstream};

/// What the provider said.
pub(super) enum Fetched {
    /// One vector for each item asked.
    Batch(Box<Answer>),
    /// Nothing that can be taken apart; the word says why.
    Other(Box<Collected>, &'static str),
}

/// An answer that was taken apart.
pub(super) struct Answer {
    /// Status and headers.
    pub head: Parts,
    /// The answer as it came.
    pub bytes: Bytes,
    /// The same, apart.
    pub batch: Batch,
    /// Who answered.
    pub served: Served,
    /// The distinct items asked for, in the order of the vectors.
    pub asked: Vec<usize>,
    /// The tokens billed for each of them.
    pub shares: Vec<u64>,
    /// Room for the answer that is put together; none = it goes to the client as it came.
    pub memory: Option<Reservation>,
}

/// Asks for what is wanted.
pub(super) async fn fetch(
    pipeline: &Pipeline,
    exchange: &Exchange,
    wanted: &mut Wanted,
    record: &mut Record,
) -> Fetched {
    let asked: Vec<usize> = (0..wanted.plan.items.len())
        .filter(|at| wanted.found[*at].is_none())
        .collect();
    let items: Vec<Item> = asked.iter().map(|at| wanted.plan.items[*at]).collect();
    let splices: Vec<_> = exchange.call.request.keep_items(&items).into_iter().collect();
    let is_part = !splices.is_empty();
    let collected = send(pipeline, exchange, Marked { splices, ours: 0 }, &items, record).await;
    let fetched = judge(pipeline, exchange, wanted, collected, asked, is_part);
    let Fetched::Other(collected, reason) = fetched else {
        return fetched;
    };
    if !is_part || !collected.is_answer() {
        return Fetched::Other(collected, reason);
    }
    tracing::warn!(id = exchange.id, reason, "asked again for all items");
    pipeline.metrics.bypass("store", "unmerged");
    record.progress.spent += tokens(&collected).unwrap_or_else(|| estimate(&items));
    wanted.found.fill(None);
    let items = exchange.call.request.items();
    let places = wanted.plan.places.clone();
    let collected = send(pipeline, exchange, Marked::default(), &items, record).await;
    judge(pipeline, exchange, wanted, collected, places, false)
}

async fn send(
    pipeline: &Pipeline,
    exchange: &Exchange,
    marked: Marked,
    items: &[Item],
    record: &mut Record,
) -> Collected {
    let expected = Usage {
        input: estimate(items),
        ..Usage::default()
    };
    record.progress.usage = Some((expected, Billing::default()));
    match upstream::send(pipeline, exchange, &marked, record).await {
        Ok(sent) => completion::collect(pipeline, sent).await,
        Err(error) => Collected::None(error),
    }
}

/// Takes an answer apart and sees whether it fits what is stored.
fn judge(
    pipeline: &Pipeline,
    exchange: &Exchange,
    wanted: &Wanted,
    collected: Collected,
    asked: Vec<usize>,
    is_part: bool,
) -> Fetched {
    let (head, bytes, served) = match collected {
        Collected::Plain(head, bytes, served) => (head, bytes, served),
        Collected::Large(..) => return other(collected, "too_large"),
        Collected::Other(_, reason) => return other(collected, reason),
        Collected::Broken | Collected::None(_) => return other(collected, "upstream_cut"),
        Collected::Stream(..) => return other(collected, NotAnswer::Malformed.word()),
    };
    let read = embeddings::read(&bytes, asked.len(), exchange.call.request.dimensions());
    let fits = |batch: &Batch| {
        let mut stored = wanted.found.iter().flatten();
        stored.all(|kept| kept.head.space == batch.space)
    };
    let weights: Vec<u64> = asked.iter().map(|at| wanted.plan.items[*at].weight).collect();
    let judged = match read {
        Err(error) => Err(error.word()),
        Ok(batch) if !fits(&batch) => Err("unmerged"),
        Ok(batch) if !is_part => Ok((batch, None)),
        Ok(batch) => {
            let distinct = wanted.distinct(&batch, &asked, &vec![0; asked.len()]);
            let all = wanted.plan.places.iter().filter_map(|place| distinct[*place]);
            let memory = super::room(pipeline, all.map(|(vector, _)| vector));
            memory.map(|memory| (batch, Some(memory))).ok_or("too_large")
        }
    };
    match judged {
        Err(reason) => other(Collected::Plain(head, bytes, served), reason),
        Ok((batch, memory)) => Fetched::Batch(Box::new(Answer {
            shares: embeddings::shares(batch.tokens.unwrap_or_default(), &weights),
            head,
            bytes,
            batch,
            served,
            asked,
            memory,
        })),
    }
}

fn other(collected: Collected, reason: &'static str) -> Fetched {
    Fetched::Other(Box::new(collected), reason)
}

/// What the provider will bill for these items, by their size.
fn estimate(items: &[Item]) -> u64 {
    items.iter().map(|item| item.estimate).sum()
}

/// What an answer that is thrown away was billed, if it can be read that far.
fn tokens(collected: &Collected) -> Option<u64> {
    let Collected::Plain(_, bytes, _) = collected else {
        return None;
    };
    Envelope::read(bytes).ok()?.tokens
}
