//! The follower's side of single-flight: the leader's live stream where both would see the same bytes, else the
//! finished answer replayed as this caller asked for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use llmcache_cache::entry::Entry;
use llmcache_cache::seal::Digest;
use llmcache_cache::single_flight::{Follower, Lost};
use llmcache_provider::Endpoint;
use llmcache_provider::error::stream_error;
use llmcache_provider::replay::EchoFilter;
use llmcache_provider::request::Echo;
use tokio::time::{Instant, timeout_at};

use super::account::Record;
use super::completion::Failure;
use super::reply::{self, CacheStatus};
use super::result_cache::Hit;
use super::result_cache::plan::{self, Plan};
use super::result_cache::stale;
use super::semantic_cache::{self, Equivalent};
use super::stored::{Share, Stored};
use super::{Exchange, Pipeline};
use crate::body::{Body, BoxError};

/// The head of a leader's answer.
pub(crate) struct Head {
    /// Headers that every caller may see.
    pub headers: HeaderMap,
    /// The model that answers.
    pub model: String,
    /// Whether the answer streams.
    pub is_stream: bool,
    /// Whether the stream ends with usage (Chat Completions).
    pub include_usage: bool,
    /// What the answer repeats of the leader's request.
    pub echo: Echo,
    /// The leader's credential and exact prompt, where the answer may hold thinking.
    pub bound: Option<(Digest, Digest)>,
    /// The entry that stands in for the provider's answer, and how that failed.
    pub stale: Option<(Arc<Entry>, Failure)>,
    /// It is the answer to an equivalent question.
    pub equivalent: Option<Equivalent>,
}

impl Head {
    /// Of an answer that is finished: nothing of it is to be read live.
    pub(crate) fn finished(model: &str, stale: Option<(Arc<Entry>, Failure)>) -> Self {
        Self {
            headers: HeaderMap::new(),
            model: model.to_owned(),
            is_stream: false,
            include_usage: false,
            echo: Echo::default(),
            bound: None,
            stale,
            equivalent: None,
        }
    }

    /// Whether the live bytes are, echoes aside, what this caller would have got itself.
    fn is_live_for(&self, pipeline: &Pipeline, exchange: &Exchange, plan: &Plan) -> bool {
        let request = &exchange.call.request;
        self.is_stream
            && request.wants_stream()
            && self.include_usage == request.wants_usage()
            && self.bound.is_none_or(|(credential, exact)| {
                credential == plan.credential && exact == plan::exact(&pipeline.key, exchange)
            })
    }
}

/// Follows until an answer comes. Gives the record back when it must ask again: with what was lost, or with nothing
/// when the wait is over.
pub(crate) async fn follow(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    plan: &Plan,
    mut follower: Follower<Head, Stored>,
    record: Record,
) -> Result<Response<Body>, (Option<Lost>, Record)> {
    // One bound for both waits: a plain follower of a long stream waits for its end.
    let wait = Instant::now() + Duration::from_millis(pipeline.snapshot.result_cache.single_flight.wait_ms);
    let head = match timeout_at(wait, follower.head()).await {
        Err(_) => return Err((None, record)),
        Ok(Err(lost)) => return Err((Some(lost), record)),
        Ok(Ok(head)) => head,
    };
    if head.is_live_for(pipeline, exchange, plan) {
        return Ok(live(exchange, &head, follower, record));
    }
    match timeout_at(wait, follower.value()).await {
        Ok(Err(lost)) => Err((Some(lost), record)),
        Err(_) | Ok(Ok(None)) => Err((None, record)),
        Ok(Ok(Some(answer))) => {
            let share = answer.share(|| plan::exact(&pipeline.key, exchange), plan.credential);
            // The leader's semantic hit is its followers' too, but for one that refuses such; it asks anew.
            if let (Some(equivalent), false) = (&head.equivalent, share == Share::Nothing) {
                if !semantic_cache::is_accepted(exchange) {
                    return Err((Some(Lost::Leader), record));
                }
                let mut own = equivalent.clone();
                own.hit.share = share;
                return Ok(semantic_cache::give(pipeline, exchange, own, record));
            }
            match (share, &head.stale) {
                (Share::Nothing, _) => Err((None, record)),
                // As if there were none: the provider failed, and the next in line asks it again.
                (_, Some(_)) if !stale::is_accepted(exchange) => Err((Some(Lost::Leader), record)),
                (share, None) => Ok(finished(exchange, &answer, share, record)),
                (share, Some((entry, failure))) => {
                    let hit = Hit {
                        entry: entry.clone(),
                        stored: (*answer).clone(),
                        share,
                    };
                    Ok(reply::stale(exchange, record, &hit, *failure))
                }
            }
        }
    }
}

/// A finished answer for a caller that asked while it was fetched.
pub(crate) fn finished(exchange: &Exchange, stored: &Stored, share: Share, record: Record) -> Response<Body> {
    let mut response = reply::replay(exchange, stored, share);
    let saved = record.followed(stored);
    reply::annotate(
        response.headers_mut(),
        exchange,
        stored.head.model.as_str(),
        CacheStatus::Collapsed,
        None,
    );
    response
        .headers_mut()
        .insert(llmcache_policy::names::HEADER_SAVED_USD, reply::decimal(saved));
    response
}

fn live(exchange: &Arc<Exchange>, head: &Head, follower: Follower<Head, Stored>, record: Record) -> Response<Body> {
    let body = Live {
        follower,
        record: Some(record),
        endpoint: exchange.call.endpoint,
        own: (head.echo != exchange.echo)
            .then(|| Box::new(EchoFilter::new(exchange.call.endpoint, exchange.echo.clone()))),
    };
    let mut response = Response::new(body.boxed_unsync());
    *response.headers_mut() = head.headers.clone();
    reply::annotate(
        response.headers_mut(),
        exchange,
        head.model.as_str(),
        CacheStatus::Collapsed,
        None,
    );
    response
}

/// The leader's stream as it comes, then the account of it.
struct Live {
    follower: Follower<Head, Stored>,
    record: Option<Record>,
    endpoint: Endpoint,
    /// Puts this caller's echo in the place of the leader's, where they differ.
    own: Option<Box<EchoFilter>>,
}

impl Live {
    fn pass(&mut self, chunk: Bytes) -> Bytes {
        let Some(own) = &mut self.own else { return chunk };
        let mut out = Vec::with_capacity(chunk.len());
        own.feed(&chunk, &mut out);
        out.into()
    }

    /// What the filter still holds when the leader's stream has ended.
    fn rest(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(own) = self.own.take() {
            own.finish(&mut out);
        }
        out
    }
}

impl HttpBody for Live {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.record.is_none() {
            return Poll::Ready(None);
        }
        loop {
            match ready!(self.follower.poll_next(context)) {
                Some(Ok(chunk)) => {
                    let passed = self.pass(chunk);
                    if !passed.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(passed))));
                    }
                }
                Some(Err(_lost)) => {
                    if let Some(record) = self.record.take() {
                        record.cut("leader_lost");
                    }
                    let error = stream_error(self.endpoint, "llmcache: the upstream ended the stream early");
                    let last = [self.rest(), error.into()].concat();
                    return Poll::Ready(Some(Ok(Frame::data(last.into()))));
                }
                None => {
                    // The leader publishes its answer before the end of its stream, so it is there without waiting.
                    let value = self.follower.value().now_or_never();
                    if let Some(record) = self.record.take() {
                        match value {
                            Some(Ok(Some(answer))) => {
                                record.followed(&answer);
                            }
                            _ => record.cut("leader_lost"),
                        }
                    }
                    let last = self.rest();
                    return Poll::Ready((!last.is_empty()).then(|| Ok(Frame::data(last.into()))));
                }
            }
        }
    }
}
