//! Two namespaces with one secret file. With a login of its own neither reaches the other's keys at all; with one shared
//! login it can destroy or fill, never read, forge or ban.

use llmcache_cache::seal;
use llmcache_policy::{NamespaceKey, redis_acl};
use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Call, Redis, Sidecar, eventually, metric};
use redis::{FromRedisValue, RedisResult, Value};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{POLICY, SECRET, first_turn, is_remembered, launch, of_user, reaches_store};

/// A store and two namespaces on it.
struct Tenants {
    fake: Fake,
    redis: Redis,
}

impl Tenants {
    async fn start() -> Self {
        Self {
            fake: Fake::start(FakeConfig::default()).await.unwrap(),
            redis: Redis::start().await.unwrap(),
        }
    }

    /// Runs a command as the administrator, or as a user.
    async fn run<T: FromRedisValue>(&self, user: Option<&str>, command: &[&[u8]]) -> RedisResult<T> {
        let client = redis::Client::open(self.url(user))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut sent = redis::cmd(std::str::from_utf8(command[0]).unwrap());
        for argument in &command[1..] {
            sent.arg(*argument);
        }
        sent.query_async(&mut connection).await
    }

    fn url(&self, user: Option<&str>) -> String {
        let url = self.redis.url();
        match user {
            None => url,
            Some(user) => url.replace("redis://", &format!("redis://{user}:password-of-{user}@")),
        }
    }

    /// Makes the login of a namespace as the operator will.
    async fn login(&self, namespace: &str) {
        let hash = hex::encode(Sha256::digest(format!("password-of-{namespace}")));
        let rules = redis_acl::rules(&prefix(namespace), &hash);
        let mut command: Vec<&[u8]> = vec![b"ACL", b"SETUSER", namespace.as_bytes()];
        command.extend(rules.iter().map(String::as_bytes));
        let _: String = self.run(None, &command).await.unwrap();
    }

    async fn pod(&self, namespace: &str, user: Option<&str>) -> Sidecar {
        let launch = launch(POLICY, &self.fake, &self.url(user), SECRET);
        let sidecar = launch.args(["--namespace", namespace]).start().await.unwrap();
        reaches_store(&sidecar).await.unwrap();
        sidecar
    }

    /// All keys of a namespace.
    async fn keys(&self, namespace: &str) -> Vec<String> {
        let pattern = format!("{}*", prefix(namespace));
        self.run(None, &[b"KEYS", pattern.as_bytes()]).await.unwrap()
    }

    async fn key(&self, namespace: &str, part: &str) -> String {
        let keys = self.keys(namespace).await;
        keys.into_iter().find(|key| key.contains(part)).unwrap()
    }
}

fn key_of(namespace: &str) -> seal::NamespaceKey {
    let key = NamespaceKey::derive(SECRET, namespace).unwrap();
    seal::NamespaceKey::new(key.bytes(), key.redis_prefix())
}

fn prefix(namespace: &str) -> String {
    NamespaceKey::derive(SECRET, namespace).unwrap().redis_prefix()
}

fn secret_question() -> Call {
    of_user("what is my balance?", "alice")
}

async fn is_hit(pod: &Sidecar, call: &Call) -> bool {
    let call = call.clone().header("cache-control", "only-if-cached");
    pod.client().send(&call).await.is_ok_and(|reply| reply.is_hit())
}

/// An answer of `a`, stored.
async fn bought(tenants: &Tenants, a: &Sidecar) {
    a.client().send(&secret_question()).await.unwrap();
    eventually("it is stored", async || {
        tenants.keys("a").await.iter().any(|key| key.contains(":r:"))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn own_logins_serve_their_own_namespace() {
    let tenants = Tenants::start().await;
    tenants.login("a").await;
    let (one, two) = (tenants.pod("a", Some("a")).await, tenants.pod("a", Some("a")).await);
    bought(&tenants, &one).await;
    eventually("a pod with the same login reads it", async || {
        is_hit(&two, &secret_question()).await
    })
    .await
    .unwrap();
    one.client().send(&first_turn("where is my parcel?")).await.unwrap();
    eventually("and remembers how its conversations were routed", async || {
        is_remembered(&two, "where is my parcel?").await
    })
    .await
    .unwrap();
    let ban = Call::post("/llmcache/invalidate", json!({"pattern": "user:alice"}).to_string());
    let said = two.client().send(&ban).await.unwrap().json().unwrap();
    assert_eq!(
        (&said["matched"], &said["reach"], &said["complete"]),
        (&json!(1), &json!("Store"), &json!(true))
    );
    eventually("and bans for both", async || !is_hit(&one, &secret_question()).await)
        .await
        .unwrap();
    let denied: Vec<Value> = tenants.run(None, &[b"ACL", b"LOG"]).await.unwrap();
    assert!(
        denied.is_empty(),
        "the rules leave out a command that sidecars send: {denied:?}"
    );
}

#[tokio::test]
async fn another_namespaces_login_has_no_access_to_any_key() {
    let tenants = Tenants::start().await;
    tenants.login("a").await;
    tenants.login("b").await;
    let a = tenants.pod("a", Some("a")).await;
    bought(&tenants, &a).await;
    a.client().send(&first_turn("where is my parcel?")).await.unwrap();
    eventually("its route is noted", async || {
        tenants.keys("a").await.iter().any(|key| key.contains(":n:"))
    })
    .await
    .unwrap();
    let mut attempts = 0;
    for key in tenants.keys("a").await {
        let key = key.as_bytes();
        let attacks: [&[&[u8]]; 14] = [
            &[b"GET", key],
            &[b"GETRANGE", key, b"0", b"-1"],
            &[b"PTTL", key],
            &[b"TYPE", key],
            &[b"ZRANGE", key, b"0", b"-1"],
            &[b"ZSCAN", key, b"0"],
            &[b"SET", key, b"forged"],
            &[b"ZADD", key, b"9", b"forged"],
            &[b"DEL", key],
            &[b"UNLINK", key],
            &[b"PEXPIRE", key, b"1"],
            &[b"ZREM", key, b"x"],
            &[b"EVAL", b"return redis.call('GET', KEYS[1])", b"1", key],
            &[b"EVAL", b"return redis.call('DEL', ARGV[1])", b"0", key],
        ];
        for attack in attacks {
            let tried: RedisResult<Value> = tenants.run(Some("b"), attack).await;
            let error = tried.unwrap_err().to_string();
            let is_denied = ["permissions", "can't access"]
                .iter()
                .any(|words| error.contains(words));
            assert!(is_denied, "{}: {error}", String::from_utf8_lossy(attack[0]));
            attempts += 1;
        }
    }
    assert!(
        attempts >= 14 * 4,
        "answers, lists, notes and the log of bans were all attacked"
    );
    let general: [&[&[u8]]; 8] = [
        &[b"KEYS", b"*"],
        &[b"SCAN", b"0"],
        &[b"RANDOMKEY"],
        &[b"FLUSHALL"],
        &[b"MONITOR"],
        &[b"CONFIG", b"GET", b"*"],
        &[b"ACL", b"LIST"],
        &[b"SUBSCRIBE", b"*"],
    ];
    for attack in general {
        let tried: RedisResult<Value> = tenants.run(Some("b"), attack).await;
        assert!(tried.is_err(), "{}", String::from_utf8_lossy(attack[0]));
    }
    assert!(is_hit(&a, &secret_question()).await);
}

#[tokio::test]
async fn with_a_shared_login_another_namespace_reads_nothing() {
    let tenants = Tenants::start().await;
    let (a, b) = (tenants.pod("a", None).await, tenants.pod("b", None).await);
    bought(&tenants, &a).await;
    assert!(!is_hit(&b, &secret_question()).await);
    let answer = tenants.key("a", ":r:").await;
    let value: Vec<u8> = tenants.run(None, &[b"GET", answer.as_bytes()]).await.unwrap();
    // Neither b's key nor any name it could think of opens it.
    let head = 5 + usize::try_from(u32::from_be_bytes(value[1..5].try_into().unwrap())).unwrap();
    for name in [answer.clone(), answer.replace(&prefix("a"), &prefix("b"))] {
        let opened = key_of("b").open(name.as_bytes(), b"head", &value[5..head]);
        assert_eq!(opened, None);
        let opened = key_of("a").open(name.as_bytes(), b"head", &value[5..head]);
        assert_eq!(
            opened.is_some(),
            name == answer,
            "the attempt is made as the owner makes it"
        );
    }
    // Nor does b's own sidecar serve a copy under its own name.
    b.client().send(&secret_question()).await.unwrap();
    eventually("b has an answer of its own", async || {
        tenants.keys("b").await.iter().any(|key| key.contains(":r:"))
    })
    .await
    .unwrap();
    let own = tenants.key("b", ":r:").await;
    let _: String = tenants
        .run(None, &[b"SET", own.as_bytes(), &value, b"PX", b"3000000"])
        .await
        .unwrap();
    let fresh = tenants.pod("b", None).await;
    assert!(!is_hit(&fresh, &secret_question()).await);
}

#[tokio::test]
async fn with_a_shared_login_an_answer_cannot_be_forged() {
    let tenants = Tenants::start().await;
    let (a, b) = (tenants.pod("a", None).await, tenants.pod("b", None).await);
    bought(&tenants, &a).await;
    b.client().send(&secret_question()).await.unwrap();
    eventually("b has an answer of its own", async || {
        tenants.keys("b").await.iter().any(|key| key.contains(":r:"))
    })
    .await
    .unwrap();
    let (of_a, of_b) = (tenants.key("a", ":r:").await, tenants.key("b", ":r:").await);
    let genuine: Vec<u8> = tenants.run(None, &[b"GET", of_a.as_bytes()]).await.unwrap();
    let foreign: Vec<u8> = tenants.run(None, &[b"GET", of_b.as_bytes()]).await.unwrap();
    let head = 5 + usize::try_from(u32::from_be_bytes(genuine[1..5].try_into().unwrap())).unwrap();
    let sealed = key_of("b").seal(of_a.as_bytes(), b"head", b"{}").unwrap();
    let made = [
        &[2][..],
        &u32::try_from(sealed.len()).unwrap().to_be_bytes(),
        &sealed,
        &foreign[head..],
    ]
    .concat();
    let mut flipped = genuine.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let grafted = [&genuine[..head], &foreign[head..]].concat();
    for forged in [foreign, made, flipped, grafted, b"garbage".to_vec()] {
        let _: String = tenants
            .run(None, &[b"SET", of_a.as_bytes(), &forged, b"PX", b"3000000"])
            .await
            .unwrap();
        let fresh = tenants.pod("a", None).await;
        assert!(!is_hit(&fresh, &secret_question()).await);
    }
    let _: String = tenants
        .run(None, &[b"SET", of_a.as_bytes(), &genuine, b"PX", b"3000000"])
        .await
        .unwrap();
    let fresh = tenants.pod("a", None).await;
    assert!(
        is_hit(&fresh, &secret_question()).await,
        "the genuine one is served: the attempts were real"
    );
}

#[tokio::test]
async fn with_a_shared_login_a_ban_cannot_be_made_or_repeated() {
    let tenants = Tenants::start().await;
    let (a, b) = (tenants.pod("a", None).await, tenants.pod("b", None).await);
    // A true ban of a's own, and one of b's, to be copied.
    for pod in [&a, &b] {
        let ban = Call::post("/llmcache/invalidate", json!({"pattern": "*"}).to_string());
        assert_eq!(pod.client().send(&ban).await.unwrap().status, 200);
    }
    bought(&tenants, &a).await;
    let (of_a, of_b) = (tenants.key("a", "b").await, tenants.key("b", "b").await);
    let log_of = |keys: Vec<String>| keys.into_iter().find(|key| key.ends_with(":b")).unwrap();
    let (of_a, of_b) = (
        log_of(vec![of_a, log_of(tenants.keys("a").await)]),
        log_of(vec![of_b, log_of(tenants.keys("b").await)]),
    );
    let members = async |key: &str| -> Vec<Vec<u8>> {
        tenants
            .run(None, &[b"ZRANGE", key.as_bytes(), b"0", b"-1"])
            .await
            .unwrap()
    };
    let (own, foreign) = (members(&of_a).await, members(&of_b).await);
    assert_eq!((own.len(), foreign.len()), (2, 2));
    let sealed = key_of("b")
        .seal(of_a.as_bytes(), &[0; 16], br#"{"pattern":"*"}"#)
        .unwrap();
    // A member has one score: a ban that is repeated stands at its new place.
    let moved = own[1].clone();
    for (score, forged) in [
        ("2", foreign[1].clone()),
        ("3", sealed),
        ("4", b"garbage".to_vec()),
        ("5", moved),
    ] {
        if score == "5" {
            // A reader whose last ban is moved away takes the log for one that went back and replaces it: that kills
            // answers, it does not ban. Here the question is what the moved one does, so nobody may be that far behind.
            eventually("the forged ones are read", async || {
                let page = a.admin().send(&Call::get("/metrics")).await.unwrap().text();
                metric(&page, "llmcache_store_bad_entries_total", &["redis"]) > 2.5
            })
            .await
            .unwrap();
        }
        let _: i64 = tenants
            .run(None, &[b"ZADD", of_a.as_bytes(), score.as_bytes(), &forged])
            .await
            .unwrap();
        let fresh = tenants.pod("a", None).await;
        assert!(is_hit(&fresh, &secret_question()).await, "score {score}");
    }
    // The true thing, for comparison.
    let ban = Call::post("/llmcache/invalidate", json!({"pattern": "user:alice"}).to_string());
    assert_eq!(a.client().send(&ban).await.unwrap().status, 200);
    let fresh = tenants.pod("a", None).await;
    assert!(!is_hit(&fresh, &secret_question()).await);
}

#[tokio::test]
async fn with_a_shared_login_destroying_is_possible_and_costs_answers_alone() {
    let tenants = Tenants::start().await;
    let a = tenants.pod("a", None).await;
    bought(&tenants, &a).await;
    for key in tenants.keys("a").await {
        let _: i64 = tenants.run(None, &[b"DEL", key.as_bytes()]).await.unwrap();
    }
    eventually("its answers are gone", async || !is_hit(&a, &secret_question()).await)
        .await
        .unwrap();
    assert_eq!(a.client().send(&secret_question()).await.unwrap().status, 200);
    eventually("and are bought again", async || is_hit(&a, &secret_question()).await)
        .await
        .unwrap();
}
