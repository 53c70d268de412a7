//! Questions that read alike and ask for something else, and the same question where it may not be answered alike: each
//! would be a wrong answer or a leak, so there is no hit.

use llmcache_tests::kit::{Call, Stage};
use serde_json::{Value, json};

use crate::{ask, candidate, enforced, open, stage};

const QUESTION: &str = "How do I return a broken lantern to the shop?";

fn with(text: &str, change: impl FnOnce(&mut Value)) -> Call {
    let mut body = ask(text);
    change(&mut body);
    Call::messages(&body)
}

/// Neither served nor drawn for a label.
async fn never_hits(stage: &Stage, what: &str, call: &Call) -> anyhow::Result<()> {
    let reply = stage.client.send(call).await?;
    assert_eq!(reply.status, 200, "{what}");
    assert!(
        !reply.is_hit() && candidate(&reply).is_none(),
        "{what}: {}",
        reply.header("x-llmcache-reason")
    );
    Ok(())
}

#[tokio::test]
async fn the_same_question_elsewhere_is_another_partition() {
    let stage = stage(enforced("")).await.unwrap();
    open(&stage).await.unwrap();
    stage.messages(&ask(QUESTION)).await.unwrap();
    let other = "How can I return a broken lantern to the shop?";
    let tool = json!([{"name": "look", "description": "d", "input_schema": {"type": "object"}}]);
    let turns = json!([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": other}]);
    let changed: [(&str, Call); 7] = [
        ("system", with(other, |body| body["system"] = json!("You sell boats."))),
        ("tools", with(other, |body| body["tools"] = tool)),
        (
            "end user",
            with(other, |body| body["metadata"] = json!({"user_id": "ann"})),
        ),
        ("history", with(other, |body| body["messages"] = turns)),
        ("model", with(other, |body| body["model"] = json!("claude-sonnet-5-5"))),
        ("bound", with(other, |body| body["max_tokens"] = json!(255))),
        ("credential", Call::messages(&ask(other)).header("x-api-key", "key-b")),
    ];
    for (what, call) in &changed {
        never_hits(&stage, what, call).await.unwrap();
    }
    assert!(
        hits(&stage, other).await.unwrap(),
        "the same question in its own partition is served"
    );
}

#[tokio::test]
async fn what_reads_alike_and_asks_for_something_else_is_vetoed() {
    let stage = stage(enforced("")).await.unwrap();
    open(&stage).await.unwrap();
    for (what, stored, asked) in [
        (
            "number",
            "Can I return a lantern after 30 days?",
            "Can I return a lantern after 90 days?",
        ),
        (
            "negation",
            "Is the blue oil safe for indoor use?",
            "Is the blue oil not safe for indoor use?",
        ),
        (
            "antonym",
            "How do I increase the flame of the lamp?",
            "How do I decrease the flame of the lamp?",
        ),
        (
            "entity",
            "How long does shipping to Norway take?",
            "How long does shipping to Spain take?",
        ),
        ("date", "Is the shop open on Monday?", "Is the shop open on Sunday?"),
        (
            "order",
            "Is the Fern brighter than the Moss?",
            "Is the Moss brighter than the Fern?",
        ),
        ("code", "What does `lamp_on` do?", "What does `lamp_off` do?"),
        ("question", "When do I refill the lamp?", "Why do I refill the lamp?"),
        ("language", "Where can I buy lamp oil?", "Wo kann ich Lampenöl kaufen?"),
    ] {
        stage.messages(&ask(stored)).await.unwrap();
        never_hits(&stage, what, &Call::messages(&ask(asked))).await.unwrap();
    }
}

/// Whether it is served within so many tries that not every one can have been drawn.
async fn hits(stage: &Stage, text: &str) -> anyhow::Result<bool> {
    for _ in 0..20 {
        if stage.messages(&ask(text)).await?.is_hit() {
            return Ok(true);
        }
    }
    Ok(false)
}
