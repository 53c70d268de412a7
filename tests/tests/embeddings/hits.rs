//! Which items are asked for, and that every answer is the provider's own.

use llmcache_tests::kit::{Call, Stage};
use serde_json::{Value, json};

use crate::{MODEL, asked, assert_true, cached, cached_with, embed, send, tokens};

#[tokio::test]
async fn only_missing_items_are_asked_and_the_answer_is_in_the_callers_order() {
    let stage = Stage::start(cached()).await.unwrap();
    let first = embed(&json!(["one", "two"]));
    let miss = send(&stage, &first).await;
    assert_eq!(miss.cache_status(), "llmcache; fwd=miss; stored");
    let second = embed(&json!(["three", "two", "four", "one"]));
    let part = send(&stage, &second).await;
    assert_eq!(part.cache_status(), "llmcache; fwd=miss; stored; detail=partial");
    assert!(part.header("x-llmcache-reason").ends_with("result_cache=partial"));
    let third = embed(&json!(["four", "three", "two", "one"]));
    let hit = send(&stage, &third).await;
    assert!(hit.is_hit(), "{}", hit.cache_status());
    assert_eq!(asked(&stage), [json!(["one", "two"]), json!(["three", "four"])]);
    for (body, reply) in [(first, miss), (second, part), (third, hit)] {
        assert_true(&body, &reply.json().unwrap()).await;
    }
}

#[tokio::test]
async fn request_whose_items_all_miss_goes_byte_for_byte() {
    let stage = Stage::start(cached()).await.unwrap();
    let bytes = format!(r#"{{ "input":[ "on\u0065" ,"two"], "model" : "{MODEL}","user":"u" }}"#);
    let call = Call::embeddings(&json!({})).body(bytes.clone());
    stage.client.send(&call).await.unwrap();
    assert_eq!(stage.fake.log()[0].body, bytes.as_bytes());
    let more = bytes.replace(r#" ,"two""#, r#" ,"two", "thr\u0065e""#);
    stage.client.send(&call.body(more.clone())).await.unwrap();
    let expected = more.replace(r#"[ "on\u0065" ,"two", "thr\u0065e"]"#, r#"["thr\u0065e"]"#);
    assert_eq!(stage.fake.log()[1].body, expected.as_bytes());
}

#[tokio::test]
async fn repeated_items_are_asked_once() {
    let stage = Stage::start(cached()).await.unwrap();
    let body = embed(&json!(["one", "two", "one", "one"]));
    let miss = send(&stage, &body).await;
    assert_eq!(miss.cache_status(), "llmcache; fwd=miss; stored");
    let hit = send(&stage, &body).await;
    assert!(hit.is_hit());
    assert_eq!(asked(&stage), [json!(["one", "two"])]);
    for reply in [miss, hit] {
        let answer = reply.json().unwrap();
        assert_true(&body, &answer).await;
        assert_eq!(tokens(&answer), 4, "as the provider would have counted");
    }
}

#[tokio::test]
async fn form_length_model_and_spelling_have_entries_of_their_own() {
    let stage = Stage::start(cached()).await.unwrap();
    let with = |field: &str, value: Value| {
        let mut body = embed(&json!("one"));
        body[field] = value;
        body
    };
    let all = [
        embed(&json!("one")),
        with("encoding_format", json!("float")),
        with("encoding_format", json!("base64")),
        with("dimensions", json!(9)),
        with("model", json!("text-embedding-3-large")),
        json!({"model": MODEL, "input": "one"}),
        embed(&json!("One")),
        embed(&json!("one ")),
        embed(&json!([1, 2])),
        embed(&json!([12])),
        embed(&json!("[1,2]")),
        embed(&json!([[2, 1]])),
    ];
    for (number, body) in all.iter().enumerate() {
        let miss = send(&stage, body).await;
        assert!(!miss.is_hit(), "{body}");
        assert_eq!(stage.fake.calls(), number + 1);
    }
    for body in &all {
        let hit = send(&stage, body).await;
        assert!(hit.is_hit(), "{body}");
        assert_true(body, &hit.json().unwrap()).await;
    }
}

#[tokio::test]
async fn item_is_the_same_however_it_is_asked_for() {
    let stage = Stage::start(cached_with("", "  scope: {endUsers: Shared}"))
        .await
        .unwrap();
    send(&stage, &embed(&json!("one"))).await;
    send(&stage, &embed(&json!([7, 8]))).await;
    for (input, user) in [(json!(["one"]), "a"), (json!("one"), "b"), (json!([[7, 8]]), "c")] {
        let mut body = embed(&input);
        body["user"] = json!(user);
        let hit = send(&stage, &body).await;
        assert!(hit.is_hit(), "{body}");
        assert_true(&body, &hit.json().unwrap()).await;
    }
}

#[tokio::test]
async fn both_forms_are_merged_as_the_provider_writes_them() {
    let stage = Stage::start(cached()).await.unwrap();
    for format in ["float", "base64"] {
        for input in [
            json!(["one", "two"]),
            json!(["two", "three"]),
            json!([[1, 2], [3]]),
            json!([[3], [4]]),
        ] {
            let mut body = embed(&input);
            body["encoding_format"] = json!(format);
            let reply = send(&stage, &body).await;
            let answer = reply.json().unwrap();
            assert_true(&body, &answer).await;
            assert_eq!(answer["data"][1]["embedding"].is_string(), format == "base64");
        }
    }
    assert_eq!(stage.fake.log().len(), 8);
}

#[tokio::test]
async fn usage_is_stored_shares_and_what_the_provider_billed() {
    let stage = Stage::start(cached()).await.unwrap();
    let texts: Vec<String> = (1..20).map(|n| "some words ".repeat(n)).collect();
    let whole = tokens(&send(&stage, &embed(&json!(texts))).await.json().unwrap());
    assert_eq!(stage.fake.bill().total.tokens.input, whole);
    let mut sum = 0;
    for text in &texts {
        let hit = send(&stage, &embed(&json!(text))).await;
        assert!(hit.is_hit());
        sum += tokens(&hit.json().unwrap());
    }
    assert_eq!(sum, whole, "the shares of a batch sum to its bill");
    let mixed = [&texts[..5], &["new words".to_owned()]].concat();
    let answer = send(&stage, &embed(&json!(mixed))).await.json().unwrap();
    let stored = tokens(&send(&stage, &embed(&json!(texts[..5]))).await.json().unwrap());
    let billed = stage.fake.bill().total.tokens.input - whole;
    assert_eq!(tokens(&answer), stored + billed);
}

#[tokio::test]
async fn batch_of_2048_is_one_request_and_then_none() {
    let stage = Stage::start(cached()).await.unwrap();
    let texts: Vec<String> = (0..2_048).map(|n| format!("item {n}")).collect();
    let body = embed(&json!(texts));
    send(&stage, &embed(&json!(texts[1_024..]))).await;
    for is_hit in [false, true] {
        let reply = send(&stage, &body).await;
        assert_eq!(reply.is_hit(), is_hit, "{}", reply.cache_status());
        assert_true(&body, &reply.json().unwrap()).await;
    }
    assert_eq!(asked(&stage)[1], json!(texts[..1_024]));
    assert_eq!(stage.fake.calls(), 2);
    let more: Vec<String> = (0..2_049).map(|n| format!("item {n}")).collect();
    let reply = send(&stage, &embed(&json!(more))).await;
    assert_eq!(reply.cache_status(), "llmcache; fwd=bypass; detail=too_many_items");
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn life_is_that_of_embeddings() {
    let classes = "  ttlClasses: [{name: dynamic, ttl: 1h}]";
    let stage = Stage::start(cached_with("embeddings: {ttl: 200h}, maxAge: 2h", classes))
        .await
        .unwrap();
    send(&stage, &embed(&json!("one"))).await;
    let hit = send(&stage, &embed(&json!("one"))).await;
    let ttl = hit.cache_status().strip_prefix("llmcache; hit; ttl=").unwrap();
    let ttl: u64 = ttl.strip_suffix("; detail=result").unwrap().parse().unwrap();
    assert!((719_900..=720_000).contains(&ttl), "{ttl}");
    assert!(hit.header("age").parse::<u64>().unwrap() < 100);
    assert_eq!(hit.header("content-type"), "application/json");
    assert!(hit.header("x-request-id").starts_with("lc_"));
    let stage = Stage::start(cached_with("embeddings: {ttl: 1s}", "")).await.unwrap();
    send(&stage, &embed(&json!("one"))).await;
    llmcache_tests::kit::eventually("the entry ends", async || {
        !send(&stage, &embed(&json!("one"))).await.is_hit()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_cannot_be_taken_apart_goes_through() {
    let stage = Stage::start(cached()).await.unwrap();
    for (input, reason) in [
        (json!([]), "unknown_block"),
        (json!([[]]), "unknown_block"),
        (json!(["a", 1]), "unknown_block"),
        (json!([{"image": "x"}]), "unknown_block"),
    ] {
        let reply = send(&stage, &embed(&input)).await;
        assert_eq!(
            reply.cache_status(),
            format!("llmcache; fwd=bypass; detail={reason}"),
            "{input}"
        );
    }
    let mut odd = embed(&json!("one"));
    odd["input_type"] = json!("query");
    let reply = send(&stage, &odd).await;
    assert_eq!(reply.cache_status(), "llmcache; fwd=bypass; detail=unknown_field");
    let dialect = "  upstreams: {openai: {dialect: Compatible}}";
    let compatible = Stage::start(cached_with("", dialect)).await.unwrap();
    send(&compatible, &odd).await;
    assert!(
        send(&compatible, &odd).await.is_hit(),
        "what a compatible server adds is in the key"
    );
    odd["input_type"] = json!("passage");
    assert!(!send(&compatible, &odd).await.is_hit());
    let reply = send(&stage, &json!({"model": MODEL})).await;
    assert_eq!(reply.cache_status(), "llmcache; fwd=bypass; detail=wrong_type");
}
