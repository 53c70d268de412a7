use super::*;
use crate::redis::tests::server::Server;
use crate::redis::tests::{entry, open, place};

const NOW: u64 = 2_000;

fn key(n: u8) -> Digest {
    Digest([n; 32])
}

fn tiers(shared: Option<Redis>) -> Tiers {
    let bans = Arc::new(Bans::new(Duration::from_hours(168)));
    Tiers {
        memory: Memory::new(1 << 20),
        shared,
        bans,
    }
}

async fn with_redis(server: &Server) -> Tiers {
    tiers(Some(open(server, place("a", "p")).await))
}

fn answer(tiers: &Tiers, tag: &str) -> Entry {
    Entry {
        epoch: tiers.bans.epoch(),
        tags: vec![tag.into()],
        ..(*entry(b"v")).clone()
    }
}

fn ban(pattern: &str) -> Ban {
    Ban {
        pattern: Some(pattern.into()),
        ..Ban::default()
    }
}

async fn hit(tiers: &Tiers, n: u8) -> bool {
    tiers
        .lookup(&key(n), NOW, Deadline::after(Duration::from_secs(20)))
        .await
        != Lookup::Miss
}

async fn flush(tiers: &Tiers) {
    tiers.shared.as_ref().unwrap().flush().await;
}

#[tokio::test]
async fn an_admitted_answer_is_a_hit_at_once_until_its_ttl() {
    let tiers = tiers(None);
    assert!(!hit(&tiers, 1).await);
    let entry = answer(&tiers, "a");
    let end = entry.stored_at_ms + 3_600_000;
    assert_eq!(tiers.admit(key(1), entry.clone(), NOW), Admission::Stored);
    assert_eq!(
        tiers.lookup(&key(1), NOW, Deadline::after(Duration::ZERO)).await,
        Lookup::Hit(Arc::new(entry.clone()))
    );
    assert_eq!(tiers.peek(&key(1), end), None);
    assert_eq!(tiers.admit(key(1), entry, end), Admission::Expired);
}

#[tokio::test]
async fn an_answer_in_flight_when_a_ban_comes_is_not_admitted() {
    let tiers = tiers(None);
    let (covered, other) = (answer(&tiers, "a"), answer(&tiers, "b"));
    tiers.issue(&ban("a"), NOW).await.unwrap();
    assert_eq!(tiers.admit(key(1), covered, NOW), Admission::Banned);
    assert_eq!(tiers.admit(key(2), other, NOW), Admission::Stored);
    assert_eq!(tiers.admit(key(1), answer(&tiers, "a"), NOW), Admission::Stored);
    assert!(hit(&tiers, 1).await && hit(&tiers, 2).await);
}

#[tokio::test]
async fn a_ban_counts_and_frees_what_it_matches_and_a_dry_run_only_counts() {
    let tiers = tiers(None);
    for n in 0..100 {
        tiers.admit(key(n), answer(&tiers, if n < 30 { "user:1:x" } else { "user:2" }), NOW);
    }
    let dry = tiers.dry_run(&ban("user:1:*"), NOW).await.unwrap();
    assert_eq!(
        dry,
        Issued {
            id: None,
            matched: 30,
            is_complete: true
        }
    );
    assert_eq!((tiers.memory.len(), tiers.bans.len()), (100, 0));
    let issued = tiers.issue(&ban("user:1:*"), NOW).await.unwrap();
    assert_eq!((issued.matched, issued.is_complete, tiers.memory.len()), (30, true, 70));
    let again = tiers.issue(&ban("user:1:*"), NOW).await.unwrap();
    assert_eq!(again.matched, 0);
    assert!(issued.id.is_some() && issued.id != again.id);
    assert!(tiers.issue(&Ban::default(), NOW).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn counting_stops_at_its_budget_with_the_ban_in_force() {
    let tiers = tiers(None);
    for n in 0..=255 {
        tiers.admit(key(n), answer(&tiers, "a"), NOW);
    }
    let live = tiers.bans.set(&ban("a"), NOW).unwrap();
    let (matched, is_complete) = count_until(&tiers.memory, &live, NOW, true, Instant::now());
    assert_eq!((matched, is_complete), (COUNT_STRIDE, false));
    assert!(!hit(&tiers, 1).await);
}

#[tokio::test]
async fn a_hit_in_the_shared_store_moves_to_memory() {
    let server = Server::start().await;
    let (one, two) = (with_redis(&server).await, with_redis(&server).await);
    one.admit(key(1), answer(&one, "a"), NOW);
    flush(&one).await;
    assert_eq!(two.peek(&key(1), NOW), None);
    assert!(hit(&two, 1).await);
    assert_eq!(two.peek(&key(1), NOW).unwrap().value, "v");
    drop(server);
    assert!(hit(&two, 1).await);
}

#[tokio::test]
async fn a_ban_covers_what_is_in_the_shared_store() {
    let server = Server::start().await;
    let (one, two) = (with_redis(&server).await, with_redis(&server).await);
    for (n, tag) in [(1, "a"), (2, "b")] {
        one.admit(key(n), answer(&one, tag), NOW);
    }
    flush(&one).await;
    for tiers in [&one, &two] {
        tiers.issue(&ban("a"), NOW).await.unwrap();
        assert!(!hit(tiers, 1).await && hit(tiers, 2).await);
    }
    // Written by a request that started after the ban.
    one.admit(
        key(1),
        Entry {
            stored_at_ms: NOW + 1,
            ..answer(&one, "a")
        },
        NOW + 1,
    );
    flush(&one).await;
    assert!(hit(&two, 1).await);
    two.issue(&ban("a"), NOW + 1).await.unwrap();
    assert!(!hit(&two, 1).await);
}

#[tokio::test]
async fn epochs_of_another_process_say_nothing_here() {
    let server = Server::start().await;
    let (one, two) = (with_redis(&server).await, with_redis(&server).await);
    for _ in 0..5 {
        one.issue(&ban("other"), NOW).await.unwrap();
    }
    one.admit(key(1), answer(&one, "a"), NOW);
    flush(&one).await;
    two.issue(&ban("a"), NOW).await.unwrap();
    assert!(hit(&one, 1).await);
    assert!(!hit(&two, 1).await);
}

#[tokio::test]
async fn a_removed_key_is_gone_from_both_tiers() {
    let server = Server::start().await;
    let tiers = with_redis(&server).await;
    tiers.admit(key(1), answer(&tiers, "a"), NOW);
    tiers.remove(&key(1));
    flush(&tiers).await;
    assert!(!hit(&tiers, 1).await);
}
