//! Sentinel: the master is found, and found again when it has moved.

use llmcache_tests::kit::{Authority, Guards, RedisSentinel, eventually};
use rustix::process::Signal;

use crate::{Pair, are_of_one_mind, questions};

/// Asks without end until the master is another than it was; every question must be answered.
async fn answered_until_moved(redis: &RedisSentinel, pair: &Pair, from: u16) {
    let mut asked = 0;
    eventually("another master", async || {
        for _ in 0..5 {
            asked += 1;
            pair.buy(&format!("meanwhile {asked}")).await.unwrap();
        }
        redis.master().await.is_ok_and(|master| master.port() != from)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn killed_master_is_replaced_and_no_request_fails() {
    let redis = RedisSentinel::start().await.unwrap();
    let pair = Pair::start(&["--redis", &redis.url()]).await.unwrap();
    pair.share(&questions("before", 3)).await.unwrap();
    let old = redis.master().await.unwrap();
    old.kill().await.unwrap();
    answered_until_moved(&redis, &pair, old.port()).await;
    pair.shares_again("after the fail-over").await.unwrap();
    assert!(
        pair.second
            .client()
            .send(&crate::asked("before 0"))
            .await
            .unwrap()
            .is_hit()
    );
}

#[tokio::test]
async fn ban_outlives_a_fail_over_that_it_was_copied_before() {
    let redis = RedisSentinel::start().await.unwrap();
    let pair = Pair::start(&["--redis", &redis.url()]).await.unwrap();
    are_of_one_mind(&pair, "before").await.unwrap();
    let old = redis.master().await.unwrap();
    eventually("the replicas have all", async || {
        let info = old.command("INFO replication").await.unwrap();
        let offset = |line: &str| {
            line.rsplit_once("offset")
                .map(|(_, rest)| rest.trim_matches([':', '=']).to_owned())
        };
        let own = info
            .lines()
            .find(|line| line.starts_with("master_repl_offset"))
            .and_then(offset);
        let copies = info.lines().filter(|line| line.starts_with("slave"));
        let copies = copies.map(|line| line.split("offset=").nth(1)?.split(',').next().map(str::to_owned));
        own.is_some() && copies.clone().count() == 2 && copies.into_iter().all(|copy| copy == own)
    })
    .await
    .unwrap();
    old.kill().await.unwrap();
    answered_until_moved(&redis, &pair, old.port()).await;
    pair.shares_again("after the fail-over").await.unwrap();
    for text in questions("before", 6) {
        let call = crate::asked(&text).header("cache-control", "only-if-cached");
        assert_eq!(pair.second.client().send(&call).await.unwrap().status, 504);
    }
    are_of_one_mind(&pair, "afterwards").await.unwrap();
}

#[tokio::test]
async fn frozen_master_that_comes_back_as_a_replica_is_left() {
    let redis = RedisSentinel::start().await.unwrap();
    let pair = Pair::start(&["--redis", &redis.url()]).await.unwrap();
    let old = redis.master().await.unwrap();
    old.signal(Signal::STOP).unwrap();
    answered_until_moved(&redis, &pair, old.port()).await;
    old.signal(Signal::CONT).unwrap();
    pair.shares_again("after the thaw").await.unwrap();
}

#[tokio::test]
async fn master_that_hands_over_while_all_is_well_is_left() {
    let redis = RedisSentinel::start().await.unwrap();
    let pair = Pair::start(&["--redis", &redis.url()]).await.unwrap();
    let old = redis.master().await.unwrap().port();
    // One of three is enough to know it, and one may be dead.
    redis.sentinels[2].kill().await.unwrap();
    let reply = redis.sentinels[0].command("SENTINEL FAILOVER cache").await.unwrap();
    assert!(reply.starts_with("+OK"), "{reply}");
    answered_until_moved(&redis, &pair, old).await;
    pair.shares_again("after the hand-over").await.unwrap();
}

#[tokio::test]
async fn sentinels_without_a_login_with_the_servers_and_with_their_own_are_entered() {
    for (password, query) in [(None, ""), (Some("p:ss"), ""), (Some("own"), "?sentinel_password=own")] {
        let guards = Guards {
            password: Some("p:ss"),
            sentinel_password: password,
            authority: None,
        };
        let redis = RedisSentinel::start_with(guards).await.unwrap();
        let url = format!("redis+sentinel://:p%3Ass@{}{query}", redis.address());
        let pair = Pair::start(&["--redis", &url]).await.unwrap();
        pair.share(&questions("with a login", 3)).await.unwrap();
    }
}

#[tokio::test]
async fn sentinels_and_servers_are_reached_over_tls() {
    let (authority, folder) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
    authority.write(folder.path()).unwrap();
    let guards = Guards {
        authority: Some(&authority),
        ..Guards::default()
    };
    let redis = RedisSentinel::start_with(guards).await.unwrap();
    let (url, ca) = (
        format!("rediss+sentinel://{}", redis.tls_address()),
        folder.path().join("ca.pem"),
    );
    let pair = Pair::start(&["--redis", &url, "--redis-ca", ca.to_str().unwrap()])
        .await
        .unwrap();
    pair.share(&questions("over tls", 3)).await.unwrap();
}
