//! One server: plain, and with TLS under an authority of its own and a login.

use llmcache_tests::kit::{Authority, Redis};

use crate::{Pair, questions};

#[tokio::test]
async fn two_processes_share_one_server() {
    let redis = Redis::start().await.unwrap();
    let pair = Pair::start(&["--redis", &format!("{}/3", redis.url())]).await.unwrap();
    pair.share(&questions("one server", 3)).await.unwrap();
    assert_eq!(pair.fake.log().len(), 3);
    let info = redis.command("INFO keyspace").await.unwrap();
    assert!(info.contains("db3:"), "{info}");
}

#[tokio::test]
async fn two_processes_share_a_server_behind_tls_and_a_login() {
    let (authority, folder) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
    authority.write(folder.path()).unwrap();
    let user = "user app on >sesame ~llmcache:* +@all";
    let redis = Redis::start_tls(&authority, &[user, "user default off"]).await.unwrap();
    let (url, ca) = (redis.tls_url("app:sesame"), folder.path().join("ca.pem"));
    let args = ["--redis", &url, "--redis-ca", ca.to_str().unwrap()];
    let pair = Pair::start(&args).await.unwrap();
    pair.share(&questions("behind tls", 3)).await.unwrap();
    assert_eq!(pair.fake.log().len(), 3);
}
