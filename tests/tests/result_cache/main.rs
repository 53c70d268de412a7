//! The result cache from outside: who gets whose answer, what is kept, for how long, and what ends it.

mod bans;
mod control;
mod endpoints;
mod flights;
mod gates;
mod hits;
mod isolation;
mod random;
mod redis;
mod stale;

use anyhow::Context;
use llmcache_tests::kit::{Call, Client, Reply, Stage, policy};
use serde_json::{Value, json};

/// A model of which nothing but the result cache takes notice.
const MODEL: &str = "claude-haiku-5-5";

/// A policy whose `resultCache` has these members; nothing is marked.
fn cached(members: &str) -> String {
    cached_with(members, "")
}

/// The same with further lines of `spec`.
fn cached_with(members: &str, rest: &str) -> String {
    let sep = if members.is_empty() { "" } else { ", " };
    policy(&format!(
        "  promptCache: {{mode: Disabled}}\n  resultCache: {{mode: Enforce{sep}{members}}}\n{rest}"
    ))
}

/// A Messages request of one user text.
fn ask(text: &str) -> Value {
    llmcache_tests::kit::question(MODEL, text)
}

/// The same request, streamed.
fn streamed(mut body: Value) -> Value {
    body["stream"] = json!(true);
    body
}

/// Sends calls at once; gives their answers in order.
async fn all(client: &Client, calls: Vec<Call>) -> anyhow::Result<Vec<Reply>> {
    let sent: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let client = client.clone();
            tokio::spawn(async move { client.send(&call).await })
        })
        .collect();
    let mut replies = Vec::with_capacity(sent.len());
    for reply in sent {
        replies.push(reply.await.context("a call panicked")??);
    }
    Ok(replies)
}

/// The word of a `key=word` in `x-llmcache-reason`.
fn reason<'a>(reply: &'a Reply, key: &str) -> &'a str {
    let parts = reply.header("x-llmcache-reason").split("; ");
    let mut words = parts.filter_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    words.next().unwrap_or_default()
}

/// Issues a ban; gives the answer's status and JSON.
async fn ban(stage: &Stage, body: Value) -> anyhow::Result<(u16, Value)> {
    let reply = stage
        .client
        .send(&Call::post("/llmcache/invalidate", body.to_string()))
        .await?;
    Ok((reply.status.as_u16(), reply.json()?))
}
