//! Prompts, answers and credentials are in no log, metric, status or ledger.

use llmcache_tests::fake::{Answer, FakeConfig, Fault, Trouble};
use llmcache_tests::kit::Call;
use serde_json::json;

use crate::setup::{Shop, question};

const CANARIES: [&str; 8] = [
    "canaryprompt",
    "canaryanswer",
    "canarykey",
    "canaryuser",
    "canarybroken",
    "canaryfile",
    "canarysystem",
    "canaryquery",
];

#[tokio::test]
async fn nothing_secret_is_in_logs_metrics_status_or_ledger() -> anyhow::Result<()> {
    let spec = "  promptCache: {strategy: Always}\n  tags: [\"user:{user}\"]\n  routing: {requestModels: [\"claude-*\"], \
                tiers: [{name: small, models: {anthropic: claude-haiku-5-5}}], rules: [{tier: small, maxInputTokens: 9000}]}";
    let shop = Shop::with(FakeConfig::default(), spec, ["--log-level", "trace"]).await?;
    shop.fake.set_answer(|_, _| Answer::text("canaryanswer indeed"));
    let mut asked = question("canaryprompt");
    asked["system"] = json!("canarysystem");
    asked["metadata"] = json!({"user_id": "canaryuser"});
    let plain = Call::messages(&asked).header("x-api-key", "canarykey");
    let mut streamed = asked.clone();
    streamed["stream"] = json!(true);
    let streamed = Call::messages(&streamed).header("x-api-key", "canarykey");
    let chat = json!({"model": "gpt-6.2-sol", "user": "canaryuser", "messages": [{"role": "user", "content": "canaryprompt"}]});
    let calls = [
        plain.clone(),
        plain.clone(),
        streamed.clone(),
        Call::chat(&chat).header("authorization", "Bearer canarykey"),
        plain.clone().body("{\"canarybroken"),
        Call::post("/anthropic/v1/files?key=canaryquery", "canaryfile").header("x-api-key", "canarykey"),
        Call::post("/llmcache/invalidate", "{\"pattern\":\"user:canaryuser\"}"),
    ];
    for call in &calls {
        shop.client.send(call).await?;
    }
    for trouble in [
        Trouble::Reset,
        Trouble::GarbageHead,
        Trouble::CutAfter(3),
        Trouble::ErrorEventAfter(3),
        Trouble::GarbageAfter(3),
        Trouble::Status {
            status: 400,
            code: None,
            retry_after: None,
        },
    ] {
        shop.fake.script(Fault::new(trouble));
        // Whether such a call fails is another test's matter.
        let _ = shop
            .client
            .send(&streamed.clone().header("cache-control", "no-store"))
            .await;
    }
    let mut told = shop.sidecar.log();
    assert!(told.contains("lc_"), "the log tells of requests: {told}");
    for path in ["/metrics", "/readyz"] {
        told += &shop.sidecar.admin().send(&Call::get(path)).await?.text();
    }
    for path in ["/llmcache/account", "/llmcache/snapshot"] {
        told += &shop.client.send(&Call::get(path)).await?.text();
    }
    for canary in CANARIES {
        let at = told.find(canary);
        let around = at.map(|at| &told[at.saturating_sub(200)..(at + 40).min(told.len())]);
        assert_eq!(around, None, "{canary} was told");
    }
    Ok(())
}
