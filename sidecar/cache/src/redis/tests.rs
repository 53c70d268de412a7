use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::entry::Layer;
use crate::seal::NamespaceKey;

mod cells;
mod cluster;
mod hostile;
mod notes;
pub(crate) mod server;

use self::server::{Server, eventually};

const ANSWER: &str = "the clear answer";

pub(crate) fn address(port: u16) -> super::Server {
    super::Server::parse(&format!("redis://127.0.0.1:{port}")).unwrap()
}

fn key(n: u8) -> Digest {
    Digest([n; 32])
}

pub(crate) fn place(secret: &str, policy: &str) -> Place {
    let mut bytes = [0; 32];
    bytes[..secret.len()].copy_from_slice(secret.as_bytes());
    let key = NamespaceKey::new(&bytes, format!("llmcache:{secret}:"));
    Place {
        keys: key.into(),
        policy: policy.into(),
        value_bytes: 1 << 20,
        longest_life: Duration::from_hours(2),
        lease: crate::lease::LENGTH,
    }
}

pub(crate) fn entry(value: &[u8]) -> Arc<Entry> {
    Arc::new(Entry {
        stored_at_ms: 1_000,
        ttl: Duration::from_hours(1),
        keep: Duration::from_hours(2),
        stamp: Stamp { log: 1, epoch: 7 },
        layer: Layer::Result,
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

const CALL: Duration = Duration::from_secs(5);

fn hurried() -> Deadline {
    Deadline::after(Duration::from_millis(25))
}

pub(crate) async fn open(server: &Server, place: Place) -> Redis {
    let redis = Redis::open(&address(server.port()), place);
    reachable(&redis).await;
    redis
}

pub(crate) async fn reachable(redis: &Redis) {
    eventually(|| redis.stats().breaker_open.load(Ordering::Relaxed) == 0).await;
}

async fn write(redis: &Redis, n: u8, value: &[u8]) {
    redis.put(key(n), entry(value), 1_000, None);
    redis.flush().await;
}

async fn read(redis: &Redis, n: u8) -> Option<Bytes> {
    read_by(redis, n, patient()).await
}

async fn read_by(redis: &Redis, n: u8, deadline: Deadline) -> Option<Bytes> {
    redis
        .get(&key(n).into(), 1_000, deadline)
        .await
        .entry
        .map(|entry| entry.value)
}

/// Names of answers alone.
async fn answers(server: &Server) -> Vec<String> {
    let names = server.names().await;
    names.into_iter().filter(|name| name.contains(":r:")).collect()
}

pub(crate) fn by_pattern(pattern: &str) -> crate::bans::Ban {
    crate::bans::Ban {
        pattern: Some(pattern.into()),
        ..crate::bans::Ban::default()
    }
}

fn count(redis: &Redis, counter: fn(&StoreStats) -> &AtomicU64) -> u64 {
    counter(redis.stats()).load(Ordering::Relaxed)
}

#[tokio::test]
async fn an_entry_comes_back_as_it_was_written() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    assert_eq!(read(&redis, 1).await, None);
    for (n, value) in [
        (1, ANSWER.as_bytes().to_vec()),
        (2, vec![]),
        (3, b"0123456789".repeat(50_000)),
    ] {
        write(&redis, n, &value).await;
        let found = redis.get(&key(n).into(), 1_000, patient()).await.entry.unwrap();
        // The store's clock may count a few milliseconds already.
        assert!(found.age(1_000) < Duration::from_mins(1));
        assert_eq!(
            Entry {
                stored_at_ms: 1_000,
                ..found
            },
            *entry(&value)
        );
    }
    let counted = (
        count(&redis, |s| &s.misses),
        count(&redis, |s| &s.hits),
        count(&redis, |s| &s.writes),
    );
    assert_eq!(counted, (1, 3, 3));
}

#[tokio::test]
async fn every_key_expires_no_later_than_its_entry() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    for n in 0..20 {
        redis.put(key(n), entry(b"v"), 1_000 + 60_000 * u64::from(n), None);
    }
    redis.flush().await;
    let names = answers(&server).await;
    assert_eq!(names.len(), 20);
    for name in names {
        let left: i64 = server.ask(::redis::cmd("PTTL").arg(&name)).await;
        let n = (0..20).find(|n| name.contains(&key(*n).to_string())).unwrap();
        assert!(left > 0 && left <= 7_200_000 - 60_000 * i64::from(n), "{name}: {left}");
    }
}

#[tokio::test]
async fn an_entry_whose_life_is_over_is_not_written() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    redis.put(key(1), entry(b"v"), 1_000 + 7_200_000, None);
    redis.flush().await;
    assert!(answers(&server).await.is_empty());
    assert_eq!(count(&redis, |s| &s.errors), 0);
}

#[tokio::test]
async fn nothing_in_the_store_is_clear() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "support-bot")).await;
    write(&redis, 1, ANSWER.as_bytes()).await;
    let _: (String, bool) = redis
        .make_durable(&Live::new(&by_pattern("user:alice"), 1_000), CALL)
        .await
        .unwrap();
    let names = answers(&server).await;
    let mut stored = server.names().await.concat().into_bytes();
    stored.extend(server.ask::<Vec<u8>>(::redis::cmd("GET").arg(&names[0])).await);
    for name in server.names().await.iter().filter(|name| !name.contains(":r:")) {
        let members: Vec<Vec<u8>> = server.ask(::redis::cmd("ZRANGE").arg(name).arg(0).arg(-1)).await;
        stored.extend(members.concat());
    }
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
        [8, 1, 32, 1, 66]
    );
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
    assert!(answers(&server).await.is_empty());
    assert_eq!(count(&redis, |s| &s.oversize), 1);
}

#[tokio::test]
async fn what_the_queue_cannot_hold_is_shed_and_counted() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    // The writing task cannot run before this one waits.
    (0..4_096 + 6).for_each(|_| redis.put(key(1), entry(b"v"), 1_000, None));
    assert_eq!(count(&redis, |s| &s.shed), 6);
    redis.flush().await;
    let large = entry(&vec![0; 16 << 20]);
    (0..3).for_each(|_| redis.put(key(2), large.clone(), 1_000, None));
    assert_eq!(count(&redis, |s| &s.shed), 8);
    redis.flush().await;
    assert_eq!(count(&redis, |s| &s.writes), 4_096 + 1);
}
