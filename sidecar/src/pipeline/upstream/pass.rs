//! Pass-through: what is not understood goes to the provider as it came, streamed both ways, upgrades included.

use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use llmcache_provider::error::OwnError;
use tokio::time::Instant;

use super::{forwarded, strip_response, target};
use crate::account::{Delivery, Line, Settlement};
use crate::body::{self, Body};
use crate::client;
use crate::outcome::Outcome;
use crate::pipeline::parse::{Opaque, is_upgrade};
use crate::pipeline::{Pipeline, reply};

/// Streams one request through.
pub(crate) async fn pass_through(pipeline: &Arc<Pipeline>, opaque: Opaque, id: String) -> Response<Body> {
    let (provider, reason) = (opaque.provider, opaque.reason);
    let started = Instant::now();
    let record = pipeline.account.open(provider, opaque.endpoint, id.clone());
    pipeline.metrics.bypass("parse", reason);
    let (sent, upgrade) = send(pipeline, opaque).await;
    pipeline
        .metrics
        .upstream("other", sent.as_ref().ok().map(|response| response.status().as_u16()));
    let mut response = match sent {
        Ok(response) => deliver(response, upgrade),
        Err(error) => {
            tracing::warn!(id, %error, "no answer from the upstream");
            OwnError::DeadUpstream.response(provider).map(body::full)
        }
    };
    reply::annotate_opaque(response.headers_mut(), &id, reason);
    let delivery = Delivery {
        tier: None,
        is_stream: true,
        duration: started.elapsed(),
        added: std::time::Duration::ZERO,
    };
    record.close(line(reason), &delivery);
    response
}

/// Sends it, once more if a pooled connection had been closed and the body is at hand.
async fn send(pipeline: &Pipeline, opaque: Opaque) -> (Result<Response<Incoming>, client::Error>, Option<OnUpgrade>) {
    let Opaque {
        provider,
        path,
        mut request,
        again,
        ..
    } = opaque;
    let Some(uri) = target(pipeline.base(provider), &path) else {
        return (Err(client::Error::Address), None);
    };
    *request.uri_mut() = uri;
    let client = pipeline.client(provider);
    let (outgoing, upgrade) = prepare(request);
    if upgrade.is_some() {
        return (client.upgrade(outgoing).await, upgrade);
    }
    let mut copy = again.map(|bytes| {
        let mut copy = Request::new(body::full(bytes));
        *copy.method_mut() = outgoing.method().clone();
        *copy.uri_mut() = outgoing.uri().clone();
        *copy.headers_mut() = outgoing.headers().clone();
        copy
    });
    let sent = match client.send(outgoing).await {
        Err(client::Error::Stale(error)) => match copy.take() {
            Some(copy) => client.send(copy).await,
            None => Err(client::Error::Stale(error)),
        },
        sent => sent,
    };
    (sent, None)
}

/// A request for the upstream, with the client's half of an upgrade where one is asked for.
fn prepare(mut request: Request<Body>) -> (Request<Body>, Option<OnUpgrade>) {
    let protocol = is_upgrade(request.method(), request.headers())
        .then(|| request.headers().get(header::UPGRADE).cloned())
        .flatten();
    let upgrade = protocol.as_ref().map(|_| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = parts.uri;
    *outgoing.headers_mut() = forwarded(&parts.headers);
    if let Some(protocol) = protocol {
        outgoing.headers_mut().insert(header::UPGRADE, protocol);
        outgoing
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    (outgoing, upgrade)
}

fn deliver(mut response: Response<Incoming>, upgrade: Option<OnUpgrade>) -> Response<Body> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client) = upgrade
    {
        let upstream = hyper::upgrade::on(&mut response);
        tokio::spawn(tunnel(client, upstream));
        return response.map(|_| body::empty());
    }
    strip_response(response.headers_mut());
    response.map(body::incoming)
}

async fn tunnel(client: OnUpgrade, upstream: OnUpgrade) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(error) => return tracing::debug!(%error, "upgrade failed"),
    };
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
        tracing::debug!(%error, "upgraded connection ended");
    }
}

fn line(reason: &'static str) -> Line {
    Line {
        id: String::new(),
        outcome: Outcome::Bypass,
        layer: None,
        reason: Some(reason),
        requested_model: String::new(),
        model: String::new(),
        settlement: Settlement {
            is_upstream: true,
            ..Settlement::default()
        },
        stored: false,
    }
}
