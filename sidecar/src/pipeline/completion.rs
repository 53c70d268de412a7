//! From the provider's response to the app's: a plain answer is collected, so that its headers can tell what became
//! of it; a stream passes through and is stored and accounted with its last event, before that event is passed on.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header, response::Parts};
use hyper::body::Incoming;
use llmcache_policy::names;
use llmcache_provider::Endpoint;
use llmcache_provider::answer::{NotAnswer, read_plain};
use llmcache_provider::error::OwnError;
use llmcache_provider::models;
use llmcache_provider::usage::{Billing, Usage};

use super::account::Record;
use super::follow::Head;
use super::reply::{self, By, CacheStatus};
use super::result_cache::Turn;
use super::result_cache::plan;
use super::store::{self, Ended};
use super::upstream::{Sent, Source, forward, strip_response};
use super::{Exchange, Pipeline, guard};
use crate::body::{self, Body, Left};

mod filter;
mod live;

/// A response whose body is where it has to be before the app gets a head.
pub(crate) enum Collected {
    /// An error, or anything else that is passed on as it is; the word says why.
    Other(Sent, &'static str),
    /// A plain answer.
    Plain(Parts, Bytes, Served),
    /// A plain answer too large to collect.
    Large(Parts, Body, Served),
    /// The provider broke off.
    Broken,
    /// Nothing came.
    None(OwnError),
    /// A stream that has begun.
    Stream(Parts, Incoming, Served),
}

impl Collected {
    /// How the provider failed, where that is not the request's own fault.
    pub(crate) fn failure(&self) -> Option<Failure> {
        match self {
            Self::Broken | Self::None(OwnError::DeadUpstream) => Some(Failure(None)),
            Self::Other(sent, _) => {
                let status = sent.head.status;
                let is_failure = status.is_server_error()
                    || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
                is_failure.then_some(Failure(Some(status)))
            }
            Self::None(_) | Self::Plain(..) | Self::Large(..) | Self::Stream(..) => None,
        }
    }
}

/// A failure of the provider: its status, or none when no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure(pub Option<StatusCode>);

/// Who answered.
pub(crate) struct Served {
    model: String,
    detour: Option<&'static str>,
    echoes_ours: bool,
}

impl<'a> From<&'a Served> for By<'a> {
    fn from(served: &'a Served) -> Self {
        Self {
            model: &served.model,
            detour: served.detour,
        }
    }
}

impl Collected {
    /// Whether the provider answered, with whatever; else it refused or broke off.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::Other(..) | Self::Broken | Self::None(_) => false,
            Self::Plain(..) | Self::Large(..) | Self::Stream(..) => true,
        }
    }
}

/// Collects what must be collected.
pub(crate) async fn collect(pipeline: &Pipeline, sent: Sent) -> Collected {
    if !sent.head.status.is_success() {
        return Collected::Other(sent, "status");
    }
    let Sent {
        head,
        body,
        model,
        detour,
        echoes_ours,
    } = sent;
    let served = Served {
        model,
        detour,
        echoes_ours,
    };
    let incoming = match body {
        Source::Read(bytes) => return Collected::Plain(head, bytes, served),
        Source::Live(incoming) => incoming,
    };
    if is_stream(&head.headers) {
        return Collected::Stream(head, incoming, served);
    }
    match body::buffer(incoming, &mut pipeline.budget.open()).await {
        Ok(bytes) => Collected::Plain(head, bytes, served),
        Err(Left {
            reason: body::Reason::Cut,
            ..
        }) => Collected::Broken,
        Err(Left { body, .. }) => Collected::Large(head, body, served),
    }
}

/// Finishes a request whose response is in hand.
pub(crate) fn finish(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    turn: Turn,
    collected: Collected,
    record: Record,
) -> Response<Body> {
    match collected {
        Collected::Broken => reply::own_error(exchange, record, &OwnError::DeadUpstream),
        Collected::None(error) => reply::own_error(exchange, record, &error),
        Collected::Other(sent, reason) => {
            store::lost(pipeline, &turn, reason);
            record.failed(reason);
            let served = Served {
                model: sent.model.clone(),
                detour: sent.detour,
                echoes_ours: sent.echoes_ours,
            };
            annotated(exchange, forward(sent), &turn, &served, Some(reason))
        }
        Collected::Large(head, body, served) => {
            store::lost(pipeline, &turn, "too_large");
            record.cut("too_large");
            annotated(
                exchange,
                Response::from_parts(head, body),
                &turn,
                &served,
                Some("too_large"),
            )
        }
        Collected::Plain(head, bytes, served) => plain(pipeline, exchange, turn, (head, bytes, served), record),
        Collected::Stream(head, body, served) => stream(pipeline, exchange, turn, (head, body, served), record),
    }
}

fn plain(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    mut turn: Turn,
    (mut head, bytes, served): (Parts, Bytes, Served),
    record: Record,
) -> Response<Body> {
    strip_response(&mut head.headers);
    head.headers.remove(header::CONTENT_LENGTH);
    let mut response = Response::from_parts(head, body::full(bytes.clone()));
    if exchange.call.endpoint == Endpoint::AnthropicCountTokens {
        record.answered(&Usage::default(), &Billing::default(), Err("count_tokens"));
        return annotated(exchange, response, &turn, &served, None);
    }
    let read = guard("store", || {
        read_plain(exchange.call.endpoint, bytes).map_err(NotAnswer::word)
    });
    let answer = match read.unwrap_or(Err("internal")) {
        Ok(answer) => answer,
        Err(reason) => {
            store::lost(pipeline, &turn, reason);
            record.cut(reason);
            return annotated(exchange, response, &turn, &served, Some(reason));
        }
    };
    if served.echoes_ours {
        *response.body_mut() = reply::with_own_echo(exchange, &answer.body);
    }
    let (usage, billing) = (answer.usage, answer.billing.clone());
    let ended = Ended {
        answer,
        model: served.model.clone(),
        detour: served.detour,
    };
    let (stored, kept) =
        guard("store", || store::admit(pipeline, exchange, &mut turn, ended)).unwrap_or((None, Err("internal")));
    let saved = record.answered(&usage, &billing, kept);
    let status = match (turn.bypass, kept) {
        (Some(reason), _) => CacheStatus::Bypass(reason),
        (None, Ok(())) => CacheStatus::Stored,
        (None, Err(_)) => CacheStatus::Miss,
    };
    if let Some(leader) = &turn.leader {
        // Without a head its followers would take it for lost, and each would ask anew what is not stored.
        leader.begin(shared_head(
            pipeline,
            exchange,
            &turn,
            response.headers(),
            &served.model,
        ));
    }
    if let Some(leader) = turn.leader {
        leader.finish(stored.map(Arc::new));
    }
    let headers = response.headers_mut();
    let reason = kept.err().filter(|_| turn.bypass.is_none());
    reply::annotate(headers, exchange, &served, status, reason);
    headers.insert(names::HEADER_SAVED_USD, reply::decimal(saved));
    response
}

fn stream(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    turn: Turn,
    (mut head, body, served): (Parts, Incoming, Served),
    record: Record,
) -> Response<Body> {
    strip_response(&mut head.headers);
    head.headers.remove(header::CONTENT_LENGTH);
    if let Some(leader) = &turn.leader {
        leader.begin(shared_head(pipeline, exchange, &turn, &head.headers, &served.model));
    }
    let status = turn.bypass.map_or(CacheStatus::Miss, CacheStatus::Bypass);
    reply::annotate(&mut head.headers, exchange, &served, status, None);
    let body = live::body(pipeline, exchange, turn, body, served, record);
    Response::from_parts(head, body)
}

/// Followers see nothing of the leader's account: not its rate limits, not its request id.
fn shared_head(pipeline: &Pipeline, exchange: &Exchange, turn: &Turn, headers: &HeaderMap, model: &str) -> Head {
    let request = &exchange.call.request;
    let facts = models::facts(exchange.call.endpoint.provider(), model);
    let shared = [header::CONTENT_TYPE, header::CACHE_CONTROL];
    let bound = match &turn.admit {
        Ok(plan) if request.may_think(facts) => Some((plan.credential, plan::exact(&pipeline.key, exchange))),
        _ => None,
    };
    Head {
        headers: shared
            .into_iter()
            .filter_map(|name| Some((name.clone(), headers.get(name)?.clone())))
            .collect(),
        model: model.to_owned(),
        is_stream: is_stream(headers),
        include_usage: request.wants_usage(),
        echo: exchange.echo.clone(),
        bound,
        stale: None,
        equivalent: None,
    }
}

fn annotated(
    exchange: &Exchange,
    mut response: Response<Body>,
    turn: &Turn,
    served: &Served,
    kept: Option<&'static str>,
) -> Response<Body> {
    let status = turn.bypass.map_or(CacheStatus::Miss, CacheStatus::Bypass);
    reply::annotate(response.headers_mut(), exchange, served, status, kept);
    response
}

fn is_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().starts_with("text/event-stream"))
}
