//! A long run of random batches by clients at once, while the provider loses, doubles and cuts vectors: whatever a
//! cache had a part in is the provider's own truth, and the ledger holds every token that was billed.

use std::sync::Arc;

use llmcache_tests::fake::{Fake, FakeConfig, Fault, Skew, Trouble};
use llmcache_tests::kit::{Call, Client, Reply, Stage};
use serde_json::{Value, json};

use crate::{MODEL, cached};

const CLIENTS: u64 = 4;
const STEPS: usize = 150;
const SKEWS: [Skew; 7] = [
    Skew::Reversed,
    Skew::Missing,
    Skew::Doubled,
    Skew::Extra,
    Skew::Beyond,
    Skew::Short,
    Skew::Half,
];

/// xorshift: each client asks the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn item(&mut self, is_tokens: bool) -> Value {
        let n = self.roll(8);
        if is_tokens {
            (0..=n).collect()
        } else {
            format!("{} {n}", "word".repeat(usize::try_from(n).unwrap())).into()
        }
    }

    fn body(&mut self) -> Value {
        let is_tokens = self.roll(3) == 0;
        let input: Vec<Value> = (0..=self.roll(6)).map(|_| self.item(is_tokens)).collect();
        let mut body = json!({"model": MODEL, "dimensions": 8 + self.roll(2), "input": input});
        if input.len() == 1 && self.roll(2) == 0 {
            body["input"] = input[0].clone();
        }
        match self.roll(3) {
            0 => {}
            1 => body["encoding_format"] = json!("float"),
            _ => body["encoding_format"] = json!("base64"),
        }
        body
    }
}

fn by_index(answer: &Value) -> Vec<Value> {
    let mut data = answer["data"].as_array().cloned().unwrap_or_default();
    data.sort_by_key(|item| item["index"].as_u64());
    data
}

/// Whether a cache had a part in the answer, or it was stored.
fn is_ours(reply: &Reply) -> bool {
    reply.cache_status() != "llmcache; fwd=miss"
}

async fn run(stage: Arc<Stage>, truth: Client, seed: u64) -> usize {
    let mut dice = Dice(0x5eed_1234_5678_9abc ^ (seed << 32));
    let mut hits = 0;
    for step in 0..STEPS {
        if dice.roll(8) == 0 {
            let skew = SKEWS[usize::try_from(dice.roll(7)).unwrap()];
            stage.fake.script(Fault::new(Trouble::Vectors(skew)));
        }
        if dice.roll(50) == 0 {
            let ban = Call::post("/llmcache/invalidate", json!({"class": "embeddings"}).to_string());
            assert_eq!(stage.client.send(&ban).await.unwrap().status, 200);
        }
        let body = dice.body();
        let call = Call::embeddings(&body).header("authorization", &format!("Bearer key-{}", dice.roll(2)));
        let call = match dice.roll(10) {
            0 => call.header("cache-control", "no-cache"),
            1 => call.header("cache-control", "max-age=1"),
            _ => call,
        };
        let reply = stage.client.send(&call).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        hits += usize::from(reply.is_hit());
        if !is_ours(&reply) {
            assert!(
                reply.header("x-llmcache-reason").contains("store="),
                "{}",
                reply.cache_status()
            );
            continue;
        }
        let expected = truth.send(&call.at("/v1/embeddings")).await.unwrap().json().unwrap();
        assert_eq!(
            by_index(&reply.json().unwrap()),
            by_index(&expected),
            "client {seed}, step {step}: {body} {}",
            reply.cache_status()
        );
    }
    hits
}

#[tokio::test]
async fn random_batches_get_the_providers_own_vectors_and_are_all_accounted() {
    let stage = Arc::new(Stage::start(cached()).await.unwrap());
    let truth = Fake::start(FakeConfig::default()).await.unwrap();
    let runs: Vec<_> = (1..=CLIENTS)
        .map(|seed| tokio::spawn(run(stage.clone(), Client::new(&truth.url()), seed)))
        .collect();
    let mut hits = 0;
    for run in runs {
        hits += run.await.unwrap();
    }
    let account = stage.client.account().await.unwrap();
    let requests = CLIENTS * u64::try_from(STEPS).unwrap();
    assert_eq!(account["requests"]["total"], requests);
    assert_eq!(account["tokens"]["input"], stage.fake.bill().total.tokens.input);
    assert!(hits > STEPS / 2, "{hits}");
    let page = stage.metrics().await.unwrap();
    let again = llmcache_tests::kit::metric(&page, "llmcache_bypass_total", &["reason=\"unmerged\""]);
    assert!(again > 5.0, "{again}");
}
