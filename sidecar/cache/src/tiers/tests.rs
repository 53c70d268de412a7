use futures_util::FutureExt as _;

use super::*;
use crate::redis::Place;
use crate::redis::tests::server::Server;
use crate::redis::tests::{entry, open, place};

mod histories;

const NOW: u64 = 2_000;

fn patient() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn key(n: u8) -> Digest {
    Digest([n; 32])
}

fn tiers(shared: Option<Redis>) -> Tiers {
    Tiers::new(Memory::new(1 << 20), shared)
}

async fn with_redis(server: &Server) -> Tiers {
    let tiers = tiers(Some(open(server, place("a", "p")).await));
    assert!(tiers.lease(patient()).await.is_some());
    tiers
}

fn answer(tiers: &Tiers, tag: &str) -> Entry {
    Entry {
        stamp: tiers.bans().stamp().unwrap(),
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
    let found = tiers.lookup(&key(n).into(), NOW, patient()).await;
    assert!(found.stamp.is_some());
    found.entry.is_some()
}

async fn flush(tiers: &Tiers) {
    tiers.shared.as_ref().unwrap().flush().await;
}

#[tokio::test]
async fn an_admitted_answer_is_a_hit_at_once_until_its_ttl() {
    let tiers = tiers(None);
    assert!(!hit(&tiers, 1).await);
    let entry = answer(&tiers, "a");
    let (stale, end) = (entry.stored_at_ms + 3_600_000, entry.stored_at_ms + 7_200_000);
    assert_eq!(tiers.admit(key(1), entry.clone(), NOW, &mut None), Admission::Stored);
    let found = tiers.lookup(&key(1).into(), NOW, Deadline::after(Duration::ZERO)).await;
    assert_eq!(found.entry, Some(Arc::new(entry.clone())));
    assert_eq!(
        tiers.peek(&key(1), stale).unwrap().staleness(stale),
        Some(Duration::ZERO)
    );
    assert_eq!(tiers.peek(&key(1), end), None);
    assert_eq!(tiers.admit(key(1), entry, stale, &mut None), Admission::Expired);
}

#[tokio::test]
async fn an_answer_in_flight_when_a_ban_comes_is_not_admitted() {
    let tiers = tiers(None);
    let (covered, other) = (answer(&tiers, "a"), answer(&tiers, "b"));
    tiers.issue(&ban("a"), NOW).await.unwrap();
    assert_eq!(tiers.admit(key(1), covered, NOW, &mut None), Admission::Banned);
    assert_eq!(tiers.admit(key(2), other, NOW, &mut None), Admission::Stored);
    assert_eq!(
        tiers.admit(key(1), answer(&tiers, "a"), NOW, &mut None),
        Admission::Stored
    );
    assert!(hit(&tiers, 1).await && hit(&tiers, 2).await);
}

#[tokio::test]
async fn a_ban_counts_and_frees_what_it_matches_and_a_dry_run_only_counts() {
    let tiers = tiers(None);
    for n in 0..100 {
        tiers.admit(
            key(n),
            answer(&tiers, if n < 30 { "user:1:x" } else { "user:2" }),
            NOW,
            &mut None,
        );
    }
    let dry = tiers.dry_run(&ban("user:1:*"), NOW).await.unwrap();
    assert_eq!(
        dry,
        Issued {
            id: None,
            matched: 30,
            is_complete: true,
            reach: Reach::Pod,
        }
    );
    assert_eq!((tiers.memory.len(), tiers.bans().len()), (100, 0));
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
        tiers.admit(key(n), answer(&tiers, "a"), NOW, &mut None);
    }
    let live = Live::new(&ban("a"), NOW);
    tiers.bans.issue(live.clone());
    let swept = Swept::default();
    *swept.lock() = Some(HashSet::new());
    let sweep = Sweep {
        live,
        is_dry: true,
        now_ms: NOW,
    };
    // A dry run counts what is alive, and here nothing is.
    let is_complete = count::until(&tiers.memory, &tiers.bans, &sweep, &swept, Instant::now());
    assert!(!is_complete && swept.lock().as_ref().unwrap().is_empty());
    let sweep = Sweep { is_dry: false, ..sweep };
    let is_complete = count::until(&tiers.memory, &tiers.bans, &sweep, &swept, Instant::now());
    assert_eq!(
        (swept.lock().as_ref().unwrap().len() as u64, is_complete),
        (count::STRIDE, false)
    );
    assert!(!hit(&tiers, 1).await);
}

#[tokio::test]
async fn a_hit_in_the_shared_store_moves_to_memory() {
    let server = Server::start().await;
    let (one, two) = (with_redis(&server).await, with_redis(&server).await);
    one.admit(key(1), answer(&one, "a"), NOW, &mut None);
    flush(&one).await;
    assert_eq!(two.peek(&key(1), NOW), None);
    assert!(hit(&two, 1).await);
    assert_eq!(two.peek(&key(1), NOW).unwrap().value, "v");
    drop(server);
    assert!(two.peek(&key(1), NOW).is_some());
}

#[tokio::test]
async fn a_ban_kills_in_its_own_process_at_once_and_elsewhere_within_the_lease() {
    let server = Server::start().await;
    let (one, two) = (with_redis(&server).await, with_redis(&server).await);
    for (n, tag) in [(1, "a"), (2, "b")] {
        one.admit(key(n), answer(&one, tag), NOW, &mut None);
    }
    flush(&one).await;
    assert!(hit(&two, 1).await && hit(&two, 2).await);
    let issued = one.issue(&ban("a"), NOW).await.unwrap();
    assert!(issued.id.is_some() && issued.is_complete);
    assert_eq!((issued.matched, issued.reach), (1, Reach::Store));
    assert!(!hit(&one, 1).await && hit(&one, 2).await);
    let known = || two.bans().stamp() == one.bans().stamp();
    crate::redis::tests::server::eventually(known).await;
    assert!(!hit(&two, 1).await && hit(&two, 2).await);
    // What is asked for after the ban is cached again.
    two.admit(key(1), answer(&two, "a"), NOW, &mut None);
    assert!(hit(&two, 1).await);
    flush(&two).await;
    assert!(hit(&one, 1).await);
}

#[tokio::test]
async fn a_ban_survives_every_process_and_kills_what_the_store_still_holds() {
    let server = Server::start().await;
    let before = with_redis(&server).await;
    before.admit(key(1), answer(&before, "a"), NOW, &mut None);
    flush(&before).await;
    let value = server.dump(":r:").await;
    before.issue(&ban("a"), NOW).await.unwrap();
    drop(before);
    // The sweep has removed it; somebody who may write there puts it back.
    server.restore(&value).await;
    let after = with_redis(&server).await;
    assert!(!hit(&after, 1).await);
}

#[tokio::test]
async fn a_log_that_is_lost_takes_every_answer_with_it() {
    let server = Server::start().await;
    let (one, two) = (with_redis(&server).await, with_redis(&server).await);
    one.admit(key(1), answer(&one, "a"), NOW, &mut None);
    flush(&one).await;
    assert!(hit(&two, 1).await);
    let log = one.bans().stamp().unwrap().log;
    server.remove(":b").await;
    for tiers in [&one, &two] {
        // Used again and again: a lease is renewed for requests alone, and the first may have been under way before.
        let renewed = async {
            while tiers.bans().stamp().is_none_or(|stamp| stamp.log == log) {
                hit(tiers, 9).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), renewed).await.unwrap();
    }
    assert!(!hit(&one, 1).await && !hit(&two, 1).await);
    assert_eq!(one.bans().stamp(), two.bans().stamp());
}

#[tokio::test]
async fn a_ban_that_cannot_be_made_durable_holds_here_and_is_durable_later() {
    let server = Server::start().await;
    let (one, two) = (with_redis(&server).await, with_redis(&server).await);
    one.admit(key(1), answer(&one, "a"), NOW, &mut None);
    flush(&one).await;
    assert!(hit(&two, 1).await);
    server.set("maxmemory", "1").await;
    let issued = one.issue(&ban("a"), NOW).await.unwrap();
    assert_eq!((issued.id, issued.reach), (None, Reach::Pod));
    assert!(!hit(&one, 1).await && hit(&two, 1).await);
    server.set("maxmemory", "0").await;
    let epoch = |tiers: &Tiers| tiers.bans().stamp().unwrap().epoch;
    crate::redis::tests::server::eventually(|| epoch(&one) == 1 && epoch(&two) == 1).await;
    assert!(!hit(&two, 1).await);
    crate::redis::tests::server::eventually(|| one.bans().left().is_empty()).await;
    one.admit(key(1), answer(&one, "a"), NOW, &mut None);
    assert!(hit(&one, 1).await);
}

#[tokio::test]
async fn without_a_lease_nothing_is_served_or_may_be_stored() {
    let server = Server::start().await;
    let tiers = with_redis(&server).await;
    tiers.admit(key(1), answer(&tiers, "a"), NOW, &mut None);
    assert!(hit(&tiers, 1).await);
    server.signal("STOP");
    let over = || tiers.peek(&key(1), NOW).is_none();
    crate::redis::tests::server::eventually(over).await;
    let found = tiers
        .lookup(&key(1).into(), NOW, Deadline::after(Duration::from_millis(25)))
        .await;
    assert_eq!((found.entry, found.stamp), (None, None));
    server.signal("CONT");
    let back = || tiers.peek(&key(1), NOW).is_some();
    crate::redis::tests::server::eventually(back).await;
}

#[tokio::test]
async fn a_sweep_frees_by_tag_and_spares_what_replaced_the_banned() {
    let server = Server::start().await;
    let tiers = with_redis(&server).await;
    for n in 0..100 {
        let tag = if n < 30 { "user:1:x" } else { "user:2" };
        tiers.admit(key(n), answer(&tiers, tag), NOW, &mut None);
    }
    flush(&tiers).await;
    let dry = tiers.dry_run(&ban("user:1:*"), NOW).await.unwrap();
    assert_eq!((dry.matched, dry.is_complete, dry.id), (30, true, None));
    let issued = tiers.issue(&ban("user:1:*"), NOW).await.unwrap();
    assert_eq!((issued.matched, issued.is_complete), (30, true));
    let names = server.names().await;
    assert_eq!(names.iter().filter(|name| name.contains(":r:")).count(), 70);
    tiers.admit(key(1), answer(&tiers, "user:1:x"), NOW, &mut None);
    flush(&tiers).await;
    let again = tiers.issue(&ban("user:1:y"), NOW).await.unwrap();
    assert_eq!(again.matched, 0);
    assert!(hit(&tiers, 1).await);
}

#[tokio::test]
async fn a_ban_whose_issuer_went_away_is_made_durable_all_the_same() {
    let server = Server::start().await;
    let (one, two) = (with_redis(&server).await, with_redis(&server).await);
    assert!(one.issue(&ban("a"), NOW).now_or_never().is_none());
    let epoch = |tiers: &Tiers| tiers.bans().stamp().unwrap().epoch;
    crate::redis::tests::server::eventually(|| epoch(&one) == 1 && epoch(&two) == 1).await;
    // Nothing is held any longer: a new answer is cached.
    crate::redis::tests::server::eventually(|| one.bans().len() == 1).await;
    let stored = one.admit(key(1), answer(&one, "a"), NOW, &mut None);
    assert_eq!((stored, hit(&one, 1).await), (Admission::Stored, true));
}

#[tokio::test]
async fn a_log_that_merged_the_last_ban_known_here_is_read_on() {
    let server = Server::start().await;
    let one = with_redis(&server).await;
    one.issue(&ban("a"), NOW).await.unwrap();
    // Reads the log once, and not again by itself.
    let idle = Place {
        lease: Duration::from_hours(1),
        ..place("a", "p")
    };
    let two = tiers(Some(open(&server, idle).await));
    let log = two.lease(patient()).await.unwrap().log;
    one.issue(&ban("b"), NOW).await.unwrap();
    one.issue(&ban("c"), NOW).await.unwrap();
    server.forget_oldest(":b", 2).await;
    two.issue(&ban("d"), NOW).await.unwrap();
    assert_eq!(two.bans().stamp(), Some(Stamp { log, epoch: 4 }));
}

#[tokio::test]
async fn a_log_that_was_replaced_does_not_come_back() {
    let server = Server::start().await;
    let tiers = with_redis(&server).await;
    let first = answer(&tiers, "a");
    let kept = server.copy(":b").await;
    server.remove(":b").await;
    tiers.issue(&ban("a"), NOW).await.unwrap();
    let second = tiers.bans().stamp().unwrap();
    server.paste(&kept).await;
    tiers.issue(&ban("b"), NOW).await.unwrap();
    let third = tiers.bans().stamp().unwrap();
    assert!(third.log != first.stamp.log && third.log != second.log);
    assert_eq!(tiers.admit(key(1), first, NOW, &mut None), Admission::Banned);
}

#[tokio::test]
async fn a_ban_told_to_many_processes_is_brought_by_the_first() {
    let server = Server::start().await;
    let (first, second) = (with_redis(&server).await, with_redis(&server).await);
    let issued = first.issue_once(&ban("a"), "told", NOW).await.unwrap();
    assert_eq!(issued.reach, Reach::Store);
    first.admit(key(1), answer(&first, "a"), NOW, &mut None);
    flush(&first).await;
    let again = second.issue_once(&ban("a"), "told", NOW).await.unwrap();
    assert_eq!((again.id, again.reach), (issued.id, Reach::Store));
    assert!(hit(&first, 1).await && hit(&second, 1).await, "it came after the ban");
    // One that is held while its process did not know the store's log is brought once, too.
    second.hold(&ban("a"), "told", NOW);
    let released = async {
        while !hit(&second, 1).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), released).await.unwrap();
    first.issue_once(&ban("a"), "told again", NOW).await.unwrap();
    assert!(!hit(&first, 1).await);
}

#[tokio::test]
async fn another_capacity_keeps_answers_and_bans() {
    let tiers = tiers(None);
    for (n, tag) in [(1, "a"), (2, "b")] {
        tiers.admit(key(n), answer(&tiers, tag), NOW, &mut None);
    }
    let larger = tiers.with_capacity(2 << 20);
    assert!(hit(&larger, 1).await && hit(&larger, 2).await);
    larger.issue(&ban("a"), NOW).await.unwrap();
    assert!(!hit(&tiers, 1).await && !hit(&larger, 1).await && hit(&larger, 2).await);
    assert!(tiers.with_capacity(1).memory.is_empty());
}

#[tokio::test]
async fn a_lower_ttl_makes_what_is_near_stale_and_the_store_is_asked() {
    let server = Server::start().await;
    let (near, far) = (with_redis(&server).await, with_redis(&server).await);
    near.admit(key(1), answer(&near, "a"), NOW, &mut None);
    let younger = Entry {
        stored_at_ms: 1_900,
        ..answer(&far, "b")
    };
    far.admit(key(1), younger, NOW, &mut None);
    flush(&near).await;
    flush(&far).await;
    let found = async |ttl| {
        let keys = key(1).into();
        let found = near.lookup_within(&keys, NOW, Duration::from_millis(ttl), patient());
        found.await.entry.unwrap().tags.clone()
    };
    assert_eq!(found(60_000).await, ["a"]);
    assert_eq!(found(500).await, ["b"]);
}
