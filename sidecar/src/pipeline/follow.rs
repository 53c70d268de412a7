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
use llmcache_cache::seal::Digest;
use llmcache_cache::single_flight::{Follower, Lost};
use llmcache_provider::Endpoint;
use llmcache_provider::error::stream_error;
use llmcache_provider::request::Echo;

use super::account::Record;
use super::reply::{self, CacheStatus};
use super::result_cache::plan::{self, Plan};
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
}

impl Head {
    /// Whether the live bytes are what this caller would have got itself.
    fn is_live_for(&self, pipeline: &Pipeline, exchange: &Exchange, plan: &Plan) -> bool {
        let request = &exchange.call.request;
        self.is_stream
            && request.wants_stream()
            && self.include_usage == request.wants_usage()
            && self.echo == exchange.echo
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
    let wait = Duration::from_millis(pipeline.snapshot.result_cache.single_flight.wait_ms);
    let head = match tokio::time::timeout(wait, follower.head()).await {
        Err(_) => return Err((None, record)),
        Ok(Err(lost)) => return Err((Some(lost), record)),
        Ok(Ok(head)) => head,
    };
    if head.is_live_for(pipeline, exchange, plan) {
        return Ok(live(exchange, &head, follower, record));
    }
    match follower.value().await {
        Err(lost) => Err((Some(lost), record)),
        Ok(None) => Err((None, record)),
        Ok(Some(answer)) => {
            let share = answer.share(|| plan::exact(&pipeline.key, exchange), plan.credential);
            if share == Share::Nothing {
                return Err((None, record));
            }
            Ok(finished(exchange, &answer, share, record))
        }
    }
}

fn finished(exchange: &Exchange, stored: &Stored, share: Share, record: Record) -> Response<Body> {
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
}

impl HttpBody for Live {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.record.is_none() {
            return Poll::Ready(None);
        }
        match ready!(self.follower.poll_next(context)) {
            Some(Ok(chunk)) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            Some(Err(_lost)) => {
                if let Some(record) = self.record.take() {
                    record.cut("leader_lost");
                }
                let error = stream_error(self.endpoint, "llmcache: the upstream ended the stream early");
                Poll::Ready(Some(Ok(Frame::data(error))))
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
                Poll::Ready(None)
            }
        }
    }
}
