//! One user per namespace, made, made again and taken away.

use std::collections::BTreeMap;
use std::sync::Arc;

use llmcache_operator::facts::{Key, Namespace};
use llmcache_operator::index::{Change, Delta};
use llmcache_operator::install_secret::InstallSecret;
use llmcache_operator::plan::Planner;
use llmcache_operator::settings::Settings;
use llmcache_operator::stores::StoreBook;
use llmcache_operator::stores::acl::{Keeper, Users, marks, wanted};
use llmcache_operator::world::World;
use llmcache_policy::NamespaceKey;
use llmcache_tests::kit::{Authority, Guards, Node, Redis, RedisCluster, RedisSentinel, eventually};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Client, ErrorKind, RedisResult, TlsCertificates};
use serde_json::json;

const PASSWORD: &str = "sesame";
const TEN_MINUTES_MS: i64 = 600_000;

/// An install whose namespaces each have a policy of class `fast`.
struct Install {
    secret: InstallSecret,
    stores: StoreBook,
}

impl Install {
    /// `redis` is the class's value without login and certificates.
    fn new(secret: [u8; 32], redis: &str, ca: Option<Vec<u8>>) -> Self {
        let tls = ca.as_ref().map_or("", |_| "tls: {enabled: true, caSecret: ca}, ");
        let class = format!("fast: {{redis: {{{redis}, {tls}secretName: login, credentials: perNamespace}}}}");
        let settings = format!("sidecar: {{image: \"s:1\"}}\nstoreClasses: {{{class}}}\n");
        let value = |key: &str, value: Vec<u8>| BTreeMap::from([(key.to_owned(), value.into())]);
        let login = ("login".to_owned(), value("password", PASSWORD.into()));
        let ca = ca.map(|ca| ("ca".to_owned(), value("ca.crt", ca)));
        let secrets = [login].into_iter().chain(ca).collect();
        Self {
            secret: InstallSecret {
                current: secret.into(),
                previous: None,
            },
            stores: StoreBook::new(Arc::new(Settings::parse(&settings).unwrap()), "system", secrets),
        }
    }

    fn users(&self, namespaces: &[&str]) -> Users {
        let settings = "sidecar: {image: \"s:1\"}\nstoreClasses: {fast: {redis: {addresses: [\"a.b:1\"]}}}\n";
        let settings = Settings::parse(settings).unwrap();
        let mut world = World::default();
        let known = namespaces.iter().map(|name| Namespace {
            key: Key {
                namespace: String::new(),
                name: (*name).into(),
            },
            uid: uid(name),
            labels: BTreeMap::new(),
        });
        world.index.apply(Change::Namespaces(Delta::All(known.collect())));
        let policies = namespaces.iter().map(|namespace| {
            let policy = json!({"apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCachePolicy",
                "metadata": {"namespace": namespace, "name": "p", "uid": namespace, "generation": 1},
                "spec": {"stores": {"class": "fast"}}});
            serde_json::from_value(policy).unwrap()
        });
        world.index.apply(Change::Policies(Delta::All(policies.collect())));
        world.plan = Planner::default().plan(&world.index, &settings, 0);
        wanted(&world, "fast", &self.secret)
    }

    fn key(&self, namespace: &str) -> NamespaceKey {
        self.secret.keys(&uid(namespace)).unwrap().current
    }

    /// Makes the Redis have the users of these namespaces; gives how many it wrote.
    async fn sync(&self, keeper: &mut Keeper, namespaces: &[&str], now_ms: i64) -> u64 {
        let admin = self.stores.admin("fast").unwrap();
        let users = self.users(namespaces);
        let done = keeper.sync(&admin, &users, &marks(&self.secret), now_ms).await.unwrap();
        assert_eq!(done.errors, Vec::<String>::new());
        done.written
    }

    /// Logs in as a sidecar of the namespace does.
    async fn enter(&self, namespace: &str) -> RedisResult<MultiplexedConnection> {
        let redis = self.stores.redis_for("fast", &self.key(namespace)).unwrap();
        let client = if redis.ca.is_empty() {
            Client::open(redis.url)?
        } else {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: Some(redis.ca),
            };
            Client::build_with_tls(redis.url, certificates)?
        };
        client.get_multiplexed_async_connection().await
    }
}

fn uid(namespace: &str) -> String {
    format!("uid-{namespace}")
}

const SECRET: [u8; 32] = *b"an install secret of some length";

fn single(redis: &Redis) -> Install {
    Install::new(SECRET, &format!("addresses: ['{}']", redis.address()), None)
}

/// Whether a server knows the user of a namespace.
async fn knows(node: &Node, install: &Install, namespace: &str) -> bool {
    let users = node.command("ACL USERS").await.unwrap();
    users.contains(&install.key(namespace).redis_user())
}

#[tokio::test]
async fn a_namespace_enters_over_tls_and_reaches_its_own_keys_alone() {
    let authority = Authority::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    authority.write(folder.path()).unwrap();
    let ca = std::fs::read(folder.path().join("ca.pem")).unwrap();
    let redis = Redis::start_tls(&authority, &[&format!("requirepass {PASSWORD}")])
        .await
        .unwrap();
    let url = redis.tls_url("");
    let address = url.rsplit_once('@').unwrap().1;
    let install = Install::new(SECRET, &format!("addresses: ['{address}']"), Some(ca));
    assert_eq!(install.sync(&mut Keeper::default(), &["shop", "bank"], 0).await, 2);

    let mut shop = install.enter("shop").await.unwrap();
    let own = format!("{}a", install.key("shop").redis_prefix());
    let theirs = format!("{}a", install.key("bank").redis_prefix());
    let () = shop.set(&own, "1").await.unwrap();
    let mut bank = install.enter("bank").await.unwrap();
    let () = bank.set(&theirs, "2").await.unwrap();
    for refused in [
        shop.get::<_, Option<String>>(&theirs).await.map(drop),
        shop.set(&theirs, "3").await,
        bank.get::<_, Option<String>>(&own).await.map(drop),
        redis::cmd("KEYS").arg("*").query_async(&mut shop).await,
        redis::cmd("FLUSHALL").query_async(&mut shop).await,
        redis::cmd("ACL").arg("LIST").query_async(&mut shop).await,
        redis::cmd("PUBLISH")
            .arg(&marks(&install.secret)[0])
            .arg("x")
            .query_async(&mut shop)
            .await,
    ] {
        assert_eq!(refused.unwrap_err().code(), Some("NOPERM"));
    }
    let kept: String = bank.get(&theirs).await.unwrap();
    assert_eq!(kept, "2");
}

#[tokio::test]
async fn users_are_written_once_and_again_after_a_restart_forgot_them() {
    let redis = Redis::start_with(&[&format!("requirepass {PASSWORD}")]).await.unwrap();
    let install = single(&redis);
    let mut keeper = Keeper::default();
    assert_eq!(install.sync(&mut keeper, &["shop"], 0).await, 1);
    assert_eq!(install.sync(&mut keeper, &["shop"], 5_000).await, 0);
    assert_eq!(install.sync(&mut keeper, &["shop", "bank"], 10_000).await, 1);
    redis.restart().await.unwrap();
    assert_eq!(
        install.enter("shop").await.unwrap_err().kind(),
        ErrorKind::AuthenticationFailed
    );
    assert_eq!(install.sync(&mut keeper, &["shop", "bank"], 15_000).await, 2);
    assert!(install.enter("shop").await.is_ok());
    // What somebody else did to a user is mended in time.
    let user = install.key("shop").redis_user();
    redis.command(&format!("ACL SETUSER {user} off")).await.unwrap();
    assert!(install.enter("shop").await.is_err());
    install.sync(&mut keeper, &["shop", "bank"], TEN_MINUTES_MS).await;
    assert!(install.enter("shop").await.is_ok());
}

#[tokio::test]
async fn users_of_namespaces_that_are_gone_go_after_ten_minutes_and_no_others() {
    let redis = Redis::start_with(&[&format!("requirepass {PASSWORD}")]).await.unwrap();
    let install = single(&redis);
    let other = Install::new([7; 32], &format!("addresses: ['{}']", redis.address()), None);
    other.sync(&mut Keeper::default(), &["shop"], 0).await;
    redis
        .command("ACL SETUSER llmcache-made-by-hand on nopass")
        .await
        .unwrap();
    let mut keeper = Keeper::default();
    install.sync(&mut keeper, &["shop", "bank"], 0).await;
    assert_eq!(install.sync(&mut keeper, &["bank"], 1_000).await, 0);
    assert!(install.enter("shop").await.is_ok(), "its sidecars may not have heard");
    // Wanted again and once more not: the time begins anew.
    install.sync(&mut keeper, &["shop", "bank"], 300_000).await;
    install.sync(&mut keeper, &["bank"], 400_000).await;
    install.sync(&mut keeper, &["bank"], 400_000 + TEN_MINUTES_MS - 1).await;
    assert!(install.enter("shop").await.is_ok());
    install.sync(&mut keeper, &["bank"], 400_000 + TEN_MINUTES_MS).await;
    assert_eq!(
        install.enter("shop").await.unwrap_err().kind(),
        ErrorKind::AuthenticationFailed
    );
    assert!(install.enter("bank").await.is_ok());
    assert!(other.enter("shop").await.is_ok(), "another install's");
    let users = redis.command("ACL USERS").await.unwrap();
    assert!(users.contains("llmcache-made-by-hand"), "{users}");
}

#[tokio::test]
async fn users_of_the_secret_before_go_too() {
    let redis = Redis::start_with(&[&format!("requirepass {PASSWORD}")]).await.unwrap();
    let before = single(&redis);
    before.sync(&mut Keeper::default(), &["shop"], 0).await;
    let mut after = Install::new([7; 32], &format!("addresses: ['{}']", redis.address()), None);
    after.secret.previous = Some(before.secret.current.clone());
    let mut keeper = Keeper::default();
    after.sync(&mut keeper, &["shop"], 1_000).await;
    assert!(before.enter("shop").await.is_ok(), "its sidecars may not have heard");
    after.sync(&mut keeper, &["shop"], 1_000 + TEN_MINUTES_MS).await;
    assert_eq!(
        before.enter("shop").await.unwrap_err().kind(),
        ErrorKind::AuthenticationFailed
    );
    assert!(after.enter("shop").await.is_ok());
}

#[tokio::test]
async fn a_wrong_login_is_told_without_the_password() {
    let redis = Redis::start_with(&["requirepass another"]).await.unwrap();
    let install = single(&redis);
    let admin = install.stores.admin("fast").unwrap();
    let done = Keeper::default()
        .sync(&admin, &install.users(&["shop"]), &marks(&install.secret), 0)
        .await
        .unwrap();
    assert_eq!((done.written, done.errors.len()), (0, 1));
    assert!(done.errors[0].starts_with(&redis.address()), "{}", done.errors[0]);
    assert!(!done.errors[0].contains(PASSWORD), "{}", done.errors[0]);
}

#[tokio::test]
async fn master_and_replicas_behind_sentinels_have_the_users_and_keep_them_when_the_master_dies() {
    let guards = Guards {
        password: Some(PASSWORD),
        ..Guards::default()
    };
    let group = RedisSentinel::start_with(guards).await.unwrap();
    let addresses: Vec<String> = group
        .sentinels
        .iter()
        .map(|node| format!("'{}'", node.address()))
        .collect();
    let redis = format!("mode: Sentinel, master: cache, addresses: [{}]", addresses.join(", "));
    let install = Install::new(SECRET, &redis, None);
    let mut keeper = Keeper::default();
    assert_eq!(install.sync(&mut keeper, &["shop"], 0).await, 3);
    for server in &group.servers {
        assert!(knows(server, &install, "shop").await);
    }
    group.servers[0].kill().await.unwrap();
    let admin = install.stores.admin("fast").unwrap();
    let users = install.users(&["shop", "bank"]);
    eventually("the new master has the new user", async || {
        let _ = keeper.sync(&admin, &users, &marks(&install.secret), 1_000).await;
        let mut known = 0;
        for server in &group.servers[1..] {
            known += usize::from(knows(server, &install, "bank").await);
        }
        known == 2
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn every_server_of_a_cluster_has_the_users() {
    let cluster = RedisCluster::start().await.unwrap();
    let redis = format!(
        "mode: Cluster, addresses: ['127.0.0.1:1', '{}']",
        cluster.nodes[4].address()
    );
    for node in &cluster.nodes {
        node.command(&format!("CONFIG SET masterauth {PASSWORD} requirepass {PASSWORD}"))
            .await
            .unwrap();
    }
    let install = Install::new(SECRET, &redis, None);
    assert_eq!(install.sync(&mut Keeper::default(), &["shop"], 0).await, 6);
    for node in &cluster.nodes {
        let url = format!(
            "redis://{}:{}@{}",
            install.key("shop").redis_user(),
            *install.key("shop").redis_password(),
            node.address()
        );
        assert!(
            Client::open(url)
                .unwrap()
                .get_multiplexed_async_connection()
                .await
                .is_ok()
        );
    }
}
