//! Who does not want an equivalent answer gets none, and what nobody may keep is no neighbour.

use llmcache_tests::fake::{Answer, Fault, Part};
use llmcache_tests::kit::{Call, Reply, Stage};
use serde_json::json;

use crate::{Pair, ask, enforced, open, semantic, stage};

/// The word of this stage in `x-llmcache-reason`.
fn word(reply: &Reply) -> &str {
    let mut parts = reply.header("x-llmcache-reason").split("; ");
    parts
        .find_map(|part| part.strip_prefix("semantic_cache="))
        .unwrap_or_default()
}

/// Asks a pair's second wording until it is served; at the first it may be drawn.
async fn is_served(stage: &Stage, pair: &Pair, with: impl Fn(Call) -> Call) -> anyhow::Result<bool> {
    for _ in 0..20 {
        let reply = stage.client.send(&with(Call::messages(&ask(&pair.b)))).await?;
        if reply.is_hit() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test]
async fn a_client_can_refuse() {
    let stage = stage(enforced("")).await.unwrap();
    let left = open(&stage).await.unwrap();
    let served = left.iter().take(8);
    let mut shown = 0;
    for pair in served {
        stage.messages(&ask(&pair.a)).await.unwrap();
        for (name, value, said) in [
            ("x-llmcache-semantic", "off", "refused"),
            ("cache-control", "no-cache", "no_cache"),
        ] {
            let call = Call::messages(&ask(&pair.b)).header(name, value);
            let reply = stage.client.send(&call).await.unwrap();
            assert!(!reply.is_hit(), "{name}");
            assert_eq!(word(&reply), said, "{name}: {}", reply.header("x-llmcache-reason"));
        }
        shown += usize::from(is_served(&stage, pair, |call| call).await.unwrap());
    }
    assert!(shown > 4, "{shown} of 8");
    let sent = stage.fake.log();
    assert!(
        sent.iter()
            .all(|received| !received.headers.contains_key("x-llmcache-semantic"))
    );
}

#[tokio::test]
async fn what_is_no_plain_question_is_left_alone() {
    let stage = stage(semantic("mode: Observe", "")).await.unwrap();
    let long = "word ".repeat(200);
    let image = json!([{"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]);
    for (content, said) in [(json!(long), "too_long"), (image, "media")] {
        let mut body = ask("");
        body["messages"][0]["content"] = content;
        assert_eq!(word(&stage.messages(&body).await.unwrap()), said);
    }
    let mut body = ask("How do I clean a lantern?");
    body["messages"] = json!([
        {"role": "user", "content": "How do I clean a lantern?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "soap"}]},
    ]);
    assert_eq!(word(&stage.messages(&body).await.unwrap()), "tool_result");
}

#[tokio::test]
async fn what_may_not_be_kept_is_no_neighbour() {
    let stage = stage(semantic("mode: Observe", "")).await.unwrap();
    let [one, other] = [
        "How do I trim the wick of my lantern?",
        "How can I trim my lantern's wick?",
    ];
    let tool = Answer {
        parts: vec![Part::Tool {
            name: "look".into(),
            input: json!({}),
            id: None,
        }],
        ..Answer::default()
    };
    stage.fake.script(Fault::status(400));
    stage.messages(&ask(one)).await.unwrap();
    stage
        .fake
        .script(Fault::new(llmcache_tests::fake::Trouble::Truncated(3)));
    stage.messages(&ask(one)).await.unwrap();
    stage.fake.set_answer(move |_, _| tool.clone());
    stage.messages(&ask(one)).await.unwrap();
    let no_store = Call::messages(&ask(one)).header("cache-control", "no-store");
    crate::answer_by_pair(&stage.fake);
    stage.client.send(&no_store).await.unwrap();
    assert_eq!(word(&stage.messages(&ask(other)).await.unwrap()), "none");
    assert_eq!(word(&stage.messages(&ask(one)).await.unwrap()), "drawn");
}
