//! Single-flight: identical concurrent calls.

use http_body_util::BodyExt;
use llmcache_tests::fake::{Fault, Trouble};
use llmcache_tests::kit::{Call, Reply, Stage, eventually};
use tokio::task::JoinHandle;

use crate::endpoints::Endpoint;
use crate::{all, ask, cached, streamed};

/// Sends a call that stalls at the provider; returns once it does.
async fn stalled_leader(stage: &Stage, call: Call, events: usize) -> anyhow::Result<JoinHandle<anyhow::Result<Reply>>> {
    let before = stage.fake.stalled();
    stage.fake.script(Fault::new(Trouble::StallAfter(events)));
    let client = stage.client.clone();
    let leader = tokio::spawn(async move { client.send(&call).await });
    eventually("the leader stalls", async || stage.fake.stalled() > before).await?;
    Ok(leader)
}

#[tokio::test]
async fn twenty_identical_calls_are_one_upstream_call() {
    let stage = Stage::start(cached("")).await.unwrap();
    for endpoint in Endpoint::ALL {
        for (kind, streams) in [("plain", 0), ("streamed", 20), ("mixed", 10)] {
            stage.fake.reset();
            stage.fake.script(Fault::new(Trouble::ThinkMs(150)));
            let body = endpoint.body(kind);
            let call = |n| {
                endpoint.call(&if n < streams {
                    streamed(body.clone())
                } else {
                    body.clone()
                })
            };
            let replies = all(&stage.client, (0..20).map(call).collect()).await.unwrap();
            assert_eq!(stage.fake.calls(), 1, "{endpoint:?} {kind}");
            for (n, reply) in replies.iter().enumerate() {
                assert_eq!(reply.status, 200);
                let text = reply.text();
                assert_eq!(
                    text.contains(endpoint.end()),
                    n < streams,
                    "{endpoint:?} {kind} {n}: {text}"
                );
            }
        }
    }
}

#[tokio::test]
async fn errors_are_never_shared() {
    let stage = Stage::start(cached("")).await.unwrap();
    for body in [ask("plain"), streamed(ask("stream"))] {
        stage.fake.reset();
        stage.fake.script(Fault::status(500));
        let replies = all(&stage.client, vec![Call::messages(&body); 5]).await.unwrap();
        let failed = replies.iter().filter(|reply| reply.status == 500).count();
        assert_eq!((failed, stage.fake.calls()), (1, 1));
    }
}

#[tokio::test]
async fn leader_without_followers_ends_with_its_client() {
    let stage = Stage::start(cached("")).await.unwrap();
    for (body, events) in [(ask("plain"), 0), (streamed(ask("stream")), 2)] {
        let before = stage.client.account().await.unwrap()["requests"]["total"]
            .as_u64()
            .unwrap();
        let leader = stalled_leader(&stage, Call::messages(&body), events).await.unwrap();
        leader.abort();
        eventually("the cancelled call is accounted", async || {
            let account = stage.client.account().await.unwrap_or_default();
            account["requests"]["total"].as_u64() > Some(before)
        })
        .await
        .unwrap();
        stage.fake.release();
        let again = stage.messages(&body).await.unwrap();
        assert!(!again.is_hit() && again.cache_status().starts_with("llmcache; fwd=miss"));
    }
    let bill = stage.fake.bill();
    assert_eq!(
        bill.lines
            .iter()
            .filter(|line| line.end != llmcache_tests::fake::End::Complete)
            .count(),
        2
    );
}

#[tokio::test]
async fn leader_goes_on_for_its_followers_when_its_client_leaves() {
    let stage = Stage::start(cached("")).await.unwrap();
    for (body, events) in [(ask("plain"), 0), (streamed(ask("stream")), 2)] {
        stage.fake.reset();
        let leader = stalled_leader(&stage, Call::messages(&body), events).await.unwrap();
        let (client, call) = (stage.client.clone(), Call::messages(&body));
        let follower = tokio::spawn(async move { client.send(&call).await });
        let live = if events > 0 {
            // Its head shows that it has joined.
            let opened = stage.client.open(&Call::messages(&body)).await.unwrap();
            assert_eq!(opened.headers()["cache-status"], "llmcache; fwd=miss; collapsed");
            Some(opened)
        } else {
            None
        };
        leader.abort();
        if live.is_some() {
            stage.fake.release();
        } else {
            // A plain follower that comes too late to follow asks anew, and must not stall.
            tokio::task::yield_now().await;
            stage.fake.release();
        }
        let reply = follower.await.unwrap().unwrap();
        assert_eq!(reply.status, 200);
        if let Some(live) = live {
            let whole = live.into_body().collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&whole).contains("message_start"));
            assert!(String::from_utf8_lossy(&whole).contains("message_stop"));
            assert_eq!(stage.fake.calls(), 1);
        }
    }
}

#[tokio::test]
async fn live_follower_gets_every_byte_after_the_leaders_client_left() {
    let stage = Stage::start(cached("")).await.unwrap();
    for endpoint in Endpoint::ALL {
        let call = endpoint.call(&streamed(
            endpoint.body("a text long enough for a few events of the stream"),
        ));
        let leader = stalled_leader(&stage, call.clone(), 3).await.unwrap();
        let follower = stage.client.open(&call).await.unwrap();
        assert_eq!(follower.headers()["cache-status"], "llmcache; fwd=miss; collapsed");
        leader.abort();
        eventually("the leader's client has left", async || leader.is_finished())
            .await
            .unwrap();
        stage.fake.release();
        let body = follower.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(endpoint.end()), "{endpoint:?}");
    }
}

#[tokio::test]
async fn cut_stream_ends_everybody_with_an_error_event_and_is_asked_anew() {
    let stage = Stage::start(cached("")).await.unwrap();
    for endpoint in Endpoint::ALL {
        stage.fake.reset();
        stage.fake.script(Fault::new(Trouble::CutAfter(2)));
        let call = endpoint.call(&streamed(endpoint.body("cut")));
        let replies = all(&stage.client, vec![call.clone(); 4]).await.unwrap();
        assert!(
            replies
                .iter()
                .any(|reply| reply.text().contains("ended the stream early")),
            "{endpoint:?}"
        );
        for reply in &replies {
            let text = reply.text();
            assert!(
                text.contains(endpoint.end()) != text.contains("ended the stream early"),
                "{endpoint:?}: {text}"
            );
        }
        let after = stage.client.send(&call).await.unwrap();
        assert!(after.text().contains(endpoint.end()));
    }
}

#[tokio::test]
async fn wait_ends_and_the_follower_asks_itself() {
    let stage = Stage::start(cached("singleFlight: {wait: 50ms}")).await.unwrap();
    for (leads, events) in [(ask("plain"), 0), (streamed(ask("of a stream")), 2)] {
        let mut follows = leads.clone();
        follows["stream"] = false.into();
        let leader = stalled_leader(&stage, Call::messages(&leads), events).await.unwrap();
        let own = stage.messages(&follows).await.unwrap();
        assert_eq!(own.cache_status(), "llmcache; fwd=miss; stored");
        stage.fake.release();
        assert_eq!(leader.await.unwrap().unwrap().status, 200);
    }
    assert_eq!(stage.fake.calls(), 4);
}

#[tokio::test]
async fn refreshes_unstored_calls_and_a_disabled_flight_neither_lead_nor_follow() {
    for (members, directive) in [
        ("", "no-store"),
        ("", "no-cache"),
        ("", "max-age=0"),
        ("singleFlight: {mode: Disabled}", "max-age=60"),
    ] {
        let stage = Stage::start(cached(members)).await.unwrap();
        let call = Call::messages(&ask(directive)).header("cache-control", directive);
        let leader = stalled_leader(&stage, call.clone(), 0).await.unwrap();
        assert_eq!(stage.client.send(&call).await.unwrap().status, 200);
        assert!(!leader.is_finished());
        stage.fake.release();
        leader.await.unwrap().unwrap();
        assert_eq!(stage.fake.calls(), 2, "{directive}");
    }
}
