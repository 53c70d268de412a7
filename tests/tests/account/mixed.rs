//! A mixed run: both providers, plain and streamed, hits, followers, rescues, fail-overs, marks of ours and theirs.

use llmcache_tests::fake::{Answer, Fault, Stop};
use llmcache_tests::kit::{Call, Stage, metric, policy};
use serde_json::{Value, json};

use super::{assert_adds_up, nanos, outcomes};

const SPEC: &str = r#"  resultCache: {mode: Enforce}
  promptCache: {strategy: Always}
  routing:
    requestModels: ["claude-sonnet-*", "claude-opus-*", "gpt-6*", "auto"]
    tiers:
      - {name: small, models: {anthropic: claude-haiku-5-5, openai: gpt-6-luna}}
      - {name: middle, models: {anthropic: claude-sonnet-5-5, openai: gpt-6.1-terra}}
    rules: [{tier: small, maxInputTokens: 12}]
    defaultTier: middle
    fallback: [small]"#;

/// A run in progress.
struct Run {
    stage: Stage,
    sent: u64,
}

impl Run {
    async fn send(&mut self, call: Call) -> String {
        self.sent += 1;
        let reply = self.stage.client.send(&call).await.unwrap();
        reply.header("x-llmcache-request-id").to_owned()
    }

    /// One round of every kind of request; `n` keeps its prompts apart from other rounds'.
    async fn round(&mut self, n: usize) {
        self.anthropic(n).await;
        self.marked_by_client(n).await;
        self.openai(n).await;
        self.detours(n).await;
        self.followers(n).await;
    }

    async fn anthropic(&mut self, n: usize) {
        let short = json!({"model": "claude-opus-5-5", "max_tokens": 64, "messages": [user(&format!("hi {n}"))]});
        self.send(Call::messages(&short)).await;
        self.send(Call::messages(&short)).await;
        self.send(Call::messages(&streamed(short.clone()))).await;
        let system = "You answer questions about the shop. ".repeat(120);
        let mut messages = vec![user(&format!(
            "Please tell me in detail about the delivery of order number {n}."
        ))];
        for _ in 0..3 {
            let body = json!({"model": "claude-sonnet-5-5", "max_tokens": 64, "system": system, "messages": messages,
                "tools": [{"name": "find", "description": "d".repeat(2_000), "input_schema": {"type": "object"}}]});
            self.send(Call::messages(&streamed(body))).await;
            messages.push(json!({"role": "assistant", "content": [{"type": "text", "text": "It is on its way."}]}));
            messages.push(user(
                "And how long will the delivery take from where it is now, at the latest?",
            ));
        }
        self.stage
            .fake
            .queue_answers([Answer::tool("find", json!({"order": n}))]);
        self.send(Call::messages(
            &json!({"model": "claude-haiku-5-5", "max_tokens": 64, "messages": [user(&format!("find {n}"))],
            "tools": [{"name": "find", "input_schema": {"type": "object"}}]}),
        ))
        .await;
        self.stage.fake.queue_answers([Answer {
            stop: Stop::Refusal,
            ..Answer::text("I would rather not.")
        }]);
        self.send(Call::messages(
            &json!({"model": "claude-haiku-5-5", "max_tokens": 64, "messages": [user(&format!("bad {n}"))]}),
        ))
        .await;
        if n == 0 {
            let long = "long ".repeat(90_000);
            self.send(Call::messages(
                &json!({"model": "claude-haiku-5-5", "max_tokens": 64, "messages": [user(&long)]}),
            ))
            .await;
        }
    }

    async fn marked_by_client(&mut self, n: usize) {
        for ttl in ["5m", "1h"] {
            let system = json!([{"type": "text", "text": format!("{n} {ttl} ").repeat(800),
                "cache_control": {"type": "ephemeral", "ttl": ttl}}]);
            for turn in 0..2 {
                let text = format!("Please tell me what to do about the matter of number {n} at turn {turn} of this.");
                let body = json!({"model": "claude-sonnet-5-5", "max_tokens": 64, "system": system, "messages": [user(&text)]});
                self.send(Call::messages(&body)).await;
            }
        }
    }

    async fn openai(&mut self, n: usize) {
        let instructions = "You answer questions about the shop at length. ".repeat(120);
        for model in ["gpt-6-astra", "gpt-5.5", "gpt-4.1"] {
            let text = format!("Please tell me in detail about delivery to address number {n} of the street.");
            let chat = json!({"model": model, "messages": [{"role": "system", "content": instructions}, user(&text)]});
            self.send(Call::chat(&chat)).await;
            self.send(Call::chat(&streamed(chat.clone()))).await;
            let with_usage = json!({"model": model, "stream": true, "stream_options": {"include_usage": true},
                "messages": [{"role": "system", "content": instructions}, user(&format!("{text} Again."))]});
            self.send(Call::chat(&with_usage)).await;
            let responses = json!({"model": model, "store": false, "instructions": instructions, "input": text});
            self.send(Call::responses(&responses)).await;
            self.send(Call::responses(&streamed(responses))).await;
            let stored = json!({"model": model, "instructions": instructions, "input": format!("{text} Keep it.")});
            self.send(Call::responses(&stored)).await;
        }
    }

    async fn detours(&mut self, n: usize) {
        // Each in a scope of its own, so that a pair avoided after a rescue does not keep the next one away.
        let (key, other) = (format!("key-{n}"), format!("other-{n}"));
        self.stage.fake.script(Fault::status(404).on_model("claude-haiku-5-5"));
        let rescued = json!({"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": [user(&format!("yes {n}"))]});
        self.send(Call::messages(&rescued).header("x-api-key", &key)).await;
        self.stage.fake.script(Fault::status(529).on_model("claude-sonnet-5-5"));
        let text = format!("Please tell me what to do when everything is overloaded at time {n}, in detail.");
        let overloaded = json!({"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": [user(&text)]});
        self.send(Call::messages(&streamed(overloaded)).header("x-api-key", &other))
            .await;
        self.stage.fake.script(Fault::status(500).on_model("gpt-4.1"));
        self.send(Call::chat(
            &json!({"model": "gpt-4.1", "messages": [user(&format!("fails {n}"))]}),
        ))
        .await;
        self.send(Call::get("/anthropic/v1/models")).await;
        self.send(Call::post("/anthropic/v1/messages", "{not json").header("x-api-key", &key))
            .await;
    }

    async fn followers(&mut self, n: usize) {
        let text = format!("Please tell me, all four of you at the same time, about number {n} of the list.");
        let body = json!({"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": [user(&text)]});
        let (plain, stream) = (Call::messages(&body), Call::messages(&streamed(body)));
        let client = &self.stage.client;
        let replies = tokio::join!(
            client.send(&plain),
            client.send(&stream),
            client.send(&plain),
            client.send(&stream)
        );
        for reply in [replies.0, replies.1, replies.2, replies.3] {
            assert_eq!(reply.unwrap().status, 200);
        }
        self.sent += 4;
    }
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn streamed(mut body: Value) -> Value {
    body["stream"] = true.into();
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_equals_the_providers_bill_over_a_mixed_run() {
    let mut run = Run {
        stage: Stage::start(policy(SPEC)).await.unwrap(),
        sent: 0,
    };
    for n in 0..8 {
        run.round(n).await;
    }
    let (account, bill) = (run.stage.client.account().await.unwrap(), run.stage.fake.bill());
    assert_eq!(
        nanos(&account["usd"]["actual"]),
        i128::from(bill.total.nanos),
        "{}",
        account["usd"]
    );
    assert!(bill.total.nanos > 0 && bill.models.len() >= 5, "{:?}", bill.models);
    let tokens = &account["tokens"];
    assert_eq!(tokens["input"], bill.total.tokens.prompt());
    assert_eq!(tokens["cache_read"], bill.total.tokens.read);
    assert_eq!(tokens["cache_write"], bill.total.tokens.written());
    assert_eq!(tokens["output"], bill.total.tokens.output);
    assert!(bill.total.tokens.read > 0 && bill.total.tokens.write_1h > 0 && bill.total.tokens.write_30m > 0);

    assert_eq!(account["requests"]["total"], run.sent, "each request is accounted once");
    assert_eq!(outcomes(&account), run.sent);
    assert_adds_up(&account["usd"]);
    for line in account["recent"].as_array().unwrap() {
        assert_adds_up(&line["usd"]);
        assert_eq!(line["estimated"], false, "{line}");
    }
    let reasons = account["recent"].to_string();
    assert!(
        reasons.contains("route_rescue") && reasons.contains("fallback"),
        "the detours were not taken"
    );
    assert_metrics_agree(&run.stage, &account).await;
}

/// Counters are doubles, so they agree to the nano-dollar only as far as a double can say.
async fn assert_metrics_agree(stage: &Stage, account: &Value) {
    let page = stage.metrics().await.unwrap();
    let dollars = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let close = |left: f64, right: f64| (left - right).abs() < 1e-8;
    assert!(close(
        metric(&page, "llmcache_cost_usd_total", &[]),
        dollars(&account["usd"]["actual"])
    ));
    let losses = metric(&page, "llmcache_overhead_usd_total", &["kind=\"loss\""]);
    let saved: f64 = account["usd"]["saved"].as_object().unwrap().values().map(dollars).sum();
    assert!(
        close(metric(&page, "llmcache_saved_usd_total", &[]) - losses, saved),
        "{page}"
    );
    let total = metric(&page, "llmcache_requests_total", &[]);
    assert!(close(total, account["requests"]["total"].as_f64().unwrap()));
}

#[tokio::test]
async fn the_clients_own_marks_are_no_saving_of_ours() {
    let stage = Stage::start(policy(
        "  resultCache: {mode: Disabled}\n  promptCache: {mode: Disabled}",
    ))
    .await
    .unwrap();
    let system = json!([{"type": "text", "text": "stable ".repeat(600), "cache_control": {"type": "ephemeral"}}]);
    for turn in 0..3 {
        let body = json!({"model": "claude-sonnet-5-5", "max_tokens": 64, "system": system, "messages": [user(&format!("turn {turn}"))]});
        stage.messages(&body).await.unwrap();
    }
    let account = stage.client.account().await.unwrap();
    assert_eq!(nanos(&account["usd"]["saved"]["prompt_cache"]), 0);
    assert_eq!(
        nanos(&account["usd"]["actual"]),
        i128::from(stage.fake.bill().total.nanos)
    );
    assert!(stage.fake.bill().total.tokens.read > 0, "the provider's cache was read");
}
