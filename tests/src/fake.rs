//! A provider for tests, benches and the demo: Anthropic's and OpenAI's endpoints on one loopback port, with their
//! prompt-cache rules, usage, errors and events as documented, and a bill of its own.
//!
//! It shares no code with llmcache, so that what it charges checks what llmcache's ledger says.
//! It does not think: answers are scripted, or an echo that tells repeats apart.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

mod server;
mod wire;

mod anthropic;
mod anthropic_cache;
mod openai;
mod openai_cache;

mod call;
mod control;
mod playback;
mod sse;

mod answer;
mod bill;
mod clock;
mod log;
mod prices;
mod script;
mod tokens;

pub use answer::{Answer, Part, Stop};
pub use bill::{Bill, End, Line, Sum, Tokens};
pub use clock::Clock;
pub use log::Received;
pub use prices::Provider;
pub use script::{Fault, Skew, Trouble};
pub use tokens::{MEDIA_CHARS, json_chars, tokens, tokens_of};

/// How a fake provider is set up.
#[derive(Debug, Clone)]
pub struct FakeConfig {
    /// Where it listens; loopback and any free port by default.
    pub listen: SocketAddr,
    /// Time before the first byte of each answer; 0 by default.
    pub think: Duration,
    /// Time for each output token; 0 by default.
    pub token: Duration,
    /// Characters of text per stream event; 16 by default.
    pub event_chars: usize,
    /// Whether requests are kept for [`Fake::log`]; on by default.
    pub log: bool,
    /// Whether answers are compressed for clients that accept gzip; off by default.
    pub gzip: bool,
    /// Whether thinking blocks are bound to the conversation that made them; off by default.
    pub bind_thinking: bool,
}

/// A running fake provider; it stops when dropped.
pub struct Fake {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// What the endpoints share.
pub(crate) struct Shared {
    pub(crate) config: FakeConfig,
    pub(crate) clock: Clock,
    pub(crate) book: bill::Book,
    pub(crate) log: log::Log,
    pub(crate) script: script::Script,
    pub(crate) answers: answer::Answers,
    pub(crate) anthropic: anthropic_cache::Cache,
    pub(crate) openai: openai_cache::Cache,
    pub(crate) stored: openai::Stored,
    received: AtomicUsize,
    calls: Mutex<Vec<(String, usize)>>,
    ids: AtomicU64,
    release: Arc<Notify>,
    stalled: AtomicUsize,
}

impl Default for FakeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            think: Duration::ZERO,
            token: Duration::ZERO,
            event_chars: 16,
            log: true,
            gzip: false,
            bind_thinking: false,
        }
    }
}

impl Fake {
    /// Binds the port and serves from then on; fails as binding fails.
    pub async fn start(config: FakeConfig) -> std::io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(config));
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            server,
        })
    }

    /// `http://127.0.0.1:PORT`: Anthropic's base URL as it is, OpenAI's with `/v1` after it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Model calls accepted: messages, chat completions, responses, embeddings; not those refused with an error.
    pub fn calls(&self) -> usize {
        self.shared.calls.lock().iter().map(|(_, calls)| calls).sum()
    }

    /// Accepted model calls to a path such as `/v1/messages`.
    pub fn calls_to(&self, path: &str) -> usize {
        let calls = self.shared.calls.lock();
        calls
            .iter()
            .find(|(called, _)| called == path)
            .map_or(0, |(_, calls)| *calls)
    }

    /// Requests of any kind received, refused ones included.
    pub fn received(&self) -> usize {
        self.shared.received.load(Ordering::SeqCst)
    }

    /// The newest requests as received: at most 20 000, with 64 MiB of bodies.
    pub fn log(&self) -> Vec<Received> {
        self.shared.log.all()
    }

    /// What has been charged so far.
    pub fn bill(&self) -> Bill {
        self.shared.book.bill()
    }

    /// The provider's clock; the life of its cache entries follows it.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Adds a fault that waits for the next model call it matches.
    pub fn script(&self, fault: Fault) {
        self.shared.script.add(fault);
    }

    /// Answers that have stalled so far, released ones included.
    pub fn stalled(&self) -> usize {
        self.shared.stalled.load(Ordering::SeqCst)
    }

    /// Lets every answer go on that has stalled so far.
    pub fn release(&self) {
        self.shared.release_all();
    }

    /// Answers calls by a closure over the request's JSON and the number of the call, from 1.
    pub fn set_answer(&self, answer: impl FnMut(&Value, usize) -> Answer + Send + 'static) {
        self.shared.answers.set(Box::new(answer));
    }

    /// Answers the next calls in this order, before any closure; at most 65 536 wait.
    pub fn queue_answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.answers.queue(answers);
    }

    /// Empties counters, log, bill, caches, scripts and answers; the clock stays.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Stops serving and cuts every connection.
    pub async fn stop(mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn new(config: FakeConfig) -> Self {
        Self {
            config,
            clock: Clock::new(),
            book: bill::Book::default(),
            log: log::Log::default(),
            script: script::Script::default(),
            answers: answer::Answers::default(),
            anthropic: anthropic_cache::Cache::default(),
            openai: openai_cache::Cache::default(),
            stored: openai::Stored::default(),
            received: AtomicUsize::new(0),
            calls: Mutex::default(),
            ids: AtomicU64::new(1),
            release: Arc::default(),
            stalled: AtomicUsize::new(0),
        }
    }

    /// Counts a request of any kind.
    pub(crate) fn receive(&self) {
        self.received.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts an accepted model call and tells its number.
    pub(crate) fn accept(&self, path: &str) -> usize {
        let mut calls = self.calls.lock();
        match calls.iter_mut().find(|(called, _)| called == path) {
            Some((_, count)) => *count += 1,
            None => calls.push((path.to_owned(), 1)),
        }
        calls.iter().map(|(_, calls)| calls).sum()
    }

    /// A new id such as `msg_01…`, unique among all fakes of a machine.
    pub(crate) fn id(&self, prefix: &str) -> String {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        let mixed = (number ^ (u64::from(std::process::id()) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{prefix}{mixed:016x}{number:08x}")
    }

    /// Ready when stalled answers are next let go; a release after this call is never missed.
    pub(crate) fn stall(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let released = Arc::clone(&self.release).notified_owned();
        self.stalled.fetch_add(1, Ordering::SeqCst);
        Box::pin(released)
    }

    pub(crate) fn release_all(&self) {
        self.release.notify_waiters();
    }

    pub(crate) fn accepted(&self) -> Vec<(String, usize)> {
        self.calls.lock().clone()
    }

    pub(crate) fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }

    pub(crate) fn reset(&self) {
        self.calls.lock().clear();
        self.received.store(0, Ordering::SeqCst);
        self.log.reset();
        self.book.reset();
        self.script.reset();
        self.answers.reset();
        self.anthropic.reset();
        self.openai.reset();
        self.stored.reset();
    }
}

#[cfg(test)]
mod tests;
