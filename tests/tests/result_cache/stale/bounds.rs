//! Who follows gets nothing stale that it did not accept, and refreshes are bounded though nobody waits for them.

use llmcache_tests::fake::{Fault, Trouble};
use llmcache_tests::kit::{Call, eventually};

use super::{MANY, fail, is_rescued, is_stale_hit, opened, until};
use crate::{all, ask};

#[tokio::test]
async fn follower_that_names_an_age_gets_no_stale_answer_of_its_leader() {
    let stage = opened().await.unwrap();
    let body = ask("rescued");
    let first = stage.messages(&body).await.unwrap();
    fail(&stage, 529, 1);
    until(&stage, &body, "it is rescued", |reply| is_rescued(reply, 529))
        .await
        .unwrap();
    stage.fake.script(Fault::new(Trouble::StallAfter(0)));
    let (client, call) = (stage.client.clone(), Call::messages(&body));
    let leading = tokio::spawn(async move { client.send(&call).await });
    eventually("the provider is asked", async || stage.fake.stalled() == 1)
        .await
        .unwrap();
    let follow = |call: Call| {
        let client = stage.client.clone();
        tokio::spawn(async move { client.send(&call).await })
    };
    let patient = follow(Call::messages(&body));
    let choosy = follow(Call::messages(&body).header("cache-control", "max-age=600"));
    // Asked behind them.
    stage.client.account().await.unwrap();
    stage.fake.stop().await;
    for reply in [leading, patient] {
        let reply = reply.await.unwrap().unwrap();
        assert_eq!((reply.status.as_u16(), &reply.body), (200, &first.body));
    }
    assert_eq!(choosy.await.unwrap().unwrap().status, 502);
}

#[tokio::test]
async fn refreshes_under_way_are_bounded() {
    const AT_ONCE: usize = 64;
    let stage = opened().await.unwrap();
    let bodies: Vec<_> = (0..AT_ONCE + 10).map(|n| ask(&format!("revalidated {n}"))).collect();
    all(&stage.client, bodies.iter().map(Call::messages).collect())
        .await
        .unwrap();
    (0..MANY).for_each(|_| stage.fake.script(Fault::new(Trouble::StallAfter(0))));
    for body in &bodies {
        until(&stage, body, "it is served stale", is_stale_hit).await.unwrap();
    }
    eventually("refreshes hang", async || stage.fake.stalled() == AT_ONCE)
        .await
        .unwrap();
    assert_eq!(stage.fake.received(), bodies.len() + AT_ONCE);
}
