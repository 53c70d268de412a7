//! Answers past their life: who still gets them, how they are marked, what renews them, and what ends them for good.

use anyhow::Context;
use llmcache_tests::fake::{Fault, Trouble};
use llmcache_tests::kit::{Call, Reply, Stage, eventually, metric};
use serde_json::{Value, json};

use crate::{all, ask, ban, cached, cached_with, streamed};

mod bounds;

const CLASSES: &str = "  ttlClasses:
    - {name: revalidated, ttl: 1s, match: {anyKeyword: [revalidated]}, staleWhileRevalidate: 30m}
    - {name: rescued, ttl: 1s, match: {anyKeyword: [rescued]}, staleIfError: 30m}
    - {name: both, ttl: 1s, match: {anyKeyword: [both]}, staleWhileRevalidate: 30m, staleIfError: 30m}
    - {name: realtime, ttl: 1s, match: {anyKeyword: [realtime]}}";
/// Failures in a row: more than any test asks for.
const MANY: usize = 2_000;

async fn opened() -> anyhow::Result<Stage> {
    Stage::start(cached_with("", CLASSES)).await
}

/// Whether a hit was past its life.
fn is_stale_hit(reply: &Reply) -> bool {
    let is_marked = reply.cache_status().starts_with("llmcache; hit; ttl=-");
    is_marked && reply.cache_status().ends_with("; detail=result")
}

fn is_rescued(reply: &Reply, status: u16) -> bool {
    reply.cache_status() == format!("llmcache; fwd=stale; fwd-status={status}; detail=stale-if-error")
}

fn fail(stage: &Stage, status: u16, times: usize) {
    (0..times).for_each(|_| stage.fake.script(Fault::status(status)));
}

/// In seconds; 0 where it is not told.
fn age(reply: &Reply) -> u64 {
    reply.header("age").parse().unwrap_or_default()
}

/// Asks until an answer is as wanted; gives that one.
async fn until(stage: &Stage, body: &Value, what: &str, is_wanted: impl Fn(&Reply) -> bool) -> anyhow::Result<Reply> {
    let mut last = None;
    eventually(what, async || {
        last = stage.messages(body).await.ok();
        last.as_ref().is_some_and(&is_wanted)
    })
    .await?;
    last.context("no answer")
}

/// Buys an answer whose refresh then hangs, and waits until it is served stale; gives both.
async fn hanging(stage: &Stage, body: &Value) -> anyhow::Result<(Reply, Reply)> {
    let first = stage.messages(body).await?;
    stage.fake.script(Fault::new(Trouble::StallAfter(0)));
    let kept = until(stage, body, "the answer is served stale", is_stale_hit).await?;
    eventually("the refresh hangs", async || stage.fake.stalled() == 1).await?;
    Ok((first, kept))
}

#[tokio::test]
async fn any_number_of_readers_has_one_refresh_behind() {
    let stage = opened().await.unwrap();
    let body = ask("revalidated");
    let (first, kept) = hanging(&stage, &body).await.unwrap();
    assert_eq!(kept.body, first.body);
    assert!(age(&kept) >= 1, "{:?}", kept.headers);

    let calls = (0..20).map(|n| {
        Call::messages(&if n % 2 == 0 {
            body.clone()
        } else {
            streamed(body.clone())
        })
    });
    for (n, reply) in all(&stage.client, calls.collect()).await.unwrap().iter().enumerate() {
        assert!(is_stale_hit(reply), "{n}: {}", reply.cache_status());
        let id = first.json().unwrap()["id"].as_str().unwrap().to_owned();
        assert!(reply.text().contains(&id), "{n}: {}", reply.text());
        assert_eq!(
            n % 2 == 1,
            reply.header("content-type").starts_with("text/event-stream")
        );
    }
    assert_eq!((stage.fake.calls(), stage.fake.stalled()), (2, 1));

    stage.fake.release();
    let fresh = until(&stage, &body, "the refresh replaces the answer", |reply| {
        reply.body != first.body
    })
    .await
    .unwrap();
    assert!(fresh.is_hit() && !is_stale_hit(&fresh), "{}", fresh.cache_status());
    assert_eq!(stage.fake.calls(), 2);
}

#[tokio::test]
async fn streamed_answer_is_served_stale_and_renewed_too() {
    let stage = opened().await.unwrap();
    let body = streamed(ask("revalidated"));
    let (first, kept) = hanging(&stage, &body).await.unwrap();
    let id = |reply: &Reply| {
        let text = reply.text();
        text.split_once("\"id\":\"")
            .unwrap()
            .1
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(id(&kept), id(&first));
    assert!(kept.text().contains("message_stop"));
    stage.fake.release();
    until(&stage, &body, "the refresh replaces the answer", |reply| {
        id(reply) != id(&first)
    })
    .await
    .unwrap();
    assert_eq!(stage.fake.calls(), 2);
}

#[tokio::test]
async fn reader_who_leaves_does_not_end_the_refresh() {
    let stage = opened().await.unwrap();
    let body = ask("revalidated");
    let first = stage.messages(&body).await.unwrap();
    stage.fake.script(Fault::new(Trouble::StallAfter(0)));
    // Each opens the answer and leaves without reading it.
    eventually("the refresh hangs", async || {
        drop(stage.client.open(&Call::messages(&body)).await.unwrap());
        stage.fake.stalled() == 1
    })
    .await
    .unwrap();
    stage.fake.release();
    until(&stage, &body, "the refresh replaces the answer", |reply| {
        reply.body != first.body
    })
    .await
    .unwrap();
    assert_eq!(stage.fake.calls(), 2);
}

#[tokio::test]
async fn failed_refresh_leaves_the_answer_until_its_stale_time_or_max_age_ends() {
    for (members, classes) in [
        ("", "  ttlClasses: [{name: short, ttl: 1s, staleWhileRevalidate: 1s}]"),
        (
            "maxAge: 2s",
            "  ttlClasses: [{name: short, ttl: 1s, staleWhileRevalidate: 2s}]",
        ),
        (
            "",
            "  ttlClasses: [{name: short, ttl: 1s, staleWhileRevalidate: 1s, staleIfError: 1s}]",
        ),
        ("maxAge: 2s", "  ttlClasses: [{name: short, ttl: 1s, staleIfError: 2s}]"),
    ] {
        let stage = Stage::start(cached_with(members, classes)).await.unwrap();
        let body = ask("short");
        let first = stage.messages(&body).await.unwrap();
        fail(&stage, 529, MANY);
        let (mut times, mut oldest) = (0, 0);
        eventually("the answer ends", async || {
            let reply = stage.messages(&body).await.unwrap();
            if reply.status == 529 {
                return true;
            }
            assert_eq!(reply.body, first.body, "{classes}");
            times += usize::from(is_stale_hit(&reply) || is_rescued(&reply, 529));
            oldest = oldest.max(age(&reply));
            false
        })
        .await
        .unwrap();
        assert!(times > 0, "{classes}: never served stale");
        assert!(oldest <= 2, "{classes}: served {oldest} s old");
        stage.fake.reset();
        assert!(!stage.messages(&body).await.unwrap().is_hit(), "{classes}");
        assert!(
            stage.messages(&body).await.unwrap().is_hit(),
            "{classes}: the new answer is kept"
        );
    }
}

#[tokio::test]
async fn overload_and_server_errors_are_rescued_and_no_other() {
    let stage = opened().await.unwrap();
    let body = ask("rescued");
    let first = stage.messages(&body).await.unwrap();
    for status in [529, 500, 502, 503, 504, 429] {
        fail(&stage, status, 1);
        let what = format!("{status} is rescued");
        let reply = until(&stage, &body, &what, |reply| is_rescued(reply, status))
            .await
            .unwrap();
        assert_eq!((reply.status.as_u16(), &reply.body), (200, &first.body));
        assert!(age(&reply) >= 1);
        fail(&stage, status, 1);
        let stream = stage.messages(&streamed(body.clone())).await.unwrap();
        assert!(is_rescued(&stream, status), "{}", stream.cache_status());
        assert!(stream.text().contains("message_stop"), "{}", stream.text());
    }
    for status in [400, 401, 403, 404, 413] {
        fail(&stage, status, 1);
        let reply = stage.messages(&body).await.unwrap();
        assert_eq!(reply.status, status);
        assert!(!reply.cache_status().contains("stale"), "{}", reply.cache_status());
    }
    // The provider is well again: its answer is what comes, and what is kept.
    let renewed = stage.messages(&body).await.unwrap();
    assert!(
        !renewed.is_hit() && renewed.body != first.body,
        "{}",
        renewed.cache_status()
    );
    assert_eq!(stage.messages(&body).await.unwrap().body, renewed.body);
}

#[tokio::test]
async fn provider_that_is_gone_is_rescued() {
    let stage = opened().await.unwrap();
    let body = ask("rescued");
    let first = stage.messages(&body).await.unwrap();
    for _ in 0..2 * MANY {
        stage.fake.script(Fault::new(Trouble::Reset));
    }
    let reply = until(&stage, &body, "it is rescued", |reply| !reply.is_hit())
        .await
        .unwrap();
    assert_eq!(reply.body, first.body, "{}", reply.cache_status());
    let Stage { fake, client, .. } = stage;
    let stream = client.send(&Call::messages(&streamed(body.clone()))).await.unwrap();
    assert!(stream.text().contains("message_stop"), "{}", stream.text());
    fake.stop().await;
    let reply = client.send(&Call::messages(&body)).await.unwrap();
    assert_eq!((reply.status.as_u16(), &reply.body), (200, &first.body));
    assert!(
        reply.cache_status().ends_with("detail=stale-if-error"),
        "{}",
        reply.cache_status()
    );
}

#[tokio::test]
async fn nothing_stale_is_served_after_a_ban() {
    let stage = opened().await.unwrap();
    let body = ask("rescued");
    stage.messages(&body).await.unwrap();
    fail(&stage, 529, MANY);
    until(&stage, &body, "it is rescued", |reply| is_rescued(reply, 529))
        .await
        .unwrap();
    assert_eq!(ban(&stage, json!({"pattern": "*"})).await.unwrap().0, 200);
    assert_eq!(stage.messages(&body).await.unwrap().status, 529);
}

#[tokio::test]
async fn ban_while_the_provider_is_asked_forbids_the_stale_answer() {
    for is_banned in [false, true] {
        let stage = opened().await.unwrap();
        let body = ask("rescued");
        let first = stage.messages(&body).await.unwrap();
        fail(&stage, 529, 1);
        until(&stage, &body, "it is rescued", |reply| is_rescued(reply, 529))
            .await
            .unwrap();
        stage.fake.script(Fault::new(Trouble::StallAfter(0)));
        let (client, call) = (stage.client.clone(), Call::messages(&body));
        let asked = tokio::spawn(async move { client.send(&call).await });
        eventually("the provider is asked", async || stage.fake.stalled() == 1)
            .await
            .unwrap();
        if is_banned {
            assert_eq!(ban(&stage, json!({"pattern": "*"})).await.unwrap().0, 200);
        }
        stage.fake.stop().await;
        let reply = asked.await.unwrap().unwrap();
        let is_stale = reply.cache_status().contains("stale-if-error");
        assert_eq!(
            (reply.status.as_u16(), is_stale),
            if is_banned { (502, false) } else { (200, true) }
        );
        assert_eq!(reply.body == first.body, !is_banned);
    }
}

#[tokio::test]
async fn refresh_from_before_a_ban_renews_nothing() {
    let stage = opened().await.unwrap();
    let body = ask("revalidated");
    let (first, _) = hanging(&stage, &body).await.unwrap();
    assert_eq!(ban(&stage, json!({"pattern": "*"})).await.unwrap().0, 200);
    let new = stage.messages(&body).await.unwrap();
    assert!(!new.is_hit() && new.body != first.body, "{}", new.cache_status());
    stage.fake.release();
    eventually("the old refresh ends", async || {
        let page = stage.metrics().await.unwrap();
        metric(&page, "llmcache_upstream_requests_total", &["status=\"200\""]) > 2.5
    })
    .await
    .unwrap();
    let hit = stage.messages(&body).await.unwrap();
    assert_eq!(hit.body, new.body, "{}", hit.cache_status());
    assert_eq!(stage.fake.calls(), 3);
}

#[tokio::test]
async fn class_without_stale_times_has_no_stale_answers() {
    for classes in [CLASSES, "  ttlClasses: [{name: dynamic, ttl: 1s}]"] {
        let stage = Stage::start(cached_with("", classes)).await.unwrap();
        let body = ask("realtime");
        stage.messages(&body).await.unwrap();
        fail(&stage, 529, 1);
        let end = until(&stage, &body, "its life ends", |reply| !reply.is_hit())
            .await
            .unwrap();
        assert_eq!(end.status, 529, "{}", end.cache_status());
        assert!(!stage.messages(&body).await.unwrap().is_hit());
    }
    let stage = Stage::start(cached("")).await.unwrap();
    stage.messages(&ask("default class")).await.unwrap();
    fail(&stage, 529, 1);
    let call = Call::messages(&ask("default class")).header("cache-control", "no-cache");
    assert_eq!(stage.client.send(&call).await.unwrap().status, 529);
}

#[tokio::test]
async fn client_that_wants_a_fresh_answer_gets_none_that_is_stale() {
    let stage = opened().await.unwrap();
    let body = ask("both");
    let (first, _) = hanging(&stage, &body).await.unwrap();
    for control in ["no-cache", "no-store", "max-age=0"] {
        let call = Call::messages(&body).header("cache-control", control);
        let reply = stage.client.send(&call).await.unwrap();
        assert!(
            !reply.is_hit() && reply.body != first.body,
            "{control}: {}",
            reply.cache_status()
        );
    }
    stage.fake.release();
    // Nor one in place of an error.
    let body = ask("rescued");
    stage.messages(&body).await.unwrap();
    fail(&stage, 529, 1);
    until(&stage, &body, "it is rescued", |reply| is_rescued(reply, 529))
        .await
        .unwrap();
    for control in ["no-cache", "no-store", "max-age=0", "max-age=3600"] {
        fail(&stage, 529, 1);
        let call = Call::messages(&body).header("cache-control", control);
        assert_eq!(stage.client.send(&call).await.unwrap().status, 529, "{control}");
    }
    let call = Call::messages(&body).header("cache-control", "only-if-cached");
    assert_eq!(stage.client.send(&call).await.unwrap().status, 504);
}

#[tokio::test]
async fn both_times_together_serve_at_once_and_survive_a_failing_provider() {
    let stage = opened().await.unwrap();
    let body = ask("both");
    let first = stage.messages(&body).await.unwrap();
    fail(&stage, 529, MANY);
    let kept = until(&stage, &body, "the answer is served stale", is_stale_hit)
        .await
        .unwrap();
    assert_eq!(kept.body, first.body);
    stage.fake.reset();
    let renewed = until(&stage, &body, "a later refresh succeeds", |reply| {
        reply.body != first.body
    })
    .await
    .unwrap();
    assert!(renewed.is_hit(), "{}", renewed.cache_status());
}

#[tokio::test]
async fn many_who_ask_while_the_provider_fails_all_get_the_stale_answer() {
    let stage = opened().await.unwrap();
    let body = ask("rescued");
    let first = stage.messages(&body).await.unwrap();
    fail(&stage, 529, MANY);
    until(&stage, &body, "it is rescued", |reply| is_rescued(reply, 529))
        .await
        .unwrap();
    let calls = vec![Call::messages(&body); 20];
    for reply in all(&stage.client, calls).await.unwrap() {
        assert!(is_rescued(&reply, 529), "{}", reply.cache_status());
        assert_eq!(reply.body, first.body);
    }
}
