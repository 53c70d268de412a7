use std::future::pending;

use super::*;

fn breaker() -> (Arc<StoreStats>, Breaker) {
    let stats = Arc::<StoreStats>::default();
    (stats.clone(), Breaker::new(stats))
}

fn open(stats: &StoreStats) -> (u64, u64) {
    (
        stats.breaker_open.load(Ordering::Relaxed),
        stats.breaker_trips.load(Ordering::Relaxed),
    )
}

#[tokio::test(start_paused = true)]
async fn one_deadline_spans_several_calls() {
    let start = Instant::now();
    let deadline = Deadline::after(Duration::from_millis(25));
    assert_eq!(
        deadline.bound(tokio::time::sleep(Duration::from_millis(20))).await,
        Some(())
    );
    assert_eq!(deadline.remaining(), Duration::from_millis(5));
    assert_eq!(deadline.bound(pending::<()>()).await, None);
    assert_eq!(deadline.bound(pending::<()>()).await, None);
    assert_eq!(start.elapsed(), Duration::from_millis(25));
    assert_eq!(deadline.remaining(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_hand_counts_even_when_the_budget_is_spent() {
    assert_eq!(Deadline::after(Duration::ZERO).bound(async { 7 }).await, Some(7));
}

#[test]
fn a_new_breaker_is_open_until_probed() {
    let (stats, breaker) = breaker();
    assert_eq!((breaker.pass(), open(&stats)), (None, (1, 0)));
    breaker.close();
    assert!(breaker.pass().is_some());
    assert_eq!(open(&stats), (0, 0));
}

#[test]
fn many_calls_in_flight_trip_once() {
    let (stats, breaker) = breaker();
    breaker.close();
    let pass = breaker.pass().unwrap();
    breaker.trip(pass);
    breaker.trip(pass);
    assert_eq!((breaker.pass(), open(&stats)), (None, (1, 1)));
}

#[test]
fn a_late_failure_of_the_old_connection_does_not_judge_the_new_one() {
    let (stats, breaker) = breaker();
    breaker.close();
    let old = breaker.pass().unwrap();
    breaker.trip(old);
    breaker.close();
    breaker.trip(old);
    assert_eq!(open(&stats), (0, 1));
    assert!(breaker.pass().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_probing_task_is_woken_at_birth_and_at_each_trip() {
    let (_, breaker) = breaker();
    breaker.opened().await;
    breaker.close();
    let idle = Deadline::after(Duration::from_secs(1)).bound(breaker.opened()).await;
    assert_eq!(idle, None);
    breaker.trip(breaker.pass().unwrap());
    breaker.opened().await;
}
