//! The semantic cache from outside, with the real model: what it learns, what it serves then, and what it never serves.

mod budget;
mod faults;
mod judged;
mod kept;
mod qdrant;
mod refused;
mod traps;

use std::collections::HashMap;

use anyhow::{Context, ensure};
use llmcache_tests::fake::{Answer, Fake, FakeConfig};
use llmcache_tests::kit::{Call, Client, Launch, Reply, Sidecar, Stage, eventually, metric, policy};
use serde::Deserialize;
use serde_json::{Value, json};

const MODEL: &str = "claude-haiku-5-5";
const SAMPLE: &str = include_str!("../../samples/paraphrases.jsonl");

/// One question in two wordings.
#[derive(Debug, Clone, Deserialize)]
struct Pair {
    a: String,
    b: String,
}

/// The sample's pairs in order.
fn pairs() -> Vec<Pair> {
    SAMPLE
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// A policy that asks for 36 clean labels. Store calls may take long here: these tests share two cores.
fn enforced(rest: &str) -> String {
    semantic("mode: Enforce, maxFalseHitRate: 0.10", rest)
}

/// A policy with these members of `semanticCache`.
fn semantic(members: &str, rest: &str) -> String {
    policy(&format!(
        "  promptCache: {{mode: Disabled}}\n  resultCache: {{mode: Disabled, storeBudget: 1s}}\n  semanticCache: \
         {{{members}}}\n{rest}"
    ))
}

/// A Messages request of one user text.
fn ask(text: &str) -> Value {
    llmcache_tests::kit::question(MODEL, text)
}

/// What the provider says to a question: prose that tells which pair it is of, so that no comparison labels it.
fn prose(of: usize) -> String {
    format!("This is what the handbook of Lanternwood says in its entry number {of}, in as many words as prose takes.")
}

/// Lets a provider answer each wording of a pair alike, and every other question by itself.
fn answer_by_pair(fake: &Fake) {
    let known: HashMap<String, usize> = pairs()
        .into_iter()
        .enumerate()
        .flat_map(|(at, pair)| [(pair.a, at), (pair.b, at)])
        .collect();
    fake.set_answer(move |body, call| {
        let messages = body["messages"].as_array();
        let last = messages.and_then(|messages| messages.last()?["content"].as_str());
        let of = last.and_then(|text| known.get(text).copied());
        Answer::text(prose(of.unwrap_or(100_000 + call)))
    });
}

/// A stage whose embedder answers.
async fn stage(policy: String) -> anyhow::Result<Stage> {
    stage_of(Launch::new(policy, "")).await
}

async fn stage_of(mut launch: Launch) -> anyhow::Result<Stage> {
    ensure!(
        std::env::var_os("LLMCACHE_MODEL_DIR").is_some(),
        "set LLMCACHE_MODEL_DIR to the folder that tests/setup/model.sh prints"
    );
    let fake = Fake::start(FakeConfig::default()).await?;
    answer_by_pair(&fake);
    launch.upstream = fake.url();
    let sidecar = launch.start().await?;
    let client = sidecar.client();
    let stage = Stage { fake, sidecar, client };
    wait_for_embedder(&stage.sidecar).await?;
    Ok(stage)
}

async fn wait_for_embedder(sidecar: &Sidecar) -> anyhow::Result<()> {
    eventually("the embedder", async || {
        let page = sidecar.admin().send(&Call::get("/metrics")).await;
        page.is_ok_and(|page| metric(&page.text(), "llmcache_embedder_up", &[]) > 0.0)
    })
    .await
}

/// Gives a word of feedback; the status it was answered with.
async fn feedback(client: &Client, request: &str, is_wrong: bool) -> anyhow::Result<u16> {
    let body = json!({"request": request, "wrong": is_wrong});
    let reply = client.send(&Call::post("/llmcache/feedback", body.to_string())).await?;
    Ok(reply.status.as_u16())
}

/// The request id of a reply.
fn id(reply: &Reply) -> &str {
    reply.header("x-llmcache-request-id")
}

/// The candidate id of a reply whose feedback is wanted.
fn candidate(reply: &Reply) -> Option<&str> {
    reply.header("x-llmcache-feedback").strip_prefix("wanted; candidate=")
}

/// Plays pairs with a right label each until a class is open and a paraphrase is served; gives the pairs left over.
async fn open(stage: &Stage) -> anyhow::Result<Vec<Pair>> {
    let mut left = pairs().into_iter();
    let mut labels = 0;
    while let Some(pair) = left.next() {
        stage.messages(&ask(&pair.a)).await?;
        let reply = stage.messages(&ask(&pair.b)).await?;
        if reply.is_hit() {
            return Ok(left.collect());
        }
        if candidate(&reply).is_some() {
            labels += 1;
            ensure!(
                feedback(&stage.client, id(&reply), false).await? == 202,
                "no word taken"
            );
        }
    }
    let page = stage.metrics().await?;
    Err(anyhow::anyhow!("closed after {labels} labels:\n{page}")).context("the class did not open")
}
