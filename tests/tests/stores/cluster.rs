//! Cluster: every slot is reached, and reached again when its master is lost.

use llmcache_tests::kit::{Authority, RedisCluster, eventually};
use rustix::process::Signal;

use crate::{Pair, are_of_one_mind, questions};

#[tokio::test]
async fn two_processes_share_a_cluster_over_all_its_masters() {
    let redis = RedisCluster::start().await.unwrap();
    let pair = Pair::start(&["--redis", &redis.url()]).await.unwrap();
    pair.share(&questions("spread", 24)).await.unwrap();
    assert_eq!(pair.fake.log().len(), 24);
    let mut held = std::collections::BTreeSet::new();
    for key in redis.keys().await.unwrap() {
        held.insert(redis.master_of(&key).await.unwrap().port());
    }
    assert_eq!(held.len(), 3, "the answers are on all masters");
}

#[tokio::test]
async fn two_processes_on_a_cluster_are_of_one_mind() {
    let redis = RedisCluster::start().await.unwrap();
    let pair = Pair::start(&["--redis", &redis.url()]).await.unwrap();
    are_of_one_mind(&pair, "on a cluster").await.unwrap();
}

#[tokio::test]
async fn lost_master_is_replaced_and_no_request_fails() {
    for signal in [Signal::KILL, Signal::STOP] {
        let redis = RedisCluster::start().await.unwrap();
        let pair = Pair::start(&["--redis", &redis.url()]).await.unwrap();
        pair.share(&questions("before", 6)).await.unwrap();
        redis.nodes[0].signal(signal).unwrap();
        let mut asked = 0;
        eventually("its replica is master", async || {
            asked += 1;
            pair.buy(&format!("meanwhile {asked}")).await.unwrap();
            let role = redis.nodes[3].command("ROLE").await.unwrap();
            role.lines().any(|line| line == "master")
        })
        .await
        .unwrap();
        for n in 0..6 {
            pair.shares_again(&format!("after {signal:?} {n}")).await.unwrap();
        }
        pair.share(&questions("once it is whole again", 12)).await.unwrap();
    }
}

#[tokio::test]
async fn every_node_of_a_cluster_is_reached_over_tls() {
    let (authority, folder) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
    authority.write(folder.path()).unwrap();
    let redis = RedisCluster::start_tls(&authority).await.unwrap();
    let (url, ca) = (redis.tls_url(), folder.path().join("ca.pem"));
    let pair = Pair::start(&["--redis", &url, "--redis-ca", ca.to_str().unwrap()])
        .await
        .unwrap();
    pair.share(&questions("over tls", 12)).await.unwrap();
}
