use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::*;

mod model;
mod stress;

type Calls = Flights<&'static str, String>;

fn flights(body_bytes: usize) -> Calls {
    Flights::new(Limits {
        flights: 2,
        body_bytes,
        total_bytes: 1 << 20,
    })
}

fn key(n: u8) -> Digest {
    Digest([n; 32])
}

fn lead<H, V>(flights: &Flights<H, V>, n: u8) -> Leader<H, V> {
    match flights.join(key(n)) {
        Role::Lead(leader) => leader,
        Role::Follow(_) => panic!("expected to lead"),
    }
}

fn follow<H, V>(flights: &Flights<H, V>, n: u8) -> Follower<H, V> {
    match flights.join(key(n)) {
        Role::Follow(follower) => follower,
        Role::Lead(_) => panic!("expected to follow"),
    }
}

fn poll<H, V>(follower: &mut Follower<H, V>) -> Poll<Option<Result<Bytes, Lost>>> {
    follower.poll_next(&mut Context::from_waker(Waker::noop()))
}

/// Fails instead of hanging: the paused clock runs on once nothing can be woken any more.
async fn woken<F: Future>(call: F) -> F::Output {
    tokio::time::timeout(std::time::Duration::from_secs(1), call)
        .await
        .expect("a lost wake-up")
}

async fn rest<H, V>(mut follower: Follower<H, V>) -> (Vec<u8>, Option<Lost>) {
    let mut body = Vec::new();
    while let Some(chunk) = follower.next().await {
        match chunk {
            Ok(chunk) => body.extend_from_slice(&chunk),
            Err(lost) => return (body, Some(lost)),
        }
    }
    (body, None)
}

#[tokio::test(start_paused = true)]
async fn followers_get_head_bytes_and_value_whenever_they_join() {
    let flights = flights(100);
    let leader = lead(&flights, 1);
    let mut early = follow(&flights, 1);
    leader.begin("head");
    leader.push("ab".into());
    let mut late = follow(&flights, 1);
    assert_eq!(early.head().await.as_deref(), Ok(&"head"));
    assert_eq!(late.head().await.as_deref(), Ok(&"head"));
    leader.push("c".into());
    let mut waiting = follow(&flights, 1);
    leader.finish(Some(Arc::new("value".into())));
    assert_eq!(waiting.value().await, Ok(Some(Arc::new("value".into()))));
    assert_eq!(rest(early).await, (b"abc".to_vec(), None));
    assert_eq!(rest(late).await, (b"abc".to_vec(), None));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_follower_is_woken_by_each_step() {
    let flights = flights(100);
    let leader = lead(&flights, 1);
    let mut follower = follow(&flights, 1);
    let (seen, mut told) = tokio::sync::mpsc::channel(1);
    let reader = tokio::spawn(async move {
        seen.send(follower.head().await.map(|head| Bytes::from(*head)))
            .await
            .unwrap();
        while let Some(chunk) = follower.next().await {
            seen.send(chunk).await.unwrap();
        }
    });
    // Each step is taken while the follower waits, and the next one only when it has been told.
    tokio::task::yield_now().await;
    leader.begin("head");
    assert_eq!(woken(told.recv()).await, Some(Ok("head".into())));
    for chunk in ["a", "bc"] {
        tokio::task::yield_now().await;
        leader.push(chunk.into());
        assert_eq!(woken(told.recv()).await, Some(Ok(chunk.into())));
    }
    tokio::task::yield_now().await;
    leader.finish(None);
    assert_eq!(woken(told.recv()).await, None);
    woken(reader).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn exactly_one_of_the_followers_leads_after_the_leader_is_lost() {
    let flights = flights(100);
    let leader = lead(&flights, 1);
    let mut followers: Vec<_> = (0..5).map(|_| follow(&flights, 1)).collect();
    drop(leader);
    let mut leaders = Vec::new();
    let mut seats = Vec::new();
    for follower in &mut followers {
        assert_eq!(follower.head().await.unwrap_err(), Lost::Leader);
        match flights.join(key(1)) {
            Role::Lead(leader) => leaders.push(leader),
            Role::Follow(follower) => seats.push(follower),
        }
    }
    assert_eq!((leaders.len(), seats.len()), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_passed_nothing_on_is_lost_also_after_the_head() {
    let flights = flights(100);
    let leader = lead(&flights, 1);
    let (mut waiting, reading) = (follow(&flights, 1), follow(&flights, 1));
    leader.begin("head");
    leader.push("ab".into());
    drop(leader);
    assert_eq!(waiting.head().await.unwrap_err(), Lost::Leader);
    assert_eq!(rest(reading).await, (b"ab".to_vec(), Some(Lost::Leader)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_must_not_be_shared_sends_followers_upstream_alone() {
    let flights = flights(100);
    let leader = lead(&flights, 1);
    let (mut one, mut two) = (follow(&flights, 1), follow(&flights, 1));
    leader.refuse();
    assert_eq!(one.head().await.unwrap_err(), Lost::Unshared);
    assert_eq!(two.value().await.unwrap_err(), Lost::Unshared);
    assert!(flights.is_empty());
}

#[test]
fn joining_stops_past_the_body_bound_and_followers_read_on() {
    let flights = flights(4);
    let leader = lead(&flights, 1);
    let mut follower = follow(&flights, 1);
    leader.push("abcd".into());
    drop(follow(&flights, 1));
    leader.push("e".into());
    let next = lead(&flights, 1);
    assert_eq!(poll(&mut follower), Poll::Ready(Some(Ok("abcd".into()))));
    leader.push("f".into());
    assert_eq!(poll(&mut follower), Poll::Ready(Some(Ok("e".into()))));
    drop(leader);
    drop(follow(&flights, 1));
    drop(next);
}

#[test]
fn chunks_are_kept_only_while_somebody_needs_them() {
    let flights = flights(4);
    let leader = lead(&flights, 1);
    let (mut fast, slow) = (follow(&flights, 1), follow(&flights, 1));
    leader.push("abcd".into());
    assert_eq!(flights.held_bytes(), 4);
    leader.push("ef".into());
    assert_eq!(poll(&mut fast), Poll::Ready(Some(Ok("abcd".into()))));
    assert_eq!(flights.held_bytes(), 6);
    drop(slow);
    assert_eq!(flights.held_bytes(), 2);
    drop(fast);
    assert_eq!(flights.held_bytes(), 0);
    leader.push("gh".into());
    assert_eq!(flights.held_bytes(), 0);
}

#[test]
fn a_follower_too_far_behind_is_lost_and_the_others_are_not() {
    let flights = flights(2);
    let leader = lead(&flights, 1);
    let (mut fast, mut slow) = (follow(&flights, 1), follow(&flights, 1));
    for _ in 0..5 {
        leader.push("ab".into());
        assert_eq!(poll(&mut fast), Poll::Ready(Some(Ok("ab".into()))));
    }
    assert_eq!(poll(&mut slow), Poll::Ready(Some(Err(Lost::Behind))));
    assert_eq!(poll(&mut slow), Poll::Ready(None));
    assert_eq!(poll(&mut fast), Poll::Pending);
    assert_eq!(leader.followers(), 1);
    assert_eq!(flights.held_bytes(), 0);
}

#[test]
fn all_flights_together_hold_little_more_than_their_bound() {
    let flights = Calls::new(Limits {
        flights: 100,
        body_bytes: 64,
        total_bytes: 256,
    });
    let leaders: Vec<_> = (0..20).map(|n| lead(&flights, n)).collect();
    let followers: Vec<_> = (0..20).map(|n| follow(&flights, n)).collect();
    for _ in 0..50 {
        for leader in &leaders {
            leader.push("12345678".into());
        }
        assert!(flights.held_bytes() <= 256 + 8 + 20 * (64 / 16));
    }
    drop(leaders);
    drop(followers);
    assert_eq!(flights.held_bytes(), 0);
}

#[test]
fn beyond_the_bound_of_flights_a_call_leads_alone() {
    let flights = flights(100);
    let _open = (lead(&flights, 1), lead(&flights, 2));
    let alone = lead(&flights, 3);
    alone.push("abc".into());
    assert_eq!((flights.len(), flights.held_bytes(), alone.followers()), (2, 0, 0));
    drop(lead(&flights, 3));
    drop(follow(&flights, 1));
}

#[tokio::test(start_paused = true)]
async fn the_leader_learns_when_the_last_follower_leaves() {
    let flights = flights(100);
    let leader = lead(&flights, 1);
    leader.unfollowed().await;
    let (one, two) = (follow(&flights, 1), follow(&flights, 1));
    let waiting = tokio::spawn(async move { leader.unfollowed().await });
    tokio::task::yield_now().await;
    drop(one);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(two);
    woken(waiting).await.unwrap();
}

#[test]
fn a_closed_flight_keeps_its_followers_and_takes_no_more() {
    let flights = flights(100);
    let leader = lead(&flights, 1);
    let mut follower = follow(&flights, 1);
    leader.no_more_followers();
    let _next = lead(&flights, 1);
    leader.push("a".into());
    assert_eq!(poll(&mut follower), Poll::Ready(Some(Ok("a".into()))));
}
