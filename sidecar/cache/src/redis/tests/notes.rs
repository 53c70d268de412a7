//! Notes: what is written, read and refused, and whose they are.

use super::super::notes::{NOTE_MAX, Note, Notes, Over};
use super::*;
use crate::seal::{Keyring, Keys};

const LIFE: Duration = Duration::from_hours(24);

async fn read_note(notes: &Notes, n: u8) -> Option<Vec<u8>> {
    let note = notes.read(&key(n).into(), patient()).await?;
    Some(note.value)
}

async fn write_note(redis: &Redis, n: u8, value: &str, over: Over) {
    redis.notes(LIFE).write(key(n), value.into(), over);
    redis.flush().await;
}

async fn name_of(server: &Server, n: u8) -> String {
    let part = format!(":n:{}", key(n));
    let names = server.names().await;
    names.into_iter().find(|name| name.ends_with(&part)).unwrap()
}

async fn life(server: &Server, name: &str) -> i64 {
    server.ask(::redis::cmd("PTTL").arg(name)).await
}

fn day() -> i64 {
    i64::try_from(LIFE.as_millis()).unwrap()
}

#[tokio::test]
async fn the_first_note_stays_until_it_is_replaced_and_each_use_prolongs_it() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    let notes = redis.notes(LIFE);
    assert_eq!(read_note(&notes, 1).await, None);
    write_note(&redis, 1, "one", Over::Keep).await;
    let name = name_of(&server, 1).await;
    let _: i64 = server.ask(::redis::cmd("PEXPIRE").arg(&name).arg(60_000)).await;
    let Note { value, left } = notes.read(&key(1).into(), patient()).await.unwrap();
    assert_eq!(value, b"one");
    assert!(!left.is_zero() && left <= Duration::from_mins(1));

    write_note(&redis, 1, "two", Over::Keep).await;
    assert_eq!(read_note(&notes, 1).await.unwrap(), b"one");
    let left = life(&server, &name).await;
    assert!((60_001..=day()).contains(&left), "{left}");
    write_note(&redis, 1, "three", Over::Replace).await;
    assert_eq!(read_note(&notes, 1).await.unwrap(), b"three");
    let left = life(&server, &name).await;
    assert!((60_001..=day()).contains(&left), "{left}");
    let counted = (
        count(&redis, |s| &s.misses),
        count(&redis, |s| &s.hits),
        count(&redis, |s| &s.writes),
    );
    assert_eq!(counted, (1, 3, 3));
}

#[tokio::test]
async fn a_note_is_sealed_under_its_name_for_its_own_key_and_policy() {
    let server = Server::start().await;
    let ours = open(&server, place("a", "p")).await;
    let foreign_key = open(&server, place("b", "p")).await;
    let other_policy = open(&server, place("a", "q")).await;
    write_note(&ours, 1, "the clear note", Over::Keep).await;
    let name = name_of(&server, 1).await;
    let sealed: Vec<u8> = server.ask(::redis::cmd("GET").arg(&name)).await;
    assert!(!sealed.windows(5).any(|bytes| bytes == b"clear"));
    for redis in [&foreign_key, &other_policy] {
        assert_eq!(read_note(&redis.notes(LIFE), 1).await, None);
    }
    for (n, redis) in [(2, &foreign_key), (3, &other_policy), (4, &ours)] {
        write_note(redis, n, "another", Over::Keep).await;
        let from = name_of(&server, n).await;
        let _: i64 = server
            .ask(::redis::cmd("COPY").arg(from).arg(&name).arg("REPLACE"))
            .await;
        assert_eq!(read_note(&ours.notes(LIFE), 1).await, None, "the note of {n}");
    }
    assert_eq!(count(&ours, |s| &s.bad_entries), 3);
}

#[tokio::test]
async fn garbage_another_type_and_an_expiry_of_no_note_are_counted_misses() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    let notes = redis.notes(LIFE);
    write_note(&redis, 1, "one", Over::Keep).await;
    let name = name_of(&server, 1).await;
    let genuine: Vec<u8> = server.ask(::redis::cmd("GET").arg(&name)).await;
    let set = async |value: &[u8], left: Option<i64>| {
        let _: i64 = server.ask(::redis::cmd("DEL").arg(&name)).await;
        let mut set = ::redis::cmd("SET");
        set.arg(&name).arg(value);
        if let Some(left) = left {
            set.arg("PX").arg(left);
        }
        let _: String = server.ask(&set).await;
    };
    let long = vec![1; 1 << 20];
    for value in [&b"x"[..], &genuine[1..], &long, &[1; 40]] {
        set(value, Some(60_000)).await;
        assert_eq!(read_note(&notes, 1).await, None);
    }
    for left in [None, Some(day() + 60_000)] {
        set(&genuine, left).await;
        assert_eq!(read_note(&notes, 1).await, None, "{left:?}");
    }
    let _: i64 = server.ask(::redis::cmd("DEL").arg(&name)).await;
    let _: i64 = server.ask(::redis::cmd("RPUSH").arg(&name).arg("a list")).await;
    assert_eq!(read_note(&notes, 1).await, None);
    assert_eq!(count(&redis, |s| &s.bad_entries), 7);
    assert_eq!(count(&redis, |s| &s.breaker_trips), 0);
    set(&genuine, Some(60_000)).await;
    assert_eq!(read_note(&notes, 1).await.unwrap(), b"one");
}

#[tokio::test]
async fn the_previous_keys_note_is_read_and_is_still_to_be_written_under_the_newest() {
    let server = Server::start().await;
    let before = open(&server, place("a", "p")).await;
    write_note(&before, 1, "old", Over::Keep).await;
    let keys = Keyring {
        newest: place("b", "p").keys.newest,
        previous: Some(place("a", "p").keys.newest),
    };
    let after = open(
        &server,
        Place {
            keys,
            ..place("b", "p")
        },
    )
    .await;
    let keys = Keys {
        newest: key(2),
        previous: Some(key(1)),
    };
    let read = after.notes(LIFE).read(&keys, patient()).await.unwrap();
    assert_eq!((&read.value[..], read.left), (&b"old"[..], Duration::ZERO));
    write_note(&after, 2, "new", Over::Keep).await;
    let read = after.notes(LIFE).read(&keys, patient()).await.unwrap();
    assert_eq!(read.value, b"new");
    assert!(!read.left.is_zero());
}

#[tokio::test]
async fn a_note_that_is_too_long_or_finds_no_room_is_dropped_and_counted() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    let longest = "n".repeat(NOTE_MAX);
    write_note(&redis, 1, &longest, Over::Keep).await;
    assert_eq!(read_note(&redis.notes(LIFE), 1).await.unwrap(), longest.as_bytes());
    write_note(&redis, 2, &format!("{longest}."), Over::Keep).await;
    assert_eq!(read_note(&redis.notes(LIFE), 2).await, None);
    assert_eq!(count(&redis, |s| &s.oversize), 1);
    // The writing task cannot run before this one waits.
    let notes = redis.notes(LIFE);
    (0..4_096 + 6).for_each(|_| notes.write(key(3), b"v".to_vec(), Over::Keep));
    assert_eq!(count(&redis, |s| &s.shed), 6);
    redis.flush().await;
    assert_eq!(count(&redis, |s| &s.writes), 4_096 + 1);
}

#[tokio::test]
async fn a_frozen_server_costs_a_note_its_budget_once() {
    let server = Server::start().await;
    let redis = open(&server, place("a", "p")).await;
    let notes = redis.notes(LIFE);
    write_note(&redis, 1, "one", Over::Keep).await;
    server.signal("STOP");
    assert_eq!(notes.read(&key(1).into(), hurried()).await, None);
    // A deadline of hours would hang here, were the server asked.
    let hours = Deadline::after(Duration::from_hours(1));
    assert_eq!(notes.read(&key(1).into(), hours).await, None);
    write_note(&redis, 2, "two", Over::Keep).await;
    assert_eq!(count(&redis, |s| &s.breaker_trips), 1);
    assert_eq!(count(&redis, |s| &s.shed), 1);
    server.signal("CONT");
    reachable(&redis).await;
    assert_eq!(read_note(&notes, 1).await.unwrap(), b"one");
}
