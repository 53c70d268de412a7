use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn pod(token: &str) -> Identity {
    Identity {
        namespace: "shop".into(),
        service_account: "chat".into(),
        pod_name: token.into(),
        pod_uid: token.into(),
    }
}

/// Answers after `delay`; tokens that begin with `bad` are refused, those that begin with `away` get no answer.
fn reviewer(delay: Duration, life: Duration) -> (Arc<Reviewer>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let ask: Ask = Box::new(move |token| {
        let count = count.clone();
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(delay).await;
            match token {
                token if token.starts_with("bad") => Err(Problem::Refused("no".into())),
                token if token.starts_with("away") => Err(Problem::Unavailable("away".into())),
                token => Ok((pod(&token), Instant::now() + life)),
            }
        }
        .boxed()
    });
    (Reviewer::new(ask), asked)
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(start_paused = true)]
async fn equal_tokens_are_asked_about_once() {
    let (reviewer, asked) = reviewer(Duration::from_secs(1), HOUR);
    let all = (0..100).map(|_| reviewer.identify("a"));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.unwrap().0, pod("a"));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    reviewer.identify("a").await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(BELIEVED).await;
    reviewer.identify("a").await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_not_believed_past_its_end() {
    let (reviewer, asked) = reviewer(Duration::ZERO, Duration::from_secs(20));
    reviewer.identify("a").await.unwrap();
    tokio::time::advance(Duration::from_secs(21)).await;
    reviewer.identify("a").await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_kept_for_a_while_and_silence_is_not() {
    let (reviewer, asked) = reviewer(Duration::ZERO, HOUR);
    for _ in 0..3 {
        assert!(matches!(reviewer.identify("bad").await, Err(Problem::Refused(_))));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(REFUSED).await;
    let _ = reviewer.identify("bad").await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    for _ in 0..2 {
        assert!(matches!(reviewer.identify("away").await, Err(Problem::Unavailable(_))));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_costs_patience_and_no_more() {
    let (reviewer, _) = reviewer(HOUR, HOUR);
    assert!(matches!(reviewer.identify("a").await, Err(Problem::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn only_so_many_ask_at_once_and_only_so_many_wait() {
    let (reviewer, asked) = reviewer(Duration::from_secs(1), HOUR);
    let all = (0..MAX_WAITING + 10).map(|at| {
        let reviewer = reviewer.clone();
        async move { reviewer.identify(&format!("t{at}")).await }
    });
    let mut answers: Vec<_> = all.map(tokio::spawn).collect();
    tokio::time::advance(Duration::from_millis(500)).await;
    tokio::task::yield_now().await;
    assert!(asked.load(Ordering::SeqCst) <= MAX_REVIEWS);
    let last = answers.pop().unwrap().await.unwrap();
    assert_eq!(last, Err(Problem::Busy));
}
