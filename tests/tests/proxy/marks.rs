//! Where marks go: golden cases of the `Always` strategy, and what the other settings do.

use llmcache_tests::kit::Call;
use serde_json::{Value, json};

use crate::setup::{ALWAYS, Shop};

const HOUR: &str = "  promptCache: {strategy: Always, ttl: 1h}\n  resultCache: {mode: Disabled}";

/// Well over the minimum of every model named here.
fn long(seed: &str) -> String {
    format!("{seed} ").repeat(5_000 / (seed.len() + 1))
}

fn text(seed: &str) -> Value {
    json!({"type": "text", "text": long(seed)})
}

fn marked(seed: &str, ttl: &str) -> Value {
    json!({"type": "text", "text": long(seed), "cache_control": {"type": "ephemeral", "ttl": ttl}})
}

fn tool(name: &str) -> Value {
    json!({"name": name, "description": long(name), "input_schema": {"type": "object"}})
}

/// A request of the model with these members.
fn request(model: &str, members: impl Into<Value>) -> Value {
    let mut request = json!({"model": model, "max_tokens": 64});
    if let (Value::Object(request), Value::Object(members)) = (&mut request, members.into()) {
        request.extend(members);
    }
    request
}

fn user(content: impl Into<Value>) -> Value {
    json!({"role": "user", "content": content.into()})
}

fn assistant(content: impl Into<Value>) -> Value {
    json!({"role": "assistant", "content": content.into()})
}

/// Two turns of the user, the first as given.
fn turns(first: impl Into<Value>) -> Value {
    json!([
        user(json!([first.into()])),
        assistant(json!("yes")),
        user(json!([text("two")]))
    ])
}

/// Every mark as `path=ttl`, in the order of the body.
fn marks(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(mark) = members.get("cache_control") {
                found.push(format!("{path}={}", mark["ttl"].as_str().unwrap_or("5m")));
            }
            for (name, value) in members {
                marks(value, &format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                marks(value, &format!("{path}/{at}"), found);
            }
        }
        _ => {}
    }
}

/// Sends it; the provider accepts it, and these are the marks it saw.
async fn seen(shop: &Shop, body: &Value) -> anyhow::Result<Vec<String>> {
    let reply = shop.client.send(&Call::messages(body)).await?;
    anyhow::ensure!(reply.status == 200, "{body}: {}", reply.text());
    let mut found = Vec::new();
    marks(&shop.last()?.json(), "", &mut found);
    found.sort();
    Ok(found)
}

async fn check(spec: &str, cases: &[(&str, Value, &[&str])]) -> anyhow::Result<()> {
    let shop = Shop::open(spec).await?;
    for (case, body, expected) in cases {
        assert_eq!(seen(&shop, body).await?, *expected, "{case}");
    }
    Ok(())
}

#[tokio::test]
async fn tools_system_and_tail_are_marked() -> anyhow::Result<()> {
    let model = "claude-sonnet-5-5";
    check(
        ALWAYS,
        &[
            (
                "everything in blocks",
                request(
                    model,
                    json!({"tools": [tool("a"), tool("b")], "system": [text("s"), text("t")],
                        "messages": [user(json!([text("one"), text("two")]))]}),
                ),
                &["/messages/0/content/1=5m", "/system/1=5m", "/tools/1=5m"],
            ),
            (
                "the user's turn before is an anchor",
                request(
                    model,
                    json!({"messages": [user(json!([text("one")])), assistant(json!("yes")), user(json!([text("two")]))]}),
                ),
                &["/messages/0/content/0=5m", "/messages/2/content/0=5m"],
            ),
            (
                "a tail string gets the top-level mark",
                request(model, json!({"messages": [user(json!(long("one")))]})),
                &["=5m"],
            ),
        ],
    )
    .await
}

#[tokio::test]
async fn a_system_string_becomes_a_block_only_where_nothing_can_think() -> anyhow::Result<()> {
    let model = "claude-sonnet-5-5";
    check(
        ALWAYS,
        &[
            (
                "a string of a model that thinks stays a string",
                request(model, json!({"system": long("s"), "messages": [user(json!([text("one")]))]})),
                &["/messages/0/content/0=5m"],
            ),
            (
                "a system string of a model that does not think becomes a block",
                request(
                    "claude-sonnet-4-6",
                    json!({"system": long("s"), "messages": [user(json!([text("one")]))]}),
                ),
                &["/messages/0/content/0=5m", "/system/0=5m"],
            ),
            (
                "unless this request lets it think",
                request(
                    "claude-sonnet-4-6",
                    json!({"thinking": {"type": "adaptive"}, "system": long("s"), "messages": [user(json!([text("one")]))]}),
                ),
                &["/messages/0/content/0=5m"],
            ),
            (
                "or the history holds thinking",
                request(
                    "claude-sonnet-4-6",
                    json!({"system": long("s"), "messages": [user(json!("hi")), assistant(json!([
                        {"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "text", "text": "a"}])),
                        user(json!([text("one")]))]}),
                ),
                &["/messages/2/content/0=5m"],
            ),
            (
                "or it is Claude Code's",
                request(
                    "claude-sonnet-4-6",
                    json!({"system": format!("You are Claude Code, Anthropic's official CLI for Claude. {}", long("s")),
                        "messages": [user(json!([text("one")]))]}),
                ),
                &["/messages/0/content/0=5m"],
            ),
        ],
    )
    .await
}

#[tokio::test]
async fn what_cannot_carry_a_mark_or_is_too_short_gets_none() -> anyhow::Result<()> {
    let search = json!({"type": "web_search_20260318", "name": "web_search"});
    check(
        ALWAYS,
        &[
            (
                "below the minimum",
                request(
                    "claude-sonnet-5-5",
                    json!({"system": [{"type": "text", "text": "short"}], "messages": [user(json!("hi"))]}),
                ),
                &[],
            ),
            (
                "below this model's minimum",
                request(
                    "claude-haiku-4-5-20251001",
                    json!({"messages": [user(json!([text("one")]))]}),
                ),
                &[],
            ),
            (
                "an empty text block, so the block before it",
                request(
                    "claude-sonnet-5-5",
                    json!({"messages": [user(json!([text("one"), {"type": "text", "text": ""}]))]}),
                ),
                &["/messages/0/content/0=5m"],
            ),
            (
                "a prefill of the assistant",
                request(
                    "claude-sonnet-4-5-20250929",
                    json!({"messages": [user(json!([text("one")])), assistant(json!([text("so")]))]}),
                ),
                &["/messages/0/content/0=5m"],
            ),
            (
                "no first mark with server tools",
                request(
                    "claude-sonnet-5-5",
                    json!({"tools": [search], "messages": [user(json!([text("one")]))]}),
                ),
                &[],
            ),
            (
                "with the client's own mark there may be more",
                request(
                    "claude-sonnet-5-5",
                    json!({"tools": [search], "system": [marked("s", "5m")], "messages": [user(json!([text("one")]))]}),
                ),
                &["/messages/0/content/0=5m", "/system/0=5m"],
            ),
        ],
    )
    .await
}

#[tokio::test]
async fn the_clients_own_marks_count_and_set_the_order_of_lives() -> anyhow::Result<()> {
    let model = "claude-sonnet-5-5";
    let full = json!([
        marked("a", "5m"),
        marked("b", "5m"),
        marked("c", "5m"),
        marked("d", "5m"),
        text("e")
    ]);
    check(
        ALWAYS,
        &[
            (
                "four of the client's leave no room",
                request(model, json!({"system": [text("s")], "messages": [user(full)]})),
                &[
                    "/messages/0/content/0=5m",
                    "/messages/0/content/1=5m",
                    "/messages/0/content/2=5m",
                    "/messages/0/content/3=5m",
                ],
            ),
            (
                "a marked system gets no second mark",
                request(model, json!({"system": [marked("s", "5m"), text("t")], "messages": turns(text("one"))})),
                &["/messages/0/content/0=5m", "/messages/2/content/0=5m", "/system/0=5m"],
            ),
            (
                "no five minutes before the client's hour",
                request(model, json!({"tools": [tool("a")], "system": [text("s")], "messages": turns(marked("one", "1h"))})),
                &["/messages/0/content/0=1h", "/messages/2/content/0=5m"],
            ),
            (
                "the client's own tail mark is enough",
                request(
                    model,
                    json!({"cache_control": {"type": "ephemeral"}, "system": [text("s")], "messages": [user(json!([text("one")]))]}),
                ),
                &["/system/0=5m", "=5m"],
            ),
            (
                "a top-level hour forbids five minutes before it",
                request(
                    model,
                    json!({"cache_control": {"type": "ephemeral", "ttl": "1h"}, "system": [text("s")], "messages": turns(text("one"))}),
                ),
                &["=1h"],
            ),
        ],
    )
    .await
}

#[tokio::test]
async fn hours_come_before_five_minutes() -> anyhow::Result<()> {
    let model = "claude-sonnet-5-5";
    check(
        HOUR,
        &[
            (
                "hours before the client's five minutes, five minutes after",
                request(
                    model,
                    json!({"system": [text("s")], "messages": turns(marked("one", "5m"))}),
                ),
                &["/messages/0/content/0=5m", "/messages/2/content/0=5m", "/system/0=1h"],
            ),
            (
                "hours alone",
                request(model, json!({"tools": [tool("a")], "messages": turns(text("one"))})),
                &["/messages/0/content/0=1h", "/messages/2/content/0=1h", "/tools/0=1h"],
            ),
            (
                "the block that the client's top-level mark falls on keeps its life",
                request(
                    model,
                    json!({"cache_control": {"type": "ephemeral"},
                        "messages": [user(json!([text("one")])), assistant(json!([{"type": "text", "text": ""}])),
                            user(json!([{"type": "text", "text": ""}]))]}),
                ),
                &["=5m"],
            ),
        ],
    )
    .await
}

#[tokio::test]
async fn economic_marks_what_was_seen_before_and_other_modes_nothing() -> anyhow::Result<()> {
    let ask = |question: &str| {
        request(
            "claude-sonnet-5-5",
            json!({"system": [text("s")], "messages": [user(json!([text(question)]))]}),
        )
    };
    let economic = Shop::open("  resultCache: {mode: Disabled}").await?;
    assert!(seen(&economic, &ask("one")).await?.is_empty());
    assert_eq!(seen(&economic, &ask("two")).await?, ["/system/0=5m"]);
    assert_eq!(
        seen(&economic, &ask("one")).await?,
        ["/messages/0/content/0=5m", "/system/0=5m"]
    );
    let other = Call::messages(&ask("one")).header("x-api-key", "key-b");
    assert_eq!(economic.client.send(&other).await?.status, 200);
    let body = String::from_utf8(economic.last()?.body.to_vec())?;
    assert!(!body.contains("cache_control"), "another credential has seen nothing");
    for mode in ["Observe", "Disabled"] {
        let spec = format!("  promptCache: {{mode: {mode}, strategy: Always}}\n  resultCache: {{mode: Disabled}}");
        let shop = Shop::open(&spec).await?;
        for _ in 0..2 {
            assert!(seen(&shop, &ask("one")).await?.is_empty(), "{mode}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_token_count_is_never_marked() -> anyhow::Result<()> {
    let shop = Shop::open(ALWAYS).await?;
    let body = json!({"model": "claude-sonnet-5-5", "messages": [user(json!([text("one")]))]});
    let call = Call::post("/anthropic/v1/messages/count_tokens", body.to_string())
        .header("x-api-key", "key-a")
        .header("anthropic-version", "2023-06-01");
    assert_eq!(shop.client.send(&call).await?.status, 200);
    assert_eq!(shop.last()?.body, body.to_string());
    Ok(())
}
