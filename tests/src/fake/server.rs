//! The HTTP side: connections, routes, keys, body limits.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::call::{Caller, Reply};
use super::log::Received;
use super::playback::Playback;
use super::prices::Provider;
use super::wire::{Orders, Wire};
use super::{Shared, anthropic, control, openai};

/// The largest body the providers take.
const BODY_LIMIT: usize = 32 << 20;

/// Serves until aborted; its connections end with it.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(connect(stream, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let orders = Arc::new(Orders::default());
    let io = TokioIo::new(Wire::new(stream, Arc::clone(&orders)));
    let service = service_fn(move |request| {
        let (shared, orders) = (Arc::clone(&shared), Arc::clone(&orders));
        async move { Ok::<_, Infallible>(answer(shared, orders, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(io, service);
    // A client that goes away, or an order to break, ends the connection with an error: both are wanted.
    let _ = serving.with_upgrades().await;
}

async fn answer(shared: Arc<Shared>, orders: Arc<Orders>, request: Request<Incoming>) -> Reply {
    let (mut parts, body) = request.into_parts();
    if parts.headers.contains_key(header::UPGRADE) {
        return upgrade(&shared, &mut parts);
    }
    let is_control = parts.uri.path().starts_with("/fake/");
    if !is_control {
        shared.receive();
    }
    let body = Limited::new(body, BODY_LIMIT).collect().await;
    let body = match body {
        Ok(body) => Some(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => None,
        // The client went away in the middle of its own body: nobody reads this.
        Err(_) => return Response::new(Playback::default()),
    };
    if is_control {
        return control::answer(&shared, &parts, &body.unwrap_or_default());
    }
    if shared.config.log {
        shared.log.add(received(&parts, body.clone().unwrap_or_default()));
    }
    route(shared, orders, parts, body).await
}

/// Switches protocols and sends back every byte that comes, until the client is done.
fn upgrade(shared: &Shared, parts: &mut Parts) -> Reply {
    shared.receive();
    if shared.config.log {
        shared.log.add(received(parts, Bytes::new()));
    }
    let Some(upgrading) = parts.extensions.remove::<OnUpgrade>() else {
        return bare(StatusCode::BAD_REQUEST);
    };
    tokio::spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        let (mut reading, mut writing) = tokio::io::split(TokioIo::new(upgraded));
        // Ends with the client's end; an error means the same.
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
        let _ = writing.shutdown().await;
    });
    let mut reply = bare(StatusCode::SWITCHING_PROTOCOLS);
    let protocol = parts.headers.get(header::UPGRADE).cloned();
    reply
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    reply
        .headers_mut()
        .extend(protocol.map(|protocol| (header::UPGRADE, protocol)));
    reply
}

fn received(parts: &Parts, body: Bytes) -> Received {
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    Received {
        method: parts.method.clone(),
        target: target.to_owned(),
        headers: parts.headers.clone(),
        body,
    }
}

/// The typed endpoint of a path, with or without `/v1`.
fn endpoint(path: &str) -> Option<(Provider, &'static str)> {
    match path.strip_prefix("/v1").unwrap_or(path) {
        "/messages" => Some((Provider::Anthropic, "/v1/messages")),
        "/messages/count_tokens" => Some((Provider::Anthropic, "/v1/messages/count_tokens")),
        "/chat/completions" => Some((Provider::OpenAi, "/v1/chat/completions")),
        "/responses" => Some((Provider::OpenAi, "/v1/responses")),
        "/embeddings" => Some((Provider::OpenAi, "/v1/embeddings")),
        _ => None,
    }
}

async fn route(shared: Arc<Shared>, orders: Arc<Orders>, parts: Parts, body: Option<Bytes>) -> Reply {
    let path = parts.uri.path().to_owned();
    if path == "/api/hello" {
        return Response::new(Playback::default());
    }
    let typed = endpoint(&path).filter(|_| parts.method == Method::POST);
    let speaks_anthropic = parts.headers.contains_key("anthropic-version") || parts.headers.contains_key("x-api-key");
    let (provider, known) = typed.unwrap_or_else(|| {
        let provider = if speaks_anthropic || path.contains("/messages") {
            Provider::Anthropic
        } else {
            Provider::OpenAi
        };
        (provider, "")
    });
    let key = key_of(&parts.headers);
    let caller = Caller {
        shared,
        orders,
        path: known,
        headers: parts.headers,
        key: key.clone().unwrap_or_default(),
    };
    let refused = match key.as_deref() {
        None | Some("" | "invalid") => Some(401),
        Some("forbidden") => Some(403),
        _ if body.is_none() => Some(413),
        _ => None,
    };
    if let Some(status) = refused {
        return refuse(&caller, provider, status);
    }
    let body = body.unwrap_or_default();
    match known {
        "/v1/messages" => anthropic::messages(caller, body).await,
        "/v1/messages/count_tokens" => anthropic::count_tokens(&caller, &body),
        "/v1/chat/completions" => openai::chat(caller, body).await,
        "/v1/responses" => openai::responses(caller, body).await,
        "/v1/embeddings" => openai::embeddings(caller, body).await,
        _ => untyped(&caller, provider, &parts.method, &path, &body),
    }
}

/// Models, stored responses, and a digest of what came for every other path.
fn untyped(caller: &Caller, provider: Provider, method: &Method, path: &str, body: &Bytes) -> Reply {
    let rest = path.strip_prefix("/v1").unwrap_or(path);
    let id = |prefix: &str| {
        rest.strip_prefix(prefix)
            .filter(|id| !id.is_empty() && !id.contains('/'))
    };
    if method == Method::GET && (rest == "/models" || id("/models/").is_some()) {
        return match provider {
            Provider::Anthropic => anthropic::list_models(caller, id("/models/")),
            Provider::OpenAi => openai::list_models(caller, id("/models/")),
        };
    }
    if let Some(id) = id("/responses/") {
        return openai::stored(caller, method, id);
    }
    control::digest(method, path, body)
}

fn refuse(caller: &Caller, provider: Provider, status: u16) -> Reply {
    match provider {
        Provider::Anthropic => {
            let (_, message) = anthropic::usual(status);
            anthropic::error(caller, &anthropic::Refusal::new(status, message))
        }
        Provider::OpenAi => openai::error(caller, &openai::Refusal::usual(status)),
    }
}

/// The API key, from either header; absent or not text = none.
fn key_of(headers: &HeaderMap) -> Option<String> {
    let header = |name| headers.get(name)?.to_str().ok();
    let bearer = || header("authorization")?.split_once(' ').map(|(_, token)| token.trim());
    header("x-api-key").or_else(bearer).map(str::to_owned)
}

/// A plain status without a body.
pub(crate) fn bare(status: StatusCode) -> Reply {
    let mut reply = Response::new(Playback::default());
    *reply.status_mut() = status;
    reply
}
