//! Twenty identical calls over two sidecars are one upstream call, whoever dies meanwhile.

use std::time::Duration;

use futures_util::future::join_all;
use llmcache_tests::fake::{Answer, FakeConfig, Fault, Trouble};
use llmcache_tests::kit::{Call, Reply, eventually, metric};
use rustix::process::Signal;
use serde_json::json;

use crate::{Pods, ask, text};

fn slow(think: Duration) -> FakeConfig {
    FakeConfig {
        think,
        ..FakeConfig::default()
    }
}

/// Twenty calls, every other one through the second sidecar.
async fn twenty(pods: &Pods, call: &Call) -> Vec<anyhow::Result<Reply>> {
    join_all((0..20).map(|n| pods.send(n % 2, call))).await
}

#[tokio::test]
async fn twenty_plain_calls_over_two_sidecars_are_one_upstream_call() {
    let pods = Pods::start(2, slow(Duration::from_millis(400))).await.unwrap();
    for round in 0..3 {
        let before = pods.fake.calls();
        let replies = twenty(&pods, &Call::messages(&ask(&format!("shared {round}")))).await;
        let texts: Vec<String> = replies.into_iter().map(|reply| text(&reply.unwrap())).collect();
        assert!(!texts[0].is_empty() && texts.iter().all(|text| *text == texts[0]));
        assert_eq!(pods.fake.calls() - before, 1, "round {round}");
    }
    let mut collapsed = 0;
    for sidecar in &pods.sidecars {
        let account = sidecar.client().account().await.unwrap();
        assert_eq!(account["requests"]["total"], 30);
        collapsed += account["requests"]["miss"].as_u64().unwrap()
            + account["requests"]["hit"]["result_cache"].as_u64().unwrap();
    }
    assert_eq!(collapsed, 60);
}

#[tokio::test]
async fn an_answer_that_is_not_stored_is_shared_with_those_who_wait() {
    let pods = Pods::start(2, slow(Duration::from_millis(400))).await.unwrap();
    pods.fake
        .set_answer(|_, _| Answer::tool("weather", json!({"city": "Oslo"})));
    let mut body = ask("what is the weather?");
    body["tools"] = json!([{"name": "weather", "input_schema": {"type": "object"}}]);
    let replies = twenty(&pods, &Call::messages(&body)).await;
    for reply in replies {
        assert_eq!(reply.unwrap().json().unwrap()["content"][0]["name"], "weather");
    }
    assert_eq!(pods.fake.calls(), 1);
    // Who asks afterwards has not waited for it.
    for (pod, calls) in [(0, 2), (1, 3)] {
        let reply = pods.send(pod, &Call::messages(&body)).await.unwrap();
        assert_eq!(reply.cache_status(), "llmcache; fwd=miss");
        assert_eq!(pods.fake.calls(), calls);
    }
}

#[tokio::test]
async fn an_answer_that_must_not_be_stored_for_its_tags_is_shared_too() {
    let pods = Pods::start(2, slow(Duration::from_millis(400))).await.unwrap();
    let call = Call::messages(&ask("with a tag that is none")).header("x-llmcache-tags", "user:*");
    for reply in twenty(&pods, &call).await {
        assert_eq!(reply.unwrap().status, 200);
    }
    assert_eq!(pods.fake.calls(), 1);
}

#[tokio::test]
async fn who_waited_for_a_leader_that_failed_finds_the_store_as_well_as_before() {
    let policy = crate::POLICY.replace("storeBudget: 1s", "storeBudget: 300ms");
    let fake = slow(Duration::from_millis(600));
    let pods = Pods::with_policy(1, fake, &policy).await.unwrap();
    pods.fake.script(Fault::new(Trouble::CutAfter(1)));
    let call = Call::messages(&ask("whose leader fails late"));
    let replies = join_all((0..5).map(|_| pods.send(0, &call))).await;
    let failed = replies.iter().filter(|reply| reply.as_ref().unwrap().status == 502);
    assert_eq!((failed.count(), pods.fake.received()), (1, 2));
    let page = pods.sidecars[0]
        .admin()
        .send(&Call::get("/metrics"))
        .await
        .unwrap()
        .text();
    assert!(
        metric(&page, "llmcache_store_budget_exceeded_total", &[]) < 0.5,
        "{page}"
    );
}

#[tokio::test]
async fn a_killed_leader_is_replaced_and_every_follower_is_answered() {
    let mut pods = Pods::start(2, slow(Duration::from_millis(1_500))).await.unwrap();
    let call = Call::messages(&ask("whose leader dies"));
    let leading = {
        let (client, call) = (pods.sidecars[0].client(), call.clone());
        tokio::spawn(async move { client.send(&call).await })
    };
    eventually("the leader asks", async || pods.fake.received() == 1)
        .await
        .unwrap();
    let following: Vec<_> = (0..10)
        .map(|_| {
            let (client, call) = (pods.sidecars[1].client(), call.clone());
            tokio::spawn(async move { client.send(&call).await })
        })
        .collect();
    // The provider is still thinking.
    pods.sidecars[0].signal(Signal::KILL).unwrap();
    pods.sidecars[0].wait().await.unwrap();
    assert!(leading.await.unwrap().is_err());
    for reply in following {
        let reply = reply.await.unwrap().unwrap();
        assert_eq!((reply.status.as_u16(), text(&reply).is_empty()), (200, false));
    }
    assert_eq!(pods.fake.received(), 2, "the dead leader's call and one more");
}

#[tokio::test]
async fn a_leader_that_was_frozen_past_its_claim_does_not_replace_what_came_after() {
    let pods = Pods::start(2, slow(Duration::from_millis(300))).await.unwrap();
    let call = Call::messages(&ask("whose leader freezes"));
    let frozen = {
        let (client, call) = (pods.sidecars[0].client(), call.clone());
        tokio::spawn(async move { client.send(&call).await })
    };
    eventually("the leader asks", async || pods.fake.received() == 1)
        .await
        .unwrap();
    pods.sidecars[0].signal(Signal::STOP).unwrap();
    let second = pods.send(1, &call).await.unwrap();
    assert_eq!(second.cache_status(), "llmcache; fwd=miss; stored");
    pods.sidecars[0].signal(Signal::CONT).unwrap();
    assert_eq!(frozen.await.unwrap().unwrap().status, 200);
    let hit = pods.send(1, &call).await.unwrap();
    assert!(hit.is_hit());
    assert_eq!(hit.json().unwrap()["id"], second.json().unwrap()["id"]);
}

#[tokio::test]
async fn errors_are_never_shared_and_the_next_one_leads() {
    let pods = Pods::start(2, slow(Duration::from_millis(200))).await.unwrap();
    pods.fake.script(Fault::status(529));
    let replies = twenty(&pods, &Call::messages(&ask("first an error"))).await;
    let statuses: Vec<u16> = replies
        .into_iter()
        .map(|reply| reply.unwrap().status.as_u16())
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 529).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(pods.fake.received(), 2);
}

#[tokio::test]
async fn without_the_store_each_process_leads_for_itself() {
    let pods = Pods::start(2, slow(Duration::from_millis(300))).await.unwrap();
    pods.redis.signal(Signal::KILL).unwrap();
    let replies = twenty(&pods, &Call::messages(&ask("no store"))).await;
    assert!(replies.into_iter().all(|reply| reply.unwrap().status == 200));
    assert_eq!(pods.fake.calls(), 2);
}
