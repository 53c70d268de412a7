//! Calls through the sidecar and, as the client sent them, straight to the second provider; what each took.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::client::{Client, Reply};
use crate::fake::{Answer, Fake};

/// Longest time until the last call stands in the ledger.
const SETTLE: Duration = Duration::from_secs(5);
/// What `auto` would cost without a router: the policy's default tier.
const DEFAULT_MODEL: &str = "claude-sonnet-5-5";

/// Which API a call speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    Anthropic,
    Openai,
}

/// Plays calls one after another.
pub(crate) struct Player<'a> {
    sidecar: Client,
    direct: Client,
    provider: &'a Fake,
    mirror: &'a Fake,
    /// What both providers say next.
    next: Arc<Mutex<Option<Answer>>>,
    progress: ProgressBar,
    measured: Measured,
}

/// What the player saw from outside.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) calls: u64,
    /// Whole time of each hit.
    pub(crate) hits: Vec<Duration>,
    /// Nanoseconds of each other call above the same call made straight; negative when chance made it quicker.
    pub(crate) added: Vec<i128>,
}

impl<'a> Player<'a> {
    pub(crate) fn open(proxy: &str, provider: &'a Fake, mirror: &'a Fake) -> Self {
        let next = Arc::default();
        for fake in [provider, mirror] {
            fake.set_answer(follow(&next));
        }
        Self {
            sidecar: Client::new(proxy),
            direct: Client::new(&mirror.url()),
            provider,
            mirror,
            next,
            progress: ProgressBar::new(0),
            measured: Measured::default(),
        }
    }

    /// Opens both connections, so that no call pays for it, and the progress bar.
    pub(crate) async fn begin(&mut self, calls: usize) -> anyhow::Result<()> {
        Account::fetch(&self.sidecar).await?;
        self.direct.fetch("/").await?;
        self.progress.set_length(calls as u64);
        self.progress
            .set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} calls  {msg}")?);
        Ok(())
    }

    /// Makes one call; `answer` is what the model says if it is asked.
    pub(crate) async fn call(&mut self, api: Api, mut body: Value, answer: Answer) -> anyhow::Result<Reply> {
        *self.next.lock() = Some(answer);
        let sent = Bytes::from(serde_json::to_vec(&body)?);
        let reply = self
            .sidecar
            .post(&format!("{}{}", api.prefix(), api.path()), sent)
            .await?;
        ensure!(
            reply.status.is_success(),
            "{} answered {}: {}",
            api.path(),
            reply.status,
            String::from_utf8_lossy(&reply.body)
        );
        if body["model"] == "auto" {
            body["model"] = DEFAULT_MODEL.into();
        }
        let direct = self
            .direct
            .post(api.path(), Bytes::from(serde_json::to_vec(&body)?))
            .await?;
        ensure!(
            direct.status.is_success(),
            "the provider answered {}: {}",
            direct.status,
            String::from_utf8_lossy(&direct.body)
        );
        self.measured.note(&reply, &direct);
        self.progress.inc(1);
        Ok(reply)
    }

    /// Lets the clocks of both providers go on.
    pub(crate) fn advance(&self, time: Duration) {
        self.provider.clock().advance(time);
        self.mirror.clock().advance(time);
    }

    /// The ledger, once every call stands in it, and the measurements; later calls get the demo's own words.
    pub(crate) async fn finish(self) -> anyhow::Result<(Account, Measured)> {
        self.progress.finish_and_clear();
        *self.next.lock() = None;
        let deadline = Instant::now() + SETTLE;
        loop {
            let account = Account::fetch(&self.sidecar).await?;
            if account.requests.total >= self.measured.calls || Instant::now() > deadline {
                return Ok((account, self.measured));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Api {
    /// Where the sidecar serves this provider.
    fn prefix(self) -> &'static str {
        match self {
            Self::Anthropic => llmcache_policy::names::ANTHROPIC_PREFIX,
            Self::Openai => llmcache_policy::names::OPENAI_PREFIX,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Anthropic => "/v1/messages",
            Self::Openai => "/v1/chat/completions",
        }
    }
}

impl Measured {
    fn note(&mut self, reply: &Reply, direct: &Reply) {
        self.calls += 1;
        if reply.is_hit() {
            self.hits.push(reply.elapsed);
        } else {
            self.added.push(signed(reply.elapsed) - signed(direct.elapsed));
        }
    }
}

/// Says what the player put down; when it has put down nothing, tells how often the model was really asked.
fn follow(next: &Arc<Mutex<Option<Answer>>>) -> impl FnMut(&Value, usize) -> Answer + Send + 'static {
    let next = Arc::clone(next);
    move |_, call| {
        next.lock().clone().unwrap_or_else(|| {
        Answer::text(format!("I am the demo's provider and this is call {call} that reached me. Ask the same again: the number stays, because llmcache answers."))
    })
    }
}

#[expect(clippy::cast_possible_wrap, reason = "no call takes 10^20 years")]
fn signed(time: Duration) -> i128 {
    time.as_nanos() as i128
}
