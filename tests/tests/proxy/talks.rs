//! Whole conversations under marks: never refused, read from the cache, and cheaper.

use llmcache_tests::fake::{Answer, FakeConfig};
use llmcache_tests::kit::{Call, Client};
use serde_json::{Value, json};

use crate::setup::{ALWAYS, NOTHING, Shop, question};

const CONVERSATIONS: u64 = 200;
const MODELS: [&str; 5] = [
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-opus-5-5",
    "claude-sonnet-4-6",
    "claude-opus-4-8",
];

/// A small generator with a fixed seed, so that a failure comes back.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn text(&mut self) -> String {
        let words = [3, 40, 400, 900][usize::try_from(self.roll(4)).unwrap_or(0)];
        let word = self.roll(1_000);
        format!("word{word} ").repeat(words)
    }

    fn block(&mut self) -> Value {
        let mut block = match self.roll(8) {
            0 => json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}),
            1 => json!({"type": "text", "text": ""}),
            _ => json!({"type": "text", "text": self.text()}),
        };
        if block["text"] != "" && self.one_in(10) {
            block["cache_control"] = json!({"type": "ephemeral"});
        }
        block
    }

    fn content(&mut self) -> Value {
        if self.one_in(3) {
            return json!(self.text());
        }
        let blocks = 1 + self.roll(4);
        (0..blocks).map(|_| self.block()).collect()
    }

    /// A first request: any mix of tools, system and marks.
    fn request(&mut self) -> Value {
        let model = MODELS[usize::try_from(self.roll(5)).unwrap_or(0)];
        let mut request =
            json!({"model": model, "max_tokens": 2_048, "messages": [{"role": "user", "content": self.content()}]});
        let tools: Vec<Value> = (0..self.roll(4))
            .map(|at| json!({"name": format!("tool{at}"), "description": self.text(), "input_schema": {"type": "object"}}))
            .collect();
        if !tools.is_empty() {
            request["tools"] = json!(tools);
        }
        if self.one_in(12) {
            request["tools"] = json!([{"type": "web_search_20260318", "name": "web_search"}]);
        }
        match self.roll(3) {
            0 => request["system"] = json!(self.text()),
            1 => request["system"] = json!([self.block(), self.block()]),
            _ => {}
        }
        if self.one_in(6) {
            request["cache_control"] = json!({"type": "ephemeral"});
        }
        request
    }
}

/// Appends the answer and the user's next turn.
fn go_on(request: &mut Value, answer: &Value, dice: &mut Dice) {
    let results: Vec<Value> = answer["content"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|block| block["type"] == "tool_use")
        .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": dice.text()}))
        .collect();
    let next = if results.is_empty() {
        dice.content()
    } else {
        json!(results)
    };
    if let Some(messages) = request["messages"].as_array_mut() {
        messages.push(json!({"role": "assistant", "content": answer["content"]}));
        messages.push(json!({"role": "user", "content": next}));
    }
}

/// A generous model: text, sometimes thinking, sometimes a tool call.
fn improvise(request: &Value, number: usize) -> Answer {
    let has_tools = request["tools"][0]["input_schema"].is_object();
    let answer = match number % 4 {
        0 if has_tools => Answer::tool("tool0", json!({"number": number})),
        _ => Answer::text(format!("answer {number}")),
    };
    if number.is_multiple_of(5) {
        answer.thinking("let me see")
    } else {
        answer
    }
}

#[tokio::test]
async fn no_conversation_of_any_shape_is_refused_for_our_marks() -> anyhow::Result<()> {
    let shop = Shop::open(ALWAYS).await?;
    shop.fake.set_answer(improvise);
    let direct = Client::new(&shop.fake.url());
    let (mut dice, mut marked, mut accepted) = (Dice(7), 0, 0);
    for conversation in 0..CONVERSATIONS {
        let mut request = dice.request();
        for turn in 0..3 {
            let call = Call::messages(&request);
            let reply = shop.client.send(&call).await?;
            let sent = String::from_utf8(shop.last()?.body.to_vec())?;
            let ours = sent.matches("cache_control").count() - request.to_string().matches("cache_control").count();
            if reply.status != 200 {
                let plain = Call::post("/v1/messages", request.to_string())
                    .header("x-api-key", "key-a")
                    .header("anthropic-version", "2023-06-01");
                let own = direct.send(&plain).await?;
                assert_eq!(
                    own.status,
                    reply.status,
                    "{conversation}.{turn}: {}\n{sent}",
                    reply.text()
                );
                break;
            }
            (accepted, marked) = (accepted + 1, marked + usize::from(ours > 0));
            go_on(&mut request, &reply.json()?, &mut dice);
        }
    }
    assert!(accepted > 450 && marked > 300, "{accepted} accepted, {marked} marked");
    Ok(())
}

#[tokio::test]
async fn thinking_that_is_bound_to_its_conversation_survives_our_marks() -> anyhow::Result<()> {
    let config = FakeConfig {
        bind_thinking: true,
        ..FakeConfig::default()
    };
    let shop = Shop::with(config, ALWAYS, []).await?;
    shop.fake
        .set_answer(|_, number| Answer::text(format!("answer {number}")).thinking("let me see"));
    let mut dice = Dice(11);
    let long = "word ".repeat(1_000);
    for model in MODELS {
        for system in [json!(long), json!([{"type": "text", "text": long}])] {
            let mut request = question(&long);
            request["model"] = json!(model);
            request["max_tokens"] = json!(2_048);
            request["system"] = system;
            request["thinking"] = json!({"type": "adaptive"});
            for _ in 0..4 {
                let reply = shop.client.send(&Call::messages(&request)).await?;
                assert_eq!(reply.status, 200, "{model}: {}", reply.text());
                go_on(&mut request, &reply.json()?, &mut dice);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn second_turns_read_what_first_turns_wrote() -> anyhow::Result<()> {
    let shop = Shop::open(ALWAYS).await?;
    let long = "word ".repeat(3_000);
    for model in MODELS {
        for content in [json!(long), json!([{"type": "text", "text": long}])] {
            let mut request = question("");
            request["model"] = json!(model);
            request["messages"][0]["content"] = content;
            let first = shop.client.send(&Call::messages(&request)).await?.json()?;
            let written = first["usage"]["cache_creation_input_tokens"].as_u64();
            if let Some(messages) = request["messages"].as_array_mut() {
                messages.push(json!({"role": "assistant", "content": first["content"]}));
                messages.push(json!({"role": "user", "content": [{"type": "text", "text": "Go on."}, {"type": "text", "text": ""}]}));
            }
            let second = shop.client.send(&Call::messages(&request)).await?.json()?;
            let read = second["usage"]["cache_read_input_tokens"].as_u64();
            assert!(
                read.is_some_and(|read| read > 3_000),
                "{model} wrote {written:?}: {second}"
            );
        }
    }
    Ok(())
}

/// Twelve turns of an agent with tools, one tool call each.
async fn agent(spec: &str) -> anyhow::Result<Shop> {
    let shop = Shop::open(spec).await?;
    shop.fake
        .set_answer(|_, number| Answer::tool("look", json!({"page": number})));
    let mut request = question("Find out all about it.");
    request["system"] = json!([{"type": "text", "text": "Be careful. ".repeat(400)}]);
    request["tools"] =
        json!([{"name": "look", "description": "Looks. ".repeat(400), "input_schema": {"type": "object"}}]);
    let mut dice = Dice(3);
    for _ in 0..12 {
        let reply = shop.client.send(&Call::messages(&request)).await?;
        anyhow::ensure!(reply.status == 200, "{}", reply.text());
        go_on(&mut request, &reply.json()?, &mut dice);
    }
    Ok(shop)
}

#[tokio::test]
async fn an_agent_of_twelve_turns_reads_each_earlier_turn_and_pays_less() -> anyhow::Result<()> {
    let (marked, plain) = (agent(ALWAYS).await?, agent(NOTHING).await?);
    let (bill, without) = (marked.fake.bill(), plain.fake.bill());
    assert_eq!(bill.total.tokens.prompt(), without.total.tokens.prompt());
    for pair in bill.lines.iter().collect::<Vec<_>>().windows(2) {
        assert_eq!(
            pair[1].tokens.read,
            pair[0].tokens.read + pair[0].tokens.written(),
            "all that was there is read"
        );
        assert_eq!(pair[1].tokens.input, 0, "and the rest is written");
    }
    assert!(
        bill.total.nanos * 2 < without.total.nanos,
        "{} of {}",
        bill.total.nanos,
        without.total.nanos
    );
    Ok(())
}

#[tokio::test]
async fn openai_gets_one_key_per_prefix_and_keeps_the_apps_own() -> anyhow::Result<()> {
    let native = "  resultCache: {mode: Disabled}\n  upstreams: {openai: {dialect: OpenAI}}";
    let shop = Shop::open(native).await?;
    let key = async |body: &Value| -> anyhow::Result<Value> {
        let reply = shop.client.send(&Call::chat(body)).await?;
        anyhow::ensure!(reply.status == 200, "{}", reply.text());
        Ok(shop.last()?.json()["prompt_cache_key"].clone())
    };
    let chat = |system: &str, turns: &[&str]| {
        let turns = turns.iter().map(|turn| json!({"role": "user", "content": turn}));
        let messages: Vec<Value> = std::iter::once(json!({"role": "system", "content": system}))
            .chain(turns)
            .collect();
        json!({"model": "gpt-6.2-sol", "messages": messages})
    };
    let first = key(&chat("one", &["a"])).await?;
    assert!(first.is_string());
    assert_eq!(key(&chat("one", &["a", "b"])).await?, first, "stable over turns");
    assert_ne!(key(&chat("two", &["a"])).await?, first);
    let mut own = chat("one", &["a"]);
    own["prompt_cache_key"] = json!("mine");
    assert_eq!(key(&own).await?, "mine");
    let responses = json!({"model": "gpt-6.2-sol", "instructions": "one", "input": "a"});
    shop.client.send(&Call::responses(&responses)).await?;
    assert!(shop.last()?.json()["prompt_cache_key"].is_string());

    let compatible = Shop::open("  upstreams: {openai: {dialect: Compatible}}").await?;
    compatible.client.send(&Call::chat(&chat("one", &["a"]))).await?;
    assert!(compatible.last()?.json()["prompt_cache_key"].is_null());
    Ok(())
}
