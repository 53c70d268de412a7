//! Calls that end before their end: estimated, bounded, and in the ledger once.

use std::time::Duration;

use http_body_util::BodyExt;
use llmcache_tests::fake::{Answer, End, FakeConfig, Fault, Trouble};
use llmcache_tests::kit::{Call, Stage, eventually, policy};
use serde_json::{Value, json};

use super::{assert_adds_up, nanos};

fn ask(stream: bool) -> Call {
    let text = "Please tell me everything there is to know about the history of the shop. ".repeat(20);
    Call::messages(
        &json!({"model": "claude-sonnet-5-5", "max_tokens": 4_000, "stream": stream,
        "messages": [{"role": "user", "content": text}]}),
    )
}

async fn stage(token: Duration, think: Duration) -> Stage {
    let fake = FakeConfig {
        token,
        think,
        ..FakeConfig::default()
    };
    let stage = Stage::start_with(
        policy("  resultCache: {mode: Enforce}\n  promptCache: {mode: Disabled}"),
        fake,
        [],
    )
    .await
    .unwrap();
    stage
        .fake
        .set_answer(|_, _| Answer::text("a word of many ".repeat(400)));
    stage
}

/// The one line of the ledger, once it is there.
async fn line(stage: &Stage) -> Value {
    let account = async || stage.client.account().await.unwrap();
    eventually("the call is accounted", async || {
        account().await["requests"]["total"] == 1
    })
    .await
    .unwrap();
    account().await["recent"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cancelled_in_its_middle_is_estimated_from_what_was_passed_on() {
    let stage = stage(Duration::from_millis(5), Duration::ZERO).await;
    let mut body = stage.client.open(&ask(true)).await.unwrap().into_body();
    for _ in 0..12 {
        body.frame().await.unwrap().unwrap();
    }
    drop(body);
    let line = line(&stage).await;
    assert_eq!(
        (&line["estimated"], &line["stored"], &line["reason"]),
        (&json!(true), &json!(false), &json!("cancelled"))
    );
    assert_adds_up(&line["usd"]);
    eventually("the provider has seen the end", async || {
        !stage.fake.bill().lines.is_empty()
    })
    .await
    .unwrap();
    let bill = stage.fake.bill().lines[0].clone();
    assert_eq!(bill.end, End::Cancelled);
    let (actual, billed) = (nanos(&line["usd"]["actual"]), i128::from(bill.nanos));
    assert!(
        actual > 0 && actual <= billed * 2 && billed <= actual * 2,
        "estimated {actual}, billed {billed}"
    );
    assert_eq!(
        line["usage"]["input"],
        bill.tokens.prompt(),
        "the prompt's count had been reported"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_cancelled_before_its_answer_is_estimated_by_its_prompt() {
    let stage = stage(Duration::ZERO, Duration::from_secs(30)).await;
    let client = stage.client.clone();
    let waiting = tokio::spawn(async move { client.send(&ask(false)).await });
    eventually("the provider has the call", async || stage.fake.received() == 1)
        .await
        .unwrap();
    waiting.abort();
    let line = line(&stage).await;
    assert_eq!(
        (&line["estimated"], &line["reason"]),
        (&json!(true), &json!("cancelled"))
    );
    let input = line["usage"]["input"].as_u64().unwrap();
    assert!(
        (300..=500).contains(&input),
        "20 sentences of 75 bytes are about 375 tokens: {input}"
    );
    assert_adds_up(&line["usd"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_the_provider_cuts_is_estimated_and_said_so() {
    let stage = stage(Duration::ZERO, Duration::ZERO).await;
    stage.fake.script(Fault::new(Trouble::CutAfter(8)));
    let reply = stage.client.send(&ask(true)).await.unwrap();
    assert!(reply.text().contains("event: error"), "{}", reply.text());
    let line = line(&stage).await;
    assert_eq!(
        (&line["estimated"], &line["reason"]),
        (&json!(true), &json!("upstream_cut"))
    );
    assert!(nanos(&line["usd"]["actual"]) > 0);
}
