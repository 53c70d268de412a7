use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::*;

mod hostile;
pub(crate) mod server;

use server::{Server, eventually};

const ANSWER: &str = "the clear answer";

fn key(n: u8) -> Digest {
    Digest([n; 32])
}

pub(crate) fn place(secret: &str, policy: &str) -> Place {
    let key = NamespaceKey::derive(format!("{secret} and some more length").as_bytes(), "uid").unwrap();
    Place {
        key,
        namespace: "shop".into(),
        policy: policy.into(),
        value_bytes: 1 << 20,
    }
}

pub(crate) fn entry(value: &[u8]) -> Arc<Entry> {
    Arc::new(Entry {
        stored_at_ms: 1_000,
        ttl: Duration::from_hours(1),
        max_age: Duration::from_hours(2),
        epoch: 7,
        tags: vec!["user:alice".into()],
        class: "dynamic".into(),
        model: "claude-haiku-5-5".into(),
        value: Bytes::copy_from_slice(value),
    })
}

/// Long enough for any test; what is frozen answers no sooner.
fn patient() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn hurried() -> Deadline {
    Deadline::after(Duration::from_millis(25))
}

pub(crate) async fn open(server: &Server, place: Place) -> Redis {
    let redis = Redis::open(&server.url(), place).unwrap();
    reachable(&redis).await;
    redis
}

pub(crate) async fn reachable(redis: &Redis) {
    eventually(|| redis.stats().breaker_open.load(Ordering::Relaxed) == 0).await;
}

async fn write(redis: &Redis, n: u8, value: &[u8]) {
    redis.put(key(n), entry(value), 1_000);
    redis.flush().await;
}

fn count(redis: &Redis, counter: fn(&StoreStats) -> &AtomicU64) -> u64 {
    counter(redis.stats()).load(Ordering::Relaxed)
}

#[tokio::test]
async fn an_entry_comes_back_as_it_was_written() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    assert_eq!(redis.get(&key(1), patient()).await, None);
    for (n, value) in [
        (1, ANSWER.as_bytes().to_vec()),
        (2, vec![]),
        (3, b"0123456789".repeat(50_000)),
    ] {
        write(&redis, n, &value).await;
        let decoded = redis.get(&key(n), patient()).await.unwrap();
        assert_eq!(decoded.entry, *entry(&value));
        assert!(redis.is_own(&decoded));
    }
    let counted = (
        count(&redis, |s| &s.misses),
        count(&redis, |s| &s.hits),
        count(&redis, |s| &s.writes),
    );
    assert_eq!(counted, (1, 3, 3));
}

#[tokio::test]
async fn another_process_with_the_same_key_reads_it_as_not_its_own() {
    let server = Server::start().await;
    let (one, two) = (
        open(&server, place("a", "p")).await,
        open(&server, place("a", "p")).await,
    );
    write(&one, 1, b"v").await;
    let decoded = two.get(&key(1), patient()).await.unwrap();
    assert!(!two.is_own(&decoded));
}

#[tokio::test]
async fn every_key_expires_no_later_than_its_entry() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    for n in 0..20 {
        redis.put(key(n), entry(b"v"), 1_000 + 60_000 * u64::from(n));
    }
    redis.flush().await;
    let names = server.names().await;
    assert_eq!(names.len(), 20);
    for name in names {
        let left: i64 = server.ask(::redis::cmd("PTTL").arg(&name)).await;
        let n = (0..20).find(|n| name.ends_with(&key(*n).to_string())).unwrap();
        assert!(left > 0 && left <= 3_600_000 - 60_000 * i64::from(n), "{name}: {left}");
    }
}

#[tokio::test]
async fn an_entry_whose_life_is_over_is_not_written() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    redis.put(key(1), entry(b"v"), 1_000 + 3_600_000);
    redis.flush().await;
    assert!(server.names().await.is_empty());
    assert_eq!(count(&redis, |s| &s.errors), 0);
}

#[tokio::test]
async fn nothing_in_the_store_is_clear() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "support-bot")).await;
    write(&redis, 1, ANSWER.as_bytes()).await;
    let names = server.names().await;
    let value: Vec<u8> = server.ask(::redis::cmd("GET").arg(&names[0])).await;
    let stored = [names[0].as_bytes(), &value].concat();
    for clear in [
        ANSWER,
        "user:alice",
        "support-bot",
        "shop",
        "dynamic",
        "claude-haiku-5-5",
    ] {
        assert!(
            !stored.windows(clear.len()).any(|bytes| bytes == clear.as_bytes()),
            "{clear}"
        );
    }
    let parts: Vec<&str> = names[0].split(':').collect();
    assert_eq!(
        parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
        [8, 32, 32, 1, 64]
    );
}

#[tokio::test]
async fn a_removal_follows_the_write_before_it() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    redis.put(key(1), entry(b"v"), 1_000);
    redis.remove(key(1));
    redis.flush().await;
    assert!(server.names().await.is_empty());
}

#[tokio::test]
async fn a_value_over_the_cap_is_skipped_and_counted() {
    let server = Server::start().await;
    let redis = open(
        &server,
        Place {
            value_bytes: 40,
            ..place("a", "p")
        },
    )
    .await;
    write(&redis, 1, ANSWER.as_bytes()).await;
    assert!(server.names().await.is_empty());
    assert_eq!(count(&redis, |s| &s.oversize), 1);
}

#[tokio::test]
async fn what_the_queue_cannot_hold_is_shed_and_counted() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    // The writing task cannot run before this one waits.
    (0..1_030).for_each(|_| redis.put(key(1), entry(b"v"), 1_000));
    assert_eq!(count(&redis, |s| &s.shed), 6);
    redis.flush().await;
    let large = entry(&vec![0; 5 << 20]);
    (0..3).for_each(|_| redis.put(key(2), large.clone(), 1_000));
    assert_eq!(count(&redis, |s| &s.shed), 8);
    redis.flush().await;
    assert_eq!(count(&redis, |s| &s.writes), 1_024 + 1);
}

#[tokio::test]
async fn a_malformed_url_names_the_flag_and_keeps_the_password() {
    let cases = [
        ("redis//user:hunter2@host", "redis url did not parse"),
        ("", "redis url did not parse"),
        ("http://user:hunter2@host", "redis url did not parse"),
        ("redis://:hunter2@host:port", "redis url did not parse"),
        ("redis://:hunter2@host/first", "invalid database number"),
        ("redis://:hunter2@host?protocol=hunter2", "invalid protocol version"),
        (
            "rediss://:hunter2@host",
            "can't connect with tls, the feature is not enabled",
        ),
    ];
    for (url, why) in cases {
        let error = Redis::open(url, place("a", "p")).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("--redis: {why}, give redis://[user:password@]host[:port][/database]")
        );
    }
}
