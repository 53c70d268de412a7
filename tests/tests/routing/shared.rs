//! A conversation keeps its model in every process on one store, as long as nobody else's is meant.

use llmcache_tests::fake::{Fake, FakeConfig, Fault};
use llmcache_tests::kit::{Call, Launch, Redis, Reply, Sidecar, eventually, metric, question};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{ALL_HAIKU, routed, tiers};

const HAIKU: &str = "claude-haiku-5-5";
const OPUS: &str = "claude-opus-5-5";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A provider and a store, before which sidecars come and go.
struct Town {
    fake: Fake,
    redis: Redis,
}

impl Town {
    async fn start() -> anyhow::Result<Self> {
        let (fake, redis) = (Fake::start(FakeConfig::default()).await?, Redis::start().await?);
        Ok(Self { fake, redis })
    }

    async fn pod(&self) -> anyhow::Result<Sidecar> {
        self.other_pod(&wide(), SECRET, &[]).await
    }

    async fn other_pod(&self, policy: &str, secret: &[u8], args: &[&str]) -> anyhow::Result<Sidecar> {
        let url = self.redis.url();
        let args = ["--redis", &url].into_iter().chain(args.iter().copied());
        let mut launch = Launch::new(policy, self.fake.url()).args(args);
        launch.secret = Some(secret.to_vec());
        let pod = launch.start().await?;
        eventually("the store is reached", async || {
            is_avoided(&pod).await.is_ok_and(|is_avoided| !is_avoided)
        })
        .await?;
        Ok(pod)
    }

    /// Reads of one value that the store was asked for.
    async fn reads(&self) -> anyhow::Result<u64> {
        let stats = self.redis.command("INFO commandstats").await?;
        let calls = stats
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_getrange:calls="));
        let calls = calls.and_then(|rest| rest.split(',').next()).unwrap_or("0");
        Ok(calls.parse()?)
    }
}

/// What a busy machine makes of the usual budget is not the question here.
fn wide() -> String {
    let usual = "resultCache: {mode: Disabled}";
    tiers(ALL_HAIKU).replace(usual, "resultCache: {mode: Disabled, storeBudget: 1s}")
}

async fn is_avoided(pod: &Sidecar) -> anyhow::Result<bool> {
    let page = pod.admin().send(&Call::get("/metrics")).await?.text();
    Ok(metric(&page, "llmcache_store_breaker_open", &["redis"]) > 0.0)
}

/// Ends a sidecar as an orchestrator does: what it has to write is written.
async fn end(mut pod: Sidecar) -> anyhow::Result<()> {
    pod.signal(Signal::TERM)?;
    anyhow::ensure!(pod.wait().await?.success());
    Ok(())
}

async fn send(pod: &Sidecar, body: &Value) -> anyhow::Result<Reply> {
    pod.client().send(&Call::messages(body)).await
}

/// The second turn: without a memory a tool's result keeps the requested model.
fn second_turn(first: &Value) -> Value {
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"});
    let mut second = first.clone();
    if let Some(messages) = second["messages"].as_array_mut() {
        messages.push(json!({"role": "assistant", "content": [call]}));
        messages.push(json!({"role": "user", "content": [result]}));
    }
    second
}

#[tokio::test]
async fn conversation_keeps_its_model_in_another_process_and_after_a_restart() {
    let town = Town::start().await.unwrap();
    let (first, second) = (town.pod().await.unwrap(), town.pod().await.unwrap());
    let talk = question(OPUS, "Where is my parcel?");
    assert_eq!(routed(&send(&first, &talk).await.unwrap()), (HAIKU, "rule"));
    end(first).await.unwrap();
    let talk = second_turn(&talk);
    assert_eq!(routed(&send(&second, &talk).await.unwrap()), (HAIKU, "remembered"));
    let again = town.pod().await.unwrap();
    assert_eq!(routed(&send(&again, &talk).await.unwrap()), (HAIKU, "remembered"));
    // What was found is known without the store from then on.
    let reads = town.reads().await.unwrap();
    town.redis.kill().await.unwrap();
    for pod in [&second, &again] {
        assert_eq!(routed(&send(pod, &talk).await.unwrap()), (HAIKU, "remembered"));
    }
    assert_eq!(reads, 2);
}

#[tokio::test]
async fn rescue_is_remembered_everywhere_in_place_of_the_choice_it_took_back() {
    let town = Town::start().await.unwrap();
    let (first, second) = (town.pod().await.unwrap(), town.pod().await.unwrap());
    town.fake.script(Fault::status(404).on_model(HAIKU));
    let talk = question(OPUS, "Where is my parcel?");
    assert_eq!(routed(&send(&first, &talk).await.unwrap()), (OPUS, "route_rescue"));
    end(first).await.unwrap();
    let reply = send(&second, &second_turn(&talk)).await.unwrap();
    assert_eq!(routed(&reply), (OPUS, "remembered"));
}

#[tokio::test]
async fn first_turns_ask_the_store_nothing_and_later_ones_once() {
    let town = Town::start().await.unwrap();
    let (first, second) = (town.pod().await.unwrap(), town.pod().await.unwrap());
    let talks: Vec<Value> = (0..20).map(|n| question(OPUS, &format!("Question {n}"))).collect();
    for talk in &talks {
        assert_eq!(routed(&send(&first, talk).await.unwrap()), (HAIKU, "rule"));
        assert_eq!(routed(&send(&second, talk).await.unwrap()), (HAIKU, "rule"));
    }
    for talk in &talks {
        let reply = send(&second, &second_turn(talk)).await.unwrap();
        assert_eq!(routed(&reply), (HAIKU, "remembered"));
    }
    assert_eq!(town.reads().await.unwrap(), 0);
    let third = town.pod().await.unwrap();
    end(first).await.unwrap();
    for _ in 0..3 {
        for talk in &talks {
            let reply = send(&third, &second_turn(talk)).await.unwrap();
            assert_eq!(routed(&reply), (HAIKU, "remembered"));
        }
    }
    assert_eq!(town.reads().await.unwrap(), 20);
    // Nothing can be remembered of these.
    let pinned = Call::messages(&second_turn(&question(OPUS, "pinned"))).header("x-llmcache-pin", "requested");
    assert_eq!(routed(&third.client().send(&pinned).await.unwrap()), (OPUS, "pinned"));
    let other = second_turn(&question("claude-haiku-5-5", "not listed"));
    assert_eq!(routed(&send(&third, &other).await.unwrap()), (HAIKU, "not_listed"));
    assert_eq!(town.reads().await.unwrap(), 20);
}

#[tokio::test]
async fn other_credentials_policies_namespaces_and_secrets_see_nothing_of_it() {
    let town = Town::start().await.unwrap();
    let first = town.pod().await.unwrap();
    let talk = question(OPUS, "Where is my parcel?");
    assert_eq!(routed(&send(&first, &talk).await.unwrap()), (HAIKU, "rule"));
    end(first).await.unwrap();
    let talk = second_turn(&talk);
    let named = wide().replace("name: test,", "name: other,");
    let pods = [
        town.other_pod(&named, SECRET, &[]).await.unwrap(),
        town.other_pod(&wide(), SECRET, &["--namespace", "b"]).await.unwrap(),
        town.other_pod(&wide(), b"another secret of thirty-two bytes", &[])
            .await
            .unwrap(),
    ];
    for pod in &pods {
        assert_eq!(routed(&send(pod, &talk).await.unwrap()), (OPUS, "tool_result"));
    }
    let own = town.pod().await.unwrap();
    let stranger = Call::messages(&talk).header("x-api-key", "key-b");
    let reply = own.client().send(&stranger).await.unwrap();
    assert_eq!(routed(&reply), (OPUS, "tool_result"));
    assert_eq!(routed(&send(&own, &talk).await.unwrap()), (HAIKU, "remembered"));
}

#[tokio::test]
async fn frozen_store_is_as_none_and_fails_no_request() {
    let town = Town::start().await.unwrap();
    let (first, second) = (
        town.pod().await.unwrap(),
        town.other_pod(&tiers(ALL_HAIKU), SECRET, &[]).await.unwrap(),
    );
    let talk = question(OPUS, "Where is my parcel?");
    send(&first, &talk).await.unwrap();
    end(first).await.unwrap();
    town.redis.signal(Signal::STOP).unwrap();
    let later = second_turn(&talk);
    for _ in 0..20 {
        let reply = send(&second, &later).await.unwrap();
        assert_eq!((reply.status.as_u16(), routed(&reply)), (200, (OPUS, "tool_result")));
    }
    assert!(is_avoided(&second).await.unwrap());
    assert_eq!(
        routed(&send(&second, &question(OPUS, "And mine?")).await.unwrap()),
        (HAIKU, "rule")
    );
    town.redis.signal(Signal::CONT).unwrap();
    eventually("the store is heard again and knows the conversation", async || {
        send(&second, &later)
            .await
            .is_ok_and(|reply| routed(&reply) == (HAIKU, "remembered"))
    })
    .await
    .unwrap();
}
