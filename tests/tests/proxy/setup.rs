//! A sidecar before a provider, and a provider of raw bytes for what the fake never says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use llmcache_tests::fake::{Fake, FakeConfig, Received};
use llmcache_tests::kit::{Client, Launch, Sidecar, policy};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// No layer acts: what arrives must be what was sent.
pub(crate) const NOTHING: &str = "  promptCache: {mode: Disabled}\n  resultCache: {mode: Disabled}";

/// Marks alone.
pub(crate) const ALWAYS: &str = "  promptCache: {strategy: Always}\n  resultCache: {mode: Disabled}";

/// A sidecar before the fake provider.
pub(crate) struct Shop {
    pub(crate) fake: Fake,
    pub(crate) sidecar: Sidecar,
    pub(crate) client: Client,
}

impl Shop {
    pub(crate) async fn open(spec: &str) -> anyhow::Result<Self> {
        Self::with(FakeConfig::default(), spec, []).await
    }

    pub(crate) async fn with<'a>(
        config: FakeConfig,
        spec: &str,
        args: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<Self> {
        let fake = Fake::start(config).await?;
        let sidecar = Launch::new(policy(spec), fake.url()).args(args).start().await?;
        let client = sidecar.client();
        Ok(Self { fake, sidecar, client })
    }

    /// The newest request that the provider got.
    pub(crate) fn last(&self) -> anyhow::Result<Received> {
        self.fake.log().pop().context("nothing reached the provider")
    }
}

/// A short question.
pub(crate) fn question(text: &str) -> Value {
    json!({"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": [{"role": "user", "content": text}]})
}

/// What a raw provider does with one request.
pub(crate) enum Act {
    /// These bytes; the connection stays open.
    Say(Vec<u8>),
    /// These bytes, then the end of the connection.
    SayAndHangUp(Vec<u8>),
}

/// A provider that answers raw bytes and keeps the raw bytes it got.
pub(crate) struct Raw {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    connections: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Raw {
    /// Asks `act` what to do with each request, numbered from 1.
    pub(crate) async fn start(act: impl Fn(usize) -> Act + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (seen, connections) = (Arc::<Mutex<Vec<Vec<u8>>>>::default(), Arc::<AtomicUsize>::default());
        let (act, kept, counted) = (Arc::new(act), seen.clone(), connections.clone());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (act, kept) = (act.clone(), kept.clone());
                tokio::spawn(async move { converse(stream, &*act, &kept).await });
            }
        });
        Ok(Self {
            url,
            seen,
            connections,
            server,
        })
    }

    /// Requests as they came, head and body.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock();
        seen.iter()
            .map(|request| String::from_utf8_lossy(request).into_owned())
            .collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A plain JSON answer of HTTP/1.1.
pub(crate) fn answer(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A stream of raw bytes to an origin.
pub(crate) async fn dial(origin: &str) -> anyhow::Result<TcpStream> {
    let address = origin.strip_prefix("http://").context("not an http origin")?;
    Ok(TcpStream::connect(address).await?)
}

/// Reads until `end` has come; gives all that came.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> anyhow::Result<String> {
    let (mut got, mut buffer) = (Vec::new(), [0; 4096]);
    while !got.windows(end.len()).any(|window| window == end.as_bytes()) {
        let count = stream.read(&mut buffer).await?;
        anyhow::ensure!(count > 0, "ended after {:?}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&buffer[..count]);
    }
    Ok(String::from_utf8_lossy(&got).into_owned())
}

async fn converse(mut stream: TcpStream, act: &(impl Fn(usize) -> Act + Sync), seen: &Mutex<Vec<Vec<u8>>>) {
    let mut got = Vec::new();
    loop {
        let Some(request) = next(&mut stream, &mut got).await else {
            return;
        };
        let number = {
            let mut seen = seen.lock();
            seen.push(request);
            seen.len()
        };
        let (bytes, stays) = match act(number) {
            Act::Say(bytes) => (bytes, true),
            Act::SayAndHangUp(bytes) => (bytes, false),
        };
        if stream.write_all(&bytes).await.is_err() || !stays {
            return;
        }
    }
}

/// One request off the connection: its head and, by content length, its body.
async fn next(stream: &mut TcpStream, got: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(head) = got.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&got[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if got.len() >= head + 4 + length {
                let rest = got.split_off(head + 4 + length);
                return Some(std::mem::replace(got, rest));
            }
        }
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        got.extend_from_slice(&buffer[..count]);
    }
}
