//! Responses to the app: replays of stored answers, our own errors, and the headers that say what happened.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use llmcache_cache::entry::Entry;
use llmcache_policy::names;
use llmcache_provider::error::OwnError;
use llmcache_provider::{Provider, replay};

use super::Exchange;
use super::account::Record;
use super::completion::Failure;
use super::result_cache::Hit;
use super::semantic_cache::Equivalent;
use super::stored::{Share, Stored};
use crate::account::Nano;
use crate::body::{Body, full};
use crate::outcome::Layer;

/// Not in the `http` crate: RFC 9211.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What `Cache-Status` says (RFC 9211): `hit` and `fwd` exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheStatus {
    /// Served from an entry whose fresh life ends in so many seconds, or ended so many ago.
    Hit(i64),
    /// Served from the entry of an equivalent question, whose fresh life ends in so many seconds.
    Equivalent(i64),
    /// Went upstream.
    Miss,
    /// Went upstream, and the answer was admitted.
    Stored,
    /// Some of it was stored, the rest went upstream; whether all of that was admitted.
    Partial { is_stored: bool },
    /// Answered by an identical call in flight.
    Collapsed,
    /// The provider failed, and a stale entry stands in.
    StaleIfError(Failure),
    /// Nothing was looked up.
    Bypass(&'static str),
}

/// Who answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By<'a> {
    /// The model.
    pub model: &'a str,
    /// Why it is not the one that routing chose.
    pub detour: Option<&'static str>,
}

impl<'a> From<&'a str> for By<'a> {
    fn from(model: &'a str) -> Self {
        Self { model, detour: None }
    }
}

/// Replays a stored answer, fresh or stale.
pub(crate) fn hit(exchange: &Exchange, record: Record, hit: &Hit) -> Response<Body> {
    let status = CacheStatus::Hit(ttl(&hit.entry, exchange.now_ms()));
    stored(exchange, record, hit, status, Layer::ResultCache)
}

/// Replays the answer to an equivalent question.
pub(crate) fn equivalent(exchange: &Exchange, record: Record, equivalent: &Equivalent) -> Response<Body> {
    let Equivalent {
        hit,
        similarity,
        threshold,
        ..
    } = equivalent;
    let status = CacheStatus::Equivalent(ttl(&hit.entry, exchange.now_ms()));
    let mut response = stored(exchange, record, hit, status, Layer::SemanticCache);
    let headers = response.headers_mut();
    for (name, share) in [
        (names::HEADER_SIMILARITY, similarity),
        (names::HEADER_THRESHOLD, threshold),
    ] {
        headers.insert(name, value(&format!("{:.4}", f64::from(*share) / 10_000.0)));
    }
    response
}

/// Replays a stale answer in place of one that the provider failed to give.
pub(crate) fn stale(exchange: &Exchange, record: Record, hit: &Hit, failure: Failure) -> Response<Body> {
    stored(
        exchange,
        record,
        hit,
        CacheStatus::StaleIfError(failure),
        Layer::ResultCache,
    )
}

fn stored(exchange: &Exchange, record: Record, hit: &Hit, status: CacheStatus, layer: Layer) -> Response<Body> {
    let Hit { entry, stored, share } = hit;
    let mut response = replay(exchange, stored, *share);
    let saved = record.hit(stored, layer);
    let headers = response.headers_mut();
    headers.insert(header::AGE, entry.age(exchange.now_ms()).as_secs().into());
    annotate(headers, exchange, stored.head.model.as_str(), status, None);
    headers.insert(names::HEADER_SAVED_USD, decimal(saved));
    response
}

/// Seconds of fresh life left; negative once it is over, and then at least one.
fn ttl(entry: &Entry, now_ms: u64) -> i64 {
    let seconds = |life: Duration| i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
    match entry.staleness(now_ms) {
        None => seconds(entry.remaining(now_ms)),
        Some(over) => -seconds(over).max(1),
    }
}

/// A finished answer in the caller's own protocol with the caller's own echo fields; the caches in between, if any,
/// must not keep it.
pub(crate) fn replay(exchange: &Exchange, stored: &Stored, share: Share) -> Response<Body> {
    let request = &exchange.call.request;
    let replay = replay::Replay {
        endpoint: exchange.call.endpoint,
        answer: &stored.body,
        echo: &exchange.echo,
        include_usage: request.wants_usage(),
        without_thinking: share == Share::WithoutThinking,
    };
    let (body, content_type) = if request.wants_stream() {
        (replay::stream(&replay), "text/event-stream; charset=utf-8")
    } else if exchange.echo.members.is_empty() && share == Share::Whole {
        (stored.body.clone(), "application/json")
    } else {
        (replay::plain(&replay), "application/json")
    };
    let mut response = Response::new(full(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    own_request_id(headers, exchange);
    response
}

/// A stored answer as plain JSON, as this caller may see it.
pub(crate) fn plain(exchange: &Exchange, stored: &Stored, share: Share) -> Bytes {
    replay::plain(&replay::Replay {
        endpoint: exchange.call.endpoint,
        answer: &stored.body,
        echo: &exchange.echo,
        include_usage: false,
        without_thinking: share == Share::WithoutThinking,
    })
}

/// A plain answer in which the caller sees its own fields, not those that we added to its request.
pub(crate) fn with_own_echo(exchange: &Exchange, answer: &[u8]) -> Body {
    full(replay::plain(&replay::Replay {
        endpoint: exchange.call.endpoint,
        answer,
        echo: &exchange.echo,
        include_usage: false,
        without_thinking: false,
    }))
}

/// One of our own errors, in the provider's shape.
pub(crate) fn own_error(exchange: &Exchange, record: Record, error: &OwnError) -> Response<Body> {
    record.failed(error.word());
    let mut response = error.response(exchange.call.endpoint.provider()).map(full);
    let headers = response.headers_mut();
    own_request_id(headers, exchange);
    annotate(
        headers,
        exchange,
        exchange.route.model.as_str(),
        CacheStatus::Miss,
        Some(error.word()),
    );
    response
}

/// Adds what happened to a response; `kept` is why an answer was not stored.
pub(crate) fn annotate<'a>(
    headers: &mut HeaderMap,
    exchange: &Exchange,
    by: impl Into<By<'a>>,
    status: CacheStatus,
    kept: Option<&'static str>,
) {
    let By { model, detour } = by.into();
    let word = detour.unwrap_or(exchange.route.word);
    headers.append(CACHE_STATUS, value(&status.text()));
    headers.insert(names::HEADER_MODEL, value(model));
    headers.insert(names::HEADER_REQUEST_ID, value(&exchange.id));
    let mut reason = format!("routing={word}; result_cache={}", status.word());
    if let Some(said) = exchange.semantic.get() {
        // Writing to a string cannot fail.
        _ = write!(reason, "; semantic_cache={said}");
    }
    if let Some(kept) = kept {
        // Writing to a string cannot fail.
        _ = write!(reason, "; store={kept}");
    }
    headers.insert(names::HEADER_REASON, value(&reason));
}

/// Says of a response that streams through why nothing was looked up; its other headers stay the provider's.
pub(crate) fn annotate_opaque(headers: &mut HeaderMap, id: &str, reason: &'static str) {
    headers.append(CACHE_STATUS, value(&CacheStatus::Bypass(reason).text()));
    headers.insert(names::HEADER_REQUEST_ID, value(id));
}

/// Dollars as the header shows them.
pub(crate) fn decimal(amount: Nano) -> HeaderValue {
    value(&amount.to_string())
}

impl CacheStatus {
    fn text(self) -> String {
        let name = names::CACHE_NAME;
        match self {
            Self::Hit(ttl) => format!("{name}; hit; ttl={ttl}; detail=result"),
            Self::Equivalent(ttl) => format!("{name}; hit; ttl={ttl}; detail=semantic"),
            Self::StaleIfError(Failure(Some(status))) => {
                format!(
                    "{name}; fwd=stale; fwd-status={}; detail=stale-if-error",
                    status.as_u16()
                )
            }
            Self::StaleIfError(Failure(None)) => format!("{name}; fwd=stale; detail=stale-if-error"),
            Self::Miss => format!("{name}; fwd=miss"),
            Self::Stored => format!("{name}; fwd=miss; stored"),
            Self::Partial { is_stored: true } => format!("{name}; fwd=miss; stored; detail=partial"),
            Self::Partial { is_stored: false } => format!("{name}; fwd=miss; detail=partial"),
            Self::Collapsed => format!("{name}; fwd=miss; collapsed"),
            Self::Bypass(reason) => format!("{name}; fwd=bypass; detail={reason}"),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::StaleIfError(_) => "stale_if_error",
            Self::Miss | Self::Stored | Self::Equivalent(_) => "miss",
            Self::Partial { .. } => "partial",
            Self::Collapsed => "collapsed",
            Self::Bypass(reason) => reason,
        }
    }
}

/// The header under which the provider's SDK looks for a request id; a replay has our own.
fn own_request_id(headers: &mut HeaderMap, exchange: &Exchange) {
    let name = match exchange.call.endpoint.provider() {
        Provider::Anthropic => "request-id",
        Provider::OpenAi => "x-request-id",
    };
    headers.insert(name, value(&exchange.id));
}

/// A model's name comes from the client and may hold anything; what no header can carry is left out.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
