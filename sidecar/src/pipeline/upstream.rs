//! Stage 6, *upstream*: send; rescue; fall over. What comes back is the provider's own answer or error, unmodified.
//!
//! A model that *we* chose and the provider refuses is rescued by the requested one; an overloaded provider may be
//! asked for a fallback tier. Both only before any byte of an answer. A request is sent again by us only when a
//! pooled connection turned out to be closed before any byte of a response.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header, response::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use llmcache_policy::names;
use llmcache_provider::Endpoint;
use llmcache_provider::error::{OwnError, read_error};
use llmcache_provider::splice::{self, Splice};
use tokio::time::Instant;

use super::account::Record;
use super::prompt_cache::Marked;
use super::routing::{self, Route};
use super::{Exchange, Pipeline};
use crate::body::{self, Body};
use crate::client;

pub(crate) mod pass;

/// An error body is read whole to see whether it is a spend limit; the providers' are under 2 KiB.
const MAX_ERROR: usize = 1 << 20;

/// A provider's response with what was done to get it.
pub(crate) struct Sent {
    /// Status and headers.
    pub head: Parts,
    /// The body.
    pub body: Source,
    /// The model that answers.
    pub model: String,
    /// A rescue or a fallback: followers may have it, the store may not. The word says which.
    pub detour: Option<&'static str>,
    /// Whether the answer repeats a field that we added to the request.
    pub echoes_ours: bool,
}

/// Where the body comes from.
pub(crate) enum Source {
    /// The connection.
    Live(Incoming),
    /// It was read already.
    Read(Bytes),
}

/// Sends one request, with its marks, to the provider.
pub(crate) async fn send(
    pipeline: &Pipeline,
    exchange: &Exchange,
    marked: &Marked,
    record: &mut Record,
) -> Result<Sent, OwnError> {
    let route = &exchange.route;
    let first = attempt(pipeline, exchange, marked, record, route).await?;
    if is_refusal(first.head.status) && route.model != route.requested {
        tracing::info!(id = exchange.id, model = route.model, status = %first.head.status, "rescued by the requested model");
        if let Ok(scope) = &exchange.scope {
            pipeline.memory.avoid(scope, &route.requested, &route.model);
            let conversation = pipeline.memory.conversation(scope, &exchange.call);
            let asked = exchange.call.request.model();
            let kept = routing::Choice::Kept(asked.into());
            pipeline.memory.replace(conversation.prefix, kept);
        }
        pipeline.metrics.bypass("routing", routing::RESCUE);
        record.progress.tier = None;
        let rescued = attempt(pipeline, exchange, marked, record, &route.rescued()).await?;
        return Ok(Sent {
            detour: Some(routing::RESCUE),
            ..rescued
        });
    }
    if is_overload(first.head.status) && !pipeline.snapshot.routing.fallback.is_empty() {
        return fall_over(pipeline, exchange, marked, record, first).await;
    }
    Ok(first)
}

/// Asks each fallback tier once, in order; when all fail, the first failure is the answer.
async fn fall_over(
    pipeline: &Pipeline,
    exchange: &Exchange,
    marked: &Marked,
    record: &mut Record,
    first: Sent,
) -> Result<Sent, OwnError> {
    let Exchange { call, route, scope, .. } = exchange;
    let context = pipeline.routing(exchange.started_at);
    if !routing::may_fall_over(&context, call) {
        return Ok(first);
    }
    let first = read(first).await;
    if is_spend_limit(exchange, &first) {
        return Ok(first);
    }
    let mut failed = vec![route.model.clone()];
    for tier in &pipeline.snapshot.routing.fallback {
        let Some(model) = routing::model_of(&pipeline.snapshot.routing, tier, call.endpoint.provider()) else {
            continue;
        };
        let scope = scope.as_ref().ok();
        let is_refused = routing::refuse_fallback(&context, call, scope, &route.requested, &model).is_some();
        if failed.contains(&model) || is_refused {
            continue;
        }
        let other = Route {
            model: model.clone(),
            ..route.clone()
        };
        // Whatever goes wrong with a model nobody asked for is not the client's to read.
        if let Ok(sent) = attempt(pipeline, exchange, marked, record, &other).await
            && sent.head.status.is_success()
        {
            tracing::info!(id = exchange.id, model, "fell over");
            pipeline.metrics.bypass("routing", routing::FALLBACK);
            record.progress.tier = Some(tier.as_str().into());
            return Ok(Sent {
                detour: Some(routing::FALLBACK),
                ..sent
            });
        }
        failed.push(model);
    }
    record.progress.model = Some(first.model.clone());
    Ok(first)
}

/// A spend limit is no overload: the same account would pay for the other model.
fn is_spend_limit(exchange: &Exchange, first: &Sent) -> bool {
    let Source::Read(body) = &first.body else { return false };
    read_error(exchange.call.endpoint.provider(), first.head.status, body).spend_limit
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 403 | 404 | 413)
}

fn is_overload(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

async fn read(sent: Sent) -> Sent {
    match sent.body {
        Source::Live(body) => match Limited::new(body, MAX_ERROR).collect().await {
            Ok(whole) => Sent {
                body: Source::Read(whole.to_bytes()),
                ..sent
            },
            Err(_) => Sent {
                body: Source::Read(Bytes::new()),
                ..sent
            },
        },
        Source::Read(_) => sent,
    }
}

async fn attempt(
    pipeline: &Pipeline,
    exchange: &Exchange,
    marked: &Marked,
    record: &mut Record,
    route: &Route,
) -> Result<Sent, OwnError> {
    let provider = exchange.call.endpoint.provider();
    let bytes = splice_body(pipeline, exchange, marked, route);
    record.progress.model = Some(route.model.clone());
    record.progress.marks = marked.ours;
    record.progress.sent.get_or_insert_with(Instant::now);
    let make = || request(pipeline, exchange, bytes.clone());
    let client = pipeline.client(provider);
    let mut sent = client.send(make()?).await;
    if let Err(client::Error::Stale(_)) = sent {
        sent = client.send(make()?).await;
    }
    let label = pipeline.account.model_label(provider, &route.model);
    pipeline
        .metrics
        .upstream(label, sent.as_ref().ok().map(|response| response.status().as_u16()));
    let response = sent.map_err(|error| {
        tracing::warn!(id = exchange.id, %error, "no answer from the upstream");
        OwnError::DeadUpstream
    })?;
    record.progress.begun = Some(Timestamp::now());
    let (head, body) = response.into_parts();
    Ok(Sent {
        head,
        body: Source::Live(body),
        model: route.model.clone(),
        detour: None,
        echoes_ours: exchange.call.endpoint == Endpoint::OpenAiResponses && !marked.splices.is_empty(),
    })
}

/// The client's bytes with the listed splices: the model, marks, usage in chat streams.
fn splice_body(pipeline: &Pipeline, exchange: &Exchange, marked: &Marked, route: &Route) -> Bytes {
    let request = &exchange.call.request;
    let mut splices: Vec<Splice> = marked.splices.clone();
    if route.model != request.model() {
        splices.push(request.set_model(&route.model));
    }
    if exchange.is_native(pipeline) {
        splices.extend(request.include_usage());
    }
    splice::apply(request.bytes(), &mut splices)
}

fn request(pipeline: &Pipeline, exchange: &Exchange, bytes: Bytes) -> Result<Request<Body>, OwnError> {
    let call = &exchange.call;
    let mut headers = forwarded(&call.headers);
    headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
    headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    let mut request = Request::new(body::full(bytes));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target(pipeline.base(call.endpoint.provider()), &call.path).ok_or(OwnError::DeadUpstream)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The upstream's base URL with a path below it.
pub(crate) fn target(base: &str, path: &str) -> Option<Uri> {
    format!("{base}{path}").parse().ok()
}

/// The client's headers without those of its connection to us and those that control us.
pub(crate) fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<&str> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let is_kept = |name: &str| {
        !HOP_BY_HOP.contains(&name)
            && !name.starts_with(names::HEADER_PREFIX)
            && !named.iter().any(|hop| hop.eq_ignore_ascii_case(name))
    };
    headers
        .iter()
        .filter(|(name, _)| is_kept(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The provider's headers that belong to its connection with us are not the client's.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        headers.remove(name);
    }
}

/// RFC 9110 §7.6.1, with `host` and `expect`, which are answered here.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Turns a response of whatever source into one for the app.
pub(crate) fn forward(sent: Sent) -> Response<Body> {
    let Sent { mut head, body, .. } = sent;
    strip_response(&mut head.headers);
    let body = match body {
        Source::Live(body) => body::incoming(body),
        Source::Read(bytes) => body::full(bytes),
    };
    Response::from_parts(head, body)
}
