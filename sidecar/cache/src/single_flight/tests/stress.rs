//! The same promises with real threads between the steps.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const CALLS: usize = 64;
const ROUNDS: usize = 40;
const CHUNKS: u8 = 20;

#[derive(Default)]
struct Seen {
    leading: AtomicUsize,
    led: AtomicUsize,
    followed: AtomicUsize,
}

/// Answers once: by leading, or by following until the end; a lost call joins again.
async fn call(flights: Calls, seen: Arc<Seen>, n: usize) {
    loop {
        match flights.join(key(1)) {
            Role::Lead(leader) => {
                assert_eq!(seen.leading.fetch_add(1, Ordering::SeqCst), 0, "two lead at a time");
                let is_lost = (n + seen.led.fetch_add(1, Ordering::SeqCst)).is_multiple_of(3);
                leader.begin("head");
                for chunk in 0..CHUNKS {
                    tokio::task::yield_now().await;
                    leader.push(Bytes::from(vec![chunk; usize::from(chunk)]));
                }
                seen.leading.fetch_sub(1, Ordering::SeqCst);
                if is_lost {
                    continue;
                }
                return leader.finish(Some(Arc::new("value".into())));
            }
            Role::Follow(mut follower) if n.is_multiple_of(4) => match follower.value().await {
                Ok(value) => return assert_eq!(value.as_deref().map(String::as_str), Some("value")),
                Err(lost) => assert_eq!(lost, Lost::Leader),
            },
            Role::Follow(follower) => {
                let whole: Vec<u8> = (0..CHUNKS).flat_map(|n| vec![n; usize::from(n)]).collect();
                let (body, lost) = rest(follower).await;
                assert!(whole.starts_with(&body));
                if lost.is_none() {
                    assert_eq!(body.len(), whole.len());
                    seen.followed.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn identical_calls_share_one_leader_at_a_time() {
    let seen = Arc::<Seen>::default();
    for _ in 0..ROUNDS {
        let flights = flights(1 << 20);
        let calls: Vec<_> = (0..CALLS)
            .map(|n| tokio::spawn(call(flights.clone(), seen.clone(), n)))
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!((flights.len(), flights.held_bytes()), (0, 0));
    }
    assert!(seen.followed.load(Ordering::SeqCst) > 0);
    assert!(seen.led.load(Ordering::SeqCst) < ROUNDS * CALLS);
}
