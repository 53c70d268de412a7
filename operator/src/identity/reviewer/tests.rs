use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use kube::client::Body;
use prometheus::Registry;
use serde_json::{Value, json};

use super::*;

/// What the API server answers: a code and a body, after a while.
type Script = fn(&Value) -> (Duration, u16, Value);

struct Setup {
    reviewer: Reviewer,
    metrics: Metrics,
    asked: Arc<Mutex<Vec<Value>>>,
}

fn setup(limits: Limits, script: Script) -> Setup {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let log = log.clone();
        async move {
            assert_eq!(request.uri().path(), "/apis/authentication.k8s.io/v1/tokenreviews");
            let body = request.into_body().collect_bytes().await.unwrap();
            let review: Value = serde_json::from_slice(&body).unwrap();
            let (after, code, answer) = script(&review);
            log.lock().push(review);
            sleep(after).await;
            let answer = Full::new(Bytes::from(answer.to_string()));
            Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
        }
    });
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let client = Client::new(service, "llmcache-system");
    Setup {
        reviewer: Reviewer::new(client, limits, metrics.clone()),
        metrics,
        asked,
    }
}

fn accepted() -> Value {
    json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "metadata": {},
        "spec": {},
        "status": {
            "authenticated": true,
            "audiences": ["llmcache.dev"],
            "user": {
                "username": "system:serviceaccount:shop:chat",
                "extra": {
                    "authentication.kubernetes.io/pod-name": ["chat-1"],
                    "authentication.kubernetes.io/pod-uid": ["u-1"],
                },
            },
        },
    })
}

fn without(path: &str, value: Value) -> Value {
    let mut answer = accepted();
    *answer.pointer_mut(path).unwrap() = value;
    answer
}

/// A token that ends so many seconds from now.
fn token(seconds: u64) -> String {
    let end = SystemTime::now() + Duration::from_secs(seconds);
    let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(json!({"exp": end}).to_string()))
}

#[tokio::test(start_paused = true)]
async fn equal_questions_are_asked_once_and_the_answer_is_kept() {
    let setup = setup(Limits::default(), |_| (Duration::from_secs(1), 201, accepted()));
    let token = token(3600);
    let answers = join_all((0..50).map(|_| setup.reviewer.review(&token))).await;
    let identity = answers[0].clone().unwrap();
    assert_eq!(
        (identity.namespace.as_str(), identity.service_account.as_str()),
        ("shop", "chat")
    );
    assert_eq!(
        (identity.pod_name.as_str(), identity.pod_uid.as_str()),
        ("chat-1", "u-1")
    );
    assert!(answers.iter().all(|answer| *answer == Ok(identity.clone())));
    assert_eq!(setup.reviewer.review(&token).await, Ok(identity));
    assert_eq!((setup.metrics.of("accepted"), setup.metrics.of("cached")), (1, 50));
    let asked = setup.asked.lock().clone();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["spec"]["audiences"], json!(["llmcache.dev"]));
    assert_eq!(asked[0]["spec"]["token"], token.as_str());
}

#[tokio::test(start_paused = true)]
async fn an_identity_is_asked_for_again_after_five_minutes_or_the_end_of_its_token() {
    let setup = setup(Limits::default(), |_| (Duration::ZERO, 201, accepted()));
    let (long, short) = (token(3600), token(100));
    for token in [&long, &short] {
        setup.reviewer.review(token).await.unwrap();
    }
    sleep(Duration::from_secs(110)).await;
    for token in [&long, &short] {
        setup.reviewer.review(token).await.unwrap();
    }
    assert_eq!(setup.asked.lock().len(), 3, "the short one has ended");
    sleep(Duration::from_secs(200)).await;
    setup.reviewer.review(&long).await.unwrap();
    assert_eq!(setup.asked.lock().len(), 4, "five minutes are over");
}

#[tokio::test(start_paused = true)]
async fn whatever_is_not_a_pod_of_ours_is_refused() {
    let scripts: [Script; 9] = [
        |_| {
            (
                Duration::ZERO,
                201,
                without("/status", json!({"error": "invalid bearer token"})),
            )
        },
        |_| (Duration::ZERO, 201, without("/status/authenticated", json!(false))),
        |_| (Duration::ZERO, 201, without("/status/authenticated", Value::Null)),
        |_| (Duration::ZERO, 201, without("/status", Value::Null)),
        |_| (Duration::ZERO, 201, without("/status/audiences", Value::Null)),
        |_| {
            (
                Duration::ZERO,
                201,
                without("/status/audiences", json!(["https://kubernetes.default.svc"])),
            )
        },
        |_| {
            (
                Duration::ZERO,
                201,
                without("/status/user/username", json!("system:node:a")),
            )
        },
        |_| (Duration::ZERO, 201, without("/status/user/extra", json!({}))),
        |_| {
            let both = json!(["u-1", "u-2"]);
            (
                Duration::ZERO,
                201,
                without("/status/user/extra/authentication.kubernetes.io~1pod-uid", both),
            )
        },
    ];
    for (index, script) in scripts.into_iter().enumerate() {
        let setup = setup(Limits::default(), script);
        let token = token(3600);
        let first = setup.reviewer.review(&token).await;
        assert!(matches!(first, Err(Failure::Refused(_))), "{index}: {first:?}");
        assert_eq!(setup.reviewer.review(&token).await, first, "{index}: kept for a while");
        assert_eq!(setup.asked.lock().len(), 1, "{index}");
        sleep(Duration::from_secs(11)).await;
        setup.reviewer.review(&token).await.unwrap_err();
        assert_eq!(setup.asked.lock().len(), 2, "{index}: asked again after ten seconds");
    }
    let setup = setup(Limits::default(), |_| (Duration::ZERO, 201, accepted()));
    for token in [String::new(), "a".repeat(LONGEST + 1)] {
        assert!(matches!(setup.reviewer.review(&token).await, Err(Failure::Refused(_))));
    }
    assert_eq!(setup.asked.lock().len(), 0, "what is no token is not asked about");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_slow_busy_or_broken_refuses_nobody_and_is_asked_again() {
    fn status(code: u16) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no", "reason": "no"})
    }
    let scripts: [Script; 4] = [
        |_| (Duration::from_mins(1), 201, accepted()),
        |_| (Duration::ZERO, 429, status(429)),
        |_| (Duration::ZERO, 500, status(500)),
        |_| (Duration::ZERO, 403, status(403)),
    ];
    for (index, script) in scripts.into_iter().enumerate() {
        let setup = setup(Limits::default(), script);
        let began = Instant::now();
        for tries in 1..=2 {
            let outcome = setup.reviewer.review(&token(3600)).await;
            assert!(matches!(outcome, Err(Failure::Unavailable(_))), "{index}: {outcome:?}");
            assert_eq!(setup.asked.lock().len(), tries, "{index}: nothing is kept");
        }
        assert!(began.elapsed() <= Duration::from_secs(21), "{index}: ten seconds each");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_spread_and_what_does_not_fit_is_shed() {
    let limits = Limits {
        per_second: 10,
        burst: 5,
        patience: Duration::from_secs(2),
        ..Limits::default()
    };
    let setup = setup(limits, |_| (Duration::ZERO, 201, accepted()));
    let began = Instant::now();
    let answers = join_all((0..100).map(|number| {
        let (reviewer, token) = (setup.reviewer.clone(), token(1000 + number));
        async move { reviewer.review(&token).await }
    }))
    .await;
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(accepted, 25, "five at once, and ten in each of two seconds");
    assert_eq!(
        answers.iter().filter(|answer| **answer == Err(Failure::Shed)).count(),
        75
    );
    assert!(began.elapsed() >= Duration::from_millis(1900), "the queue was spread");
    assert_eq!(setup.reviewer.inner.desk.lock().flights.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_nothing_from_the_others() {
    let setup = setup(Limits::default(), |_| (Duration::from_secs(1), 201, accepted()));
    let token = token(3600);
    let (first, second) = (setup.reviewer.clone(), setup.reviewer.clone());
    let hasty = tokio::time::timeout(Duration::from_millis(100), first.review(&token));
    let (hasty, patient) = tokio::join!(hasty, second.review(&token));
    assert!(hasty.is_err());
    patient.unwrap();
    assert_eq!(setup.asked.lock().len(), 1);
}
