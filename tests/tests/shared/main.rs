//! Several sidecars on one store: single-flight, bans, keys and tenants across processes.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bans;
mod embeddings;
mod flights;
mod keys;
mod stale;
mod tenants;

use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Call, Launch, Redis, Sidecar, eventually, question};
use serde_json::Value;

/// A secret file's bytes.
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Everything is cached, under the tags of an end user and of a document; conversations with opus go to haiku. The
/// budget is wide: what a busy machine makes of the usual one is not the question here.
const POLICY: &str = "apiVersion: llmcache.dev/v1alpha1
kind: LLMCachePolicy
metadata: {name: test, namespace: shop}
spec:
  tags: [\"user:{user}\", \"doc:{header:x-doc-id}\"]
  resultCache: {storeBudget: 1s}
  routing:
    requestModels: [\"claude-opus-*\"]
    tiers: [{name: haiku, models: {anthropic: claude-haiku-5-5}}]
    rules: [{tier: haiku}]
";

/// A provider, a store, and sidecars between them that share one secret.
struct Pods {
    fake: Fake,
    redis: Redis,
    sidecars: Vec<Sidecar>,
}

impl Pods {
    async fn start(count: usize, fake: FakeConfig) -> anyhow::Result<Self> {
        Self::with_policy(count, fake, POLICY).await
    }

    async fn with_policy(count: usize, fake: FakeConfig, policy: &str) -> anyhow::Result<Self> {
        let (fake, redis) = (Fake::start(fake).await?, Redis::start().await?);
        let mut sidecars = Vec::new();
        for _ in 0..count {
            sidecars.push(launch(policy, &fake, &redis.url(), SECRET).start().await?);
        }
        let pods = Self { fake, redis, sidecars };
        for sidecar in &pods.sidecars {
            reaches_store(sidecar).await?;
        }
        Ok(pods)
    }

    /// Sends a call through one of the sidecars.
    async fn send(&self, pod: usize, call: &Call) -> anyhow::Result<llmcache_tests::kit::Reply> {
        self.sidecars[pod].client().send(call).await
    }

    /// `POST /llmcache/invalidate` at one of the sidecars.
    async fn ban(&self, pod: usize, body: &Value) -> anyhow::Result<(u16, Value)> {
        let call = Call::post("/llmcache/invalidate", body.to_string());
        let reply = self.send(pod, &call).await?;
        Ok((reply.status.as_u16(), reply.json()?))
    }
}

fn launch(policy: &str, fake: &Fake, redis: &str, secret: &[u8]) -> Launch {
    let mut launch = Launch::new(policy, fake.url()).args(["--redis", redis]);
    launch.secret = Some(secret.to_vec());
    launch
}

/// Waits until what is asked through a sidecar is stored.
async fn reaches_store(sidecar: &Sidecar) -> anyhow::Result<()> {
    let client = sidecar.client();
    eventually("the store takes bans", async || {
        let body = serde_json::json!({"pattern": "nobody", "dryRun": true});
        let reply = client.send(&Call::post("/llmcache/invalidate", body.to_string())).await;
        let reply = reply.and_then(|reply| reply.json());
        reply.is_ok_and(|said| said["complete"] == true)
    })
    .await
}

fn ask(text: &str) -> Value {
    question("claude-haiku-5-5", text)
}

fn of_user(text: &str, user: &str) -> Call {
    let mut body = ask(text);
    body["metadata"] = serde_json::json!({"user_id": user});
    Call::messages(&body)
}

/// The first turn of a conversation, which is routed to haiku.
fn first_turn(text: &str) -> Call {
    Call::messages(&question("claude-opus-5-5", text))
}

/// Whether its second turn goes to haiku too: with a tool's result only what is remembered sends it there.
async fn is_remembered(pod: &Sidecar, text: &str) -> bool {
    let mut body = question("claude-opus-5-5", text);
    let call = serde_json::json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}});
    let result = serde_json::json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"});
    body["messages"] = serde_json::json!([
        {"role": "user", "content": text},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]);
    let call = Call::messages(&body).header("cache-control", "no-store");
    let reply = pod.client().send(&call).await;
    reply.is_ok_and(|reply| reply.header("x-llmcache-reason").starts_with("routing=remembered"))
}

/// What the model said.
fn text(reply: &llmcache_tests::kit::Reply) -> String {
    let body = reply.json().unwrap_or_default();
    body["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}
