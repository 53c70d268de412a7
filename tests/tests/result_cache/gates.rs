//! What is never stored, and the counted reason.

use llmcache_tests::fake::{Answer, Fault, Trouble};
use llmcache_tests::kit::{Call, Reply, Stage};
use serde_json::json;

use crate::endpoints::Endpoint;
use crate::{ask, cached, cached_with, reason, streamed};

/// Asks twice under one fault or answer; neither may be a hit. Gives the first reply.
async fn never_stored(stage: &Stage, call: &Call, fault: Option<Trouble>) -> anyhow::Result<Reply> {
    if let Some(trouble) = fault {
        stage.fake.script(Fault::new(trouble));
    }
    let first = stage.client.send(call).await?;
    let second = stage.client.send(call).await?;
    anyhow::ensure!(!second.is_hit(), "stored: {}", first.text());
    Ok(first)
}

/// How often a layer gave this reason, as the metrics page writes it.
async fn counted(stage: &Stage, layer: &str, word: &str) -> anyhow::Result<u64> {
    let page = stage.metrics().await?;
    let (layer, word) = (format!("layer=\"{layer}\""), format!("reason=\"{word}\""));
    let mut samples = page
        .lines()
        .filter(|line| line.starts_with("llmcache_bypass_total{") && line.contains(&layer) && line.contains(&word));
    let value = samples.next().and_then(|line| line.rsplit_once(' '));
    Ok(value.map_or(Ok(0), |(_, value)| value.parse())?)
}

#[tokio::test]
async fn unfinished_answers_are_not_stored() {
    let stage = Stage::start(cached("")).await.unwrap();
    for (word, trouble) in [
        ("truncated", Trouble::Truncated(1)),
        ("refused", Trouble::Refusal),
        ("empty", Trouble::Empty),
    ] {
        for endpoint in Endpoint::ALL {
            let before = counted(&stage, "store", word).await.unwrap();
            let call = endpoint.call(&endpoint.body(word));
            let reply = never_stored(&stage, &call, Some(trouble.clone())).await.unwrap();
            assert_eq!(reason(&reply, "store"), word, "{endpoint:?}: {}", reply.text());
            let body = streamed(endpoint.body(&format!("{word} stream")));
            never_stored(&stage, &endpoint.call(&body), Some(trouble.clone()))
                .await
                .unwrap();
            assert_eq!(
                counted(&stage, "store", word).await.unwrap(),
                before + 2,
                "{endpoint:?} {word}"
            );
        }
    }
}

#[tokio::test]
async fn errors_and_cut_streams_are_not_stored() {
    let stage = Stage::start(cached("")).await.unwrap();
    for endpoint in Endpoint::ALL {
        for status in [400, 401, 429, 500, 529] {
            let call = endpoint.call(&endpoint.body(&format!("status {status}")));
            let trouble = Trouble::Status {
                status,
                code: None,
                retry_after: None,
            };
            let reply = never_stored(&stage, &call, Some(trouble)).await.unwrap();
            assert_eq!(reply.status.as_u16(), status);
        }
        for trouble in [Trouble::CutAfter(2), Trouble::ErrorEventAfter(2)] {
            let call = endpoint.call(&streamed(endpoint.body(&format!("{trouble:?}"))));
            let reply = never_stored(&stage, &call, Some(trouble)).await.unwrap();
            assert!(reply.text().contains("error"), "{endpoint:?}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn tool_answers_are_stored_where_the_policy_says_so() {
    let mut body = ask("call");
    body["tools"] = json!([{"name": "look", "input_schema": {"type": "object"}}]);
    for (members, is_stored) in [("", false), ("toolAnswers: Store", true)] {
        let stage = Stage::start(cached(members)).await.unwrap();
        stage.fake.set_answer(|_, _| Answer::tool("look", json!({"at": 1})));
        let first = stage.messages(&body).await.unwrap();
        assert_eq!(reason(&first, "store"), if is_stored { "" } else { "tool_use" });
        assert_eq!(stage.messages(&body).await.unwrap().is_hit(), is_stored, "{members}");
    }
}

#[tokio::test]
async fn requests_without_a_key_are_bypassed_with_their_reason() {
    let stage = Stage::start(cached("")).await.unwrap();
    let mut hosted = ask("hosted");
    hosted["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    let mut unknown = ask("unknown");
    unknown["a_field_of_tomorrow"] = json!(1);
    let stored = json!({"model": "gpt-6-luna", "input": "kept"});
    let duplicate = Call::messages(&ask("")).body(
        r#"{"model":"claude-haiku-5-5","max_tokens":9,"messages":[{"role":"user","content":"a","content":"b"}]}"#,
    );
    for (call, word) in [
        (Call::messages(&hosted), "hosted_tool"),
        (Call::messages(&unknown), "unknown_field"),
        (duplicate, "duplicate_member"),
        (Call::responses(&stored), "stored_response"),
    ] {
        let reply = never_stored(&stage, &call, None).await.unwrap();
        assert_eq!(reply.cache_status(), format!("llmcache; fwd=bypass; detail={word}"));
        assert_eq!(counted(&stage, "result_cache", word).await.unwrap(), 2, "{word}");
    }
    let stage = Stage::start(cached("storedResponses: Serve")).await.unwrap();
    stage.client.send(&Call::responses(&stored)).await.unwrap();
    assert!(stage.client.send(&Call::responses(&stored)).await.unwrap().is_hit());
}

#[tokio::test]
async fn too_large_an_answer_is_not_stored() {
    let stage = Stage::start(cached("maxEntry: 1Ki")).await.unwrap();
    stage
        .fake
        .set_answer(|_, _| Answer::text("x".repeat(1_000)).with_tokens());
    for body in [ask("large"), streamed(ask("large stream"))] {
        never_stored(&stage, &Call::messages(&body), None).await.unwrap();
    }
    assert_eq!(counted(&stage, "store", "too_large").await.unwrap(), 4);
}

/// Reports few tokens, so that no token limit cuts a long answer.
trait WithTokens {
    fn with_tokens(self) -> Self;
}

impl WithTokens for Answer {
    fn with_tokens(mut self) -> Self {
        self.output_tokens = Some(10);
        self
    }
}

#[tokio::test]
async fn tags_out_of_bounds_keep_the_answer_out() {
    let stage = Stage::start(cached("")).await.unwrap();
    let many = vec!["t"; 17].join(",");
    for tags in [&*many, "a*", &"x".repeat(129), "caf\u{e9}"] {
        let call = Call::messages(&ask(tags)).header("x-llmcache-tags", tags);
        let reply = never_stored(&stage, &call, None).await.unwrap();
        assert_eq!(reason(&reply, "store"), "tags", "{tags}");
    }
    let most = vec!["t"; 16].join(", ");
    let call = Call::messages(&ask("most")).header("x-llmcache-tags", &most);
    stage.client.send(&call).await.unwrap();
    assert!(stage.client.send(&call).await.unwrap().is_hit());
}

#[tokio::test]
async fn sampled_requests_are_cached_as_the_policy_says() {
    let mut bodies = [0, 1, 2].map(|n| Endpoint::Chat.body(&format!("sampled {n}")));
    bodies[1]["seed"] = json!(7);
    bodies[2]["temperature"] = json!(0);
    for (sampled, hits) in [
        ("Always", [true, true, true]),
        ("SeedOrZero", [false, true, true]),
        ("Never", [false, false, true]),
    ] {
        let stage = Stage::start(cached(&format!("sampled: {sampled}"))).await.unwrap();
        for (body, is_hit) in bodies.iter().zip(hits) {
            stage.client.send(&Call::chat(body)).await.unwrap();
            let second = stage.client.send(&Call::chat(body)).await.unwrap();
            assert_eq!(second.is_hit(), is_hit, "{sampled} {body}");
        }
    }
}

#[tokio::test]
async fn repeat_goes_upstream_within_the_window_and_a_retry_does_not() {
    let stage = Stage::start(cached("repeatWindow: 60s")).await.unwrap();
    let call = Call::messages(&ask("again"));
    stage.client.send(&call).await.unwrap();
    let retry = call.clone().header("x-stainless-retry-count", "1");
    assert!(stage.client.send(&retry).await.unwrap().is_hit());
    let repeat = stage.client.send(&call).await.unwrap();
    assert_eq!(repeat.cache_status(), "llmcache; fwd=miss; stored");
    let hit = stage.client.send(&retry).await.unwrap();
    assert!(hit.is_hit() && hit.text().contains("#2"), "{}", hit.text());
}

#[tokio::test]
async fn thinking_is_served_to_byte_equal_prompts_of_its_credential_alone() {
    let stage = Stage::start(cached_with("", "  scope: {share: Namespace}"))
        .await
        .unwrap();
    stage
        .fake
        .set_answer(|_, _| Answer::text("The end").thinking("Deep thought"));
    let written = r#"{"model":"claude-sonnet-5-5","max_tokens":2048,"messages":[{"role":"user","content":"think"}]}"#;
    let spaced = r#"{"model":"claude-sonnet-5-5","max_tokens":2048,"messages":[{"content":"think", "role":"user"}]}"#;
    let call = Call::messages(&ask(""));
    let first = stage.client.send(&call.clone().body(written)).await.unwrap();
    assert!(first.text().contains("Deep thought"), "{}", first.text());
    for (call, has_thinking) in [
        (call.clone().body(written), true),
        (call.clone().body(spaced), false),
        (call.body(written).header("x-api-key", "key-b"), false),
    ] {
        let hit = stage.client.send(&call).await.unwrap();
        assert!(
            hit.is_hit() && hit.text().contains("The end"),
            "{} {}",
            hit.cache_status(),
            hit.text()
        );
        assert_eq!(hit.text().contains("Deep thought"), has_thinking);
    }
}
