use llmcache_operator::compile::compile;
use llmcache_operator::validate::load;
use serde_json::{Value, json};

use super::super::log;
use super::*;

fn snapshot(spec: &str) -> Snapshot {
    let text =
        format!("apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {{name: p}}\nspec: {spec}\n");
    compile(&load(&text).unwrap().policies[0].0)
}

fn call(spec: &str, endpoint: &str, request: &Value, response: &Value) -> Call {
    let (snapshot, prices) = (snapshot(spec), PriceTable::builtin());
    let line = json!({"time": "2026-05-04T10:00:00Z", "endpoint": endpoint, "request": request, "response": response});
    let reader = Reader {
        snapshot: &snapshot,
        prices: &prices,
    };
    reader.read(&log::read(&line.to_string()).unwrap())
}

fn chat(question: &str) -> Value {
    json!({"model": "gpt-6.2-sol", "user": "u1", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": question}]})
}

fn answer(text: &str) -> Value {
    json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "gpt-6.2-sol",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 0, "total_tokens": 1_000},
    })
}

const CHAT: &str = "/v1/chat/completions";

#[test]
fn requests_that_differ_in_the_question_share_a_partition_and_no_key() {
    let plan = |request: &Value| call("{}", CHAT, request, &Value::Null).plan.unwrap();
    let (one, two) = (plan(&chat("a b")), plan(&chat("c")));
    let (first, second) = (one.question.unwrap(), two.question.unwrap());
    assert_eq!((first.text.as_str(), second.text.as_str()), ("a b", "c"));
    assert_eq!(first.partition, second.partition);
    assert_ne!(one.key, two.key);
    let mut other = chat("c");
    other["model"] = "gpt-6-sol".into();
    assert_ne!(plan(&other).question.unwrap().partition, second.partition);
}

#[test]
fn end_users_are_told_apart_as_the_policy_says() {
    let mut other = chat("a");
    other["user"] = "u2".into();
    for (spec, is_shared) in [
        ("{scope: {endUsers: Separate}}", false),
        ("{scope: {endUsers: Shared}}", true),
    ] {
        let partition = |request: &Value| {
            let plan = call(spec, CHAT, request, &Value::Null).plan.unwrap();
            plan.question.unwrap().partition
        };
        assert_eq!(partition(&chat("a")) == partition(&other), is_shared, "{spec}");
    }
}

#[test]
fn what_no_cache_looks_at_has_the_word_of_the_metrics() {
    let reason = |spec, endpoint, request: &Value| call(spec, endpoint, request, &Value::Null).plan.unwrap_err();
    assert_eq!(reason("{}", "/v1/models", &json!({})), "endpoint");
    assert_eq!(
        reason("{}", "/v1/embeddings", &json!({"model": "m", "input": "a"})),
        "endpoint"
    );
    assert_eq!(reason("{}", CHAT, &json!({})), "no_model");
    assert_eq!(
        reason("{}", "/v1/responses", &json!({"model": "m", "input": "a"})),
        "stored_response"
    );
    assert_eq!(reason("{resultCache: {sampled: Never}}", CHAT, &chat("a")), "sampled");
    let mut talk = chat("a");
    talk["messages"][1]["role"] = "assistant".into();
    let plan = call("{}", CHAT, &talk, &Value::Null).plan.unwrap();
    assert_eq!(plan.question.unwrap_err(), "last_turn");
}

#[test]
fn the_first_class_that_matches_is_chosen_by_keyword_and_model() {
    let spec = "{ttlClasses: [{name: x, ttl: 1h, match: {anyKeyword: [parcel]}}, {name: house, ttl: 1h, match: {model: 'gpt-*'}}]}";
    let class = |question| call(spec, CHAT, &chat(question), &Value::Null).plan.unwrap().class;
    assert_eq!((class("My PARCEL?"), class("hello")), (0, 1));
}

#[test]
fn answers_are_priced_by_usage_or_by_their_prompt() {
    let of = |response: &Value| call("{}", CHAT, &chat("a"), response).answer;
    let price = PriceTable::builtin();
    let at = "2026-05-04T10:00:00Z".parse().unwrap();
    let (input, _) = price
        .list_price(llmcache_sidecar::provider::Provider::OpenAi, "gpt-6.2-sol", at)
        .unwrap();
    let known = of(&answer("Yes."));
    // A thousand tokens at so many pico-dollars each.
    assert_eq!(known.cost.nano, Nano(i128::from(input)));
    assert_eq!(
        (known.is_kept, known.cost.is_estimate, known.closed.as_deref()),
        (true, false, Some("Yes."))
    );
    let prose = of(&answer("You may return it within thirty days of the purchase."));
    assert_eq!((prose.is_kept, prose.closed), (true, None));
    let unknown = of(&Value::Null);
    assert!(unknown.is_kept && unknown.cost.is_estimate && unknown.cost.nano > Nano::ZERO);
    let mut cut = answer("Yes");
    cut["choices"][0]["finish_reason"] = "length".into();
    assert!(!of(&cut).is_kept);
    let failed = of(&json!({"error": {"message": "no", "type": "server_error"}}));
    assert!(!failed.is_kept);
    let mut request = chat("a");
    request["model"] = "nobody's".into();
    assert!(call("{}", CHAT, &request, &Value::Null).answer.cost.is_partial);
}
