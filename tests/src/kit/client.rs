//! A plain HTTP/1.1 client that shows everything of an answer.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

/// Longest time any answer in a test may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client of one origin.
#[derive(Clone)]
pub struct Client {
    origin: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Client {
    /// A client of an origin such as `http://127.0.0.1:15480`.
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            pool: Pool::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends a call and collects its answer.
    pub async fn send(&self, call: &Call) -> anyhow::Result<Reply> {
        let (head, body) = self.open(call).await?.into_parts();
        let body = timeout(PATIENCE, body.collect())
            .await
            .context("the answer did not end")??
            .to_bytes();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Sends a call; the answer's body is still to be read.
    pub async fn open(&self, call: &Call) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = format!("{}{}", self.origin, call.path).parse()?;
        *request.headers_mut() = call.headers.clone();
        timeout(PATIENCE, self.pool.request(request))
            .await
            .context("no answer in time")?
            .context("no answer")
    }

    /// The ledger.
    pub async fn account(&self) -> anyhow::Result<Value> {
        self.send(&Call::get("/llmcache/account")).await?.json()
    }
}

impl Call {
    /// A GET.
    pub fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// A POST of JSON bytes exactly as given.
    pub fn post(path: &str, body: impl Into<Bytes>) -> Self {
        let call = Self {
            method: Method::POST,
            path: path.into(),
            headers: HeaderMap::new(),
            body: body.into(),
        };
        call.header("content-type", "application/json")
    }

    /// Anthropic Messages with the credential `key-a`.
    pub fn messages(body: &Value) -> Self {
        let call = Self::post("/anthropic/v1/messages", body.to_string());
        call.header("x-api-key", "key-a")
            .header("anthropic-version", "2023-06-01")
    }

    /// OpenAI Chat Completions with the credential `key-a`.
    pub fn chat(body: &Value) -> Self {
        Self::post("/openai/v1/chat/completions", body.to_string()).header("authorization", "Bearer key-a")
    }

    /// OpenAI Responses with the credential `key-a`.
    pub fn responses(body: &Value) -> Self {
        Self::post("/openai/v1/responses", body.to_string()).header("authorization", "Bearer key-a")
    }

    /// OpenAI Embeddings with the credential `key-a`.
    pub fn embeddings(body: &Value) -> Self {
        Self::post("/openai/v1/embeddings", body.to_string()).header("authorization", "Bearer key-a")
    }

    /// Sets a header; names and values that HTTP cannot carry are left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// With these exact body bytes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// To another path.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// With another method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }
}

impl Reply {
    /// A header, or "" when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// `Cache-Status`.
    pub fn cache_status(&self) -> &str {
        self.header("cache-status")
    }

    /// Whether a cache of ours answered.
    pub fn is_hit(&self) -> bool {
        self.cache_status().split(';').any(|part| part.trim() == "hit")
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
