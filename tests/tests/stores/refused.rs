//! A store that cannot be used: misses and one warning, never a failed request.

use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Authority, Call, Redis};

use crate::{ask, eventually, is_away, launch};

/// Asks under these arguments; gives the log, which must hold the warning and no password.
async fn refused(args: &[&str]) -> String {
    let fake = Fake::start(FakeConfig::default()).await.unwrap();
    let sidecar = launch(&fake, args).start().await.unwrap();
    for n in 0..20 {
        let call = Call::messages(&ask(&format!("refused {n}")));
        assert_eq!(sidecar.client().send(&call).await.unwrap().status, 200);
    }
    let warning = "store is not reachable";
    eventually("it is said", async || sidecar.log().contains(warning))
        .await
        .unwrap();
    assert!(is_away(&sidecar).await.unwrap());
    let log = sidecar.log();
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert!(!log.contains("sesame"), "{log}");
    log
}

#[tokio::test]
async fn dead_addresses_of_every_mode_are_misses() {
    for (url, why) in [
        ("redis://:sesame@127.0.0.1:1", "refused"),
        (
            "redis+sentinel://:sesame@127.0.0.1:1,127.0.0.1:2/cache",
            "no sentinel answers",
        ),
        ("redis+cluster://:sesame@127.0.0.1:1", "127.0.0.1:1"),
        ("redis://no-such-host.invalid", ""),
    ] {
        let log = refused(&["--redis", url]).await;
        assert!(log.contains(why), "{log}");
    }
}

#[tokio::test]
async fn wrong_login_is_a_miss() {
    let redis = Redis::start_with(&["requirepass open"]).await.unwrap();
    for login in [":sesame@", "nobody:sesame@", ""] {
        refused(&["--redis", &format!("redis://{login}{}", redis.address())]).await;
    }
}

#[tokio::test]
async fn certificate_of_another_authority_or_for_another_host_is_a_miss() {
    let [right, wrong] = [(); 2].map(|()| (Authority::new().unwrap(), tempfile::tempdir().unwrap()));
    let elsewhere = Authority::naming(&["cache.example"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (authority, folder) in [(&right.0, &right.1), (&wrong.0, &wrong.1), (&elsewhere, &folder)] {
        authority.write(folder.path()).unwrap();
    }
    let redis = Redis::start_tls(&right.0, &["requirepass sesame"]).await.unwrap();
    let other = Redis::start_tls(&elsewhere, &["requirepass sesame"]).await.unwrap();
    let ca = |folder: &tempfile::TempDir| folder.path().join("ca.pem").display().to_string();
    for args in [
        vec!["--redis", &redis.tls_url(":sesame"), "--redis-ca", &ca(&wrong.1)],
        vec!["--redis", &redis.tls_url(":sesame")],
        vec!["--redis", &other.tls_url(":sesame"), "--redis-ca", &ca(&folder)],
    ] {
        let log = refused(&args).await;
        assert!(log.contains("certificate"), "{log}");
    }
}
