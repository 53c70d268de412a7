//! One keep-alive HTTP/1.1 connection to one origin, and how long each call took.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

/// A client of one origin.
pub(crate) struct Client {
    origin: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// A whole answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// From the first byte sent to the last byte received.
    pub(crate) elapsed: Duration,
}

impl Client {
    pub(crate) fn new(origin: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            origin: origin.to_owned(),
            pool: Pool::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Sends a JSON body with the headers an SDK of that provider sends.
    pub(crate) async fn post(&self, path: &str, body: Bytes) -> anyhow::Result<Reply> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.origin))
            .header("content-type", "application/json")
            .header("authorization", "Bearer sk-demo")
            .header("anthropic-version", "2026-10-21")
            .body(Full::new(body))?;
        self.send(request).await
    }

    pub(crate) async fn fetch(&self, path: &str) -> anyhow::Result<Reply> {
        let request = Request::builder()
            .uri(format!("{}{path}", self.origin))
            .body(Full::default())?;
        self.send(request).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Reply> {
        let uri = request.uri().clone();
        let start = Instant::now();
        let response = self
            .pool
            .request(request)
            .await
            .with_context(|| format!("no answer from {uri}"))?;
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .with_context(|| format!("answer of {uri} was cut"))?
            .to_bytes();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
            elapsed: start.elapsed(),
        })
    }
}

impl Reply {
    /// A response header, or "" when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Whether a cache of ours answered.
    pub(crate) fn is_hit(&self) -> bool {
        self.header("cache-status").split(';').any(|part| part.trim() == "hit")
    }
}
