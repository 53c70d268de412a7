//! A long run of random clients: no answer crosses a scope, outlives a ban or its life, or belongs to another prompt.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use llmcache_tests::fake::{Answer, Part};
use llmcache_tests::kit::Stage;
use serde_json::{Value, json};

use crate::endpoints::Endpoint;
use crate::{ban, cached_with, streamed};

const STEPS: usize = 1_500;
const LIFE: Duration = Duration::from_secs(1);

const SPEC: &str = "  tags: [\"user:{header:x-who}\"]
  scope: {tenantHeader: x-who}
  ttlClasses:
      - {name: short, ttl: 1s, match: {anyKeyword: [short]}}
      - {name: long, ttl: 1h}";

/// xorshift: the run is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// The answer names the prompt and its own number: `prompt=… serial=…;`.
fn numbered(request: &Value, serial: usize) -> Answer {
    let text = request["messages"][0]["content"]
        .as_str()
        .or_else(|| request["input"].as_str())
        .unwrap_or_default();
    Answer {
        parts: vec![Part::Text(format!("{text}/{serial};"))],
        ..Answer::default()
    }
}

/// The number behind `prompt/` in an answer, whose stream may part the text.
fn serial(reply: &str, prompt: &str) -> Option<usize> {
    reply
        .split_once(&format!("{prompt}/"))?
        .1
        .split(';')
        .next()?
        .parse()
        .ok()
}

/// What is known of an upstream answer: its scope's key and not later than when it was asked for.
struct Known {
    scope: String,
    prompt: String,
    asked: Instant,
}

#[tokio::test]
async fn random_clients_never_see_a_foreign_stale_or_banned_answer() {
    let config = llmcache_tests::fake::FakeConfig {
        event_chars: 256,
        ..Default::default()
    };
    let stage = Stage::start_with(cached_with("", SPEC), config, []).await.unwrap();
    stage.fake.set_answer(numbered);
    let mut dice = Dice(0x5eed_1234_5678_9abc);
    let mut known: HashMap<usize, Known> = HashMap::new();
    let mut banned: HashMap<String, Instant> = HashMap::new();
    let mut hits = 0;
    for step in 0..STEPS {
        let who = format!("who{}", dice.roll(3));
        if dice.roll(40) == 0 {
            let (status, _) = ban(&stage, json!({"pattern": format!("user:{who}:*")})).await.unwrap();
            assert_eq!(status, 200);
            banned.insert(who, Instant::now());
            continue;
        }
        let endpoint = Endpoint::ALL[usize::try_from(dice.roll(3)).unwrap()];
        let word = if dice.roll(2) == 0 { "short" } else { "long" };
        let prompt = format!("{word} {endpoint:?} {who} p{}", dice.roll(5));
        let mut body = endpoint.body(&prompt);
        if dice.roll(2) == 0 {
            body = streamed(body);
        }
        let key = format!("key-{}", dice.roll(2));
        let call = endpoint.call(&body).header("x-who", &who);
        let call = match endpoint {
            Endpoint::Messages => call.header("x-api-key", &key),
            Endpoint::Chat | Endpoint::Responses => call.header("authorization", &format!("Bearer {key}")),
        };
        if dice.roll(20) == 0 {
            // Cancelled as soon as the head is there.
            drop(stage.client.open(&call).await.unwrap());
            continue;
        }
        let asked = Instant::now();
        let reply = stage.client.send(&call).await.unwrap();
        let text = reply.text();
        assert_eq!(reply.status, 200, "{text}");
        let serial = serial(&text, &prompt).unwrap_or_else(|| panic!("step {step}: {prompt} got {text}"));
        let scope = format!("{who} {key} {endpoint:?}");
        if !reply.is_hit() {
            // One answer more for each cancelled call, whose own number nobody saw.
            known.insert(serial, Known { scope, prompt, asked });
            continue;
        }
        hits += 1;
        let Some(known) = known.get(&serial) else { continue };
        assert_eq!((&known.scope, &known.prompt), (&scope, &prompt), "step {step}");
        if let Some(at) = banned.get(&who) {
            assert!(known.asked >= *at, "step {step}: served past its ban");
        }
        // The client asked a moment before the entry's own clock began.
        assert!(
            word == "long" || asked - known.asked < LIFE + Duration::from_millis(500),
            "step {step}: too old"
        );
    }
    assert!(hits > STEPS / 4, "{hits}");
}
