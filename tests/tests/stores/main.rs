//! The shared store in each of its modes, from outside: what one process buys another finds, and what happens to the
//! store happens to no request.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod refused;
mod sentinel;
mod single;

use anyhow::ensure;
use llmcache_tests::fake::{Fake, FakeConfig, Fault, Trouble};
use llmcache_tests::kit::{Call, Launch, Sidecar, eventually, metric, policy, question};
use serde_json::Value;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A provider and two sidecars that share a store.
struct Pair {
    fake: Fake,
    first: Sidecar,
    second: Sidecar,
}

impl Pair {
    /// Starts all and waits until both have reached the store of these arguments.
    async fn start(args: &[&str]) -> anyhow::Result<Self> {
        let fake = Fake::start(FakeConfig::default()).await?;
        let first = launch(&fake, args).start().await?;
        let second = launch(&fake, args).start().await?;
        for sidecar in [&first, &second] {
            reached(sidecar).await?;
        }
        Ok(Self { fake, first, second })
    }

    /// Buys answers to these questions with the first and waits until each is a hit in the second.
    async fn share(&self, texts: &[String]) -> anyhow::Result<()> {
        for text in texts {
            self.buy(text).await?;
        }
        for text in texts {
            let call = Call::messages(&ask(text)).header("cache-control", "only-if-cached");
            eventually("what the first bought is a hit in the second", async || {
                self.second.client().send(&call).await.is_ok_and(|reply| reply.is_hit())
            })
            .await?;
        }
        Ok(())
    }

    /// Asks the first; anything but an answer is an error.
    async fn buy(&self, text: &str) -> anyhow::Result<()> {
        let reply = self.first.client().send(&Call::messages(&ask(text))).await?;
        ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
        Ok(())
    }

    /// Buys new answers until one is a hit in the second: what is bought while the store is away is not written.
    async fn shares_again(&self, what: &str) -> anyhow::Result<()> {
        let mut tries = 0;
        eventually(what, async || {
            tries += 1;
            let text = format!("{what} {tries}");
            let call = Call::messages(&ask(&text)).header("cache-control", "only-if-cached");
            if self.buy(&text).await.is_err() {
                return false;
            }
            for _ in 0..10 {
                tokio::task::yield_now().await;
                if self.second.client().send(&call).await.is_ok_and(|reply| reply.is_hit()) {
                    return true;
                }
            }
            false
        })
        .await
    }
}

fn launch(fake: &Fake, args: &[&str]) -> Launch {
    let text = policy("  promptCache: {mode: Disabled}\n  resultCache: {mode: Enforce}");
    let mut launch = Launch::new(text, fake.url()).args(args.iter().copied());
    launch.secret = Some(SECRET.to_vec());
    launch
}

fn ask(text: &str) -> Value {
    question("claude-haiku-5-5", text)
}

fn asked(text: &str) -> Call {
    Call::messages(&ask(text))
}

fn questions(about: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{about} {n}")).collect()
}

async fn is_away(sidecar: &Sidecar) -> anyhow::Result<bool> {
    let page = sidecar.admin().send(&Call::get("/metrics")).await?.text();
    Ok(metric(&page, "llmcache_store_breaker_open", &["redis"]) > 0.0)
}

async fn reached(sidecar: &Sidecar) -> anyhow::Result<()> {
    eventually("the store is reached", async || {
        is_away(sidecar).await.is_ok_and(|is_away| !is_away)
    })
    .await
}

/// Bans and claims work across the two: what the first forbids the second no longer serves, and of twenty identical
/// calls to both one goes upstream.
async fn are_of_one_mind(pair: &Pair, about: &str) -> anyhow::Result<()> {
    let texts = questions(about, 6);
    pair.share(&texts).await?;
    let body = serde_json::json!({"model": "claude-haiku-5-5"});
    let ban = Call::post("/llmcache/invalidate", body.to_string());
    let reply = pair.first.client().send(&ban).await?;
    ensure!(reply.json()?["reach"] == "Store", "{}: {}", reply.status, reply.text());
    for text in &texts {
        let call = asked(text).header("cache-control", "only-if-cached");
        eventually("the ban is in force in the second", async || {
            pair.second
                .client()
                .send(&call)
                .await
                .is_ok_and(|reply| reply.status == 504)
        })
        .await?;
    }
    let before = pair.fake.calls();
    pair.fake.script(Fault::new(Trouble::ThinkMs(300)));
    let call = asked(&format!("{about}, at once"));
    let sent: Vec<_> = (0..20)
        .map(|n| {
            let client = [&pair.first, &pair.second][n % 2].client();
            let call = call.clone();
            tokio::spawn(async move { client.send(&call).await })
        })
        .collect();
    for reply in sent {
        let reply = reply.await??;
        ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
    }
    let calls = pair.fake.calls() - before;
    ensure!(calls == 1, "{calls} upstream calls instead of one");
    Ok(())
}
