//! What a sidecar does without an operator, and when it is killed.

use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Authority, Call, Operator, Volumes, eventually, question};
use rustix::process::Signal;

use super::{MODEL, Scene, compiled, pod, says};

const CACHE: &str = "  resultCache: {}";

#[tokio::test]
async fn a_killed_proxy_comes_back_in_place_with_its_policy() {
    let scene = Scene::start().await.unwrap();
    scene.apply(3, CACHE).await.unwrap();
    let revision = compiled(3, CACHE).unwrap().0;
    scene.operator.refuse(Some(tonic::Status::unavailable("away")));
    scene.pod.signal_proxy(Signal::KILL).unwrap();
    scene.pod.ready(2).await.unwrap();
    says(&scene.pod, &format!("revision: {revision}")).await.unwrap();
    says(&scene.pod, "not connected: Unavailable: away").await.unwrap();
    assert!(!scene.ask("one?").await.unwrap().is_hit());
    assert!(
        scene.ask("one?").await.unwrap().is_hit(),
        "it caches under a key of its own"
    );
    says(&scene.pod, "degraded: credentials: none yet").await.unwrap();
    scene.operator.refuse(None);
    eventually("it says what it executes", async || {
        scene.operator.hellos().iter().any(|hello| hello.revision == revision)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_operator_that_is_gone_is_not_missed() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, CACHE).await.unwrap();
    scene.ask("one?").await.unwrap();
    let port = scene.operator.port();
    drop(scene.operator);
    says_of(&scene.pod).await;
    let ask = async |text: &str| {
        let call = Call::messages(&question(MODEL, text));
        scene.pod.client().send(&call).await.unwrap()
    };
    assert!(ask("one?").await.is_hit());
    assert_eq!(ask("two?").await.status, 200);
    let operator = Operator::start_at(port, &scene.authority).await.unwrap();
    operator.connected(1).await.unwrap();
    let (revision, json) = compiled(2, "  resultCache: {mode: Disabled}").unwrap();
    operator.apply(&revision, json).await.unwrap();
    assert!(!ask("one?").await.is_hit());
}

#[tokio::test]
async fn cut_off_without_a_last_policy_it_passes_through_and_then_converges() {
    let (fake, authority) = (
        Fake::start(FakeConfig::default()).await.unwrap(),
        Authority::new().unwrap(),
    );
    let operator = Operator::start(&authority).await.unwrap();
    let port = operator.port();
    drop(operator);
    let pod = pod(&fake, &authority, port, Volumes::new("t").unwrap(), &[]).unwrap();
    pod.ready(1).await.unwrap();
    says(&pod, "policy: none yet").await.unwrap();
    let call = Call::messages(&question(MODEL, "one?"));
    for _ in 0..2 {
        assert!(!pod.client().send(&call).await.unwrap().is_hit());
    }
    let operator = Operator::start_at(port, &authority).await.unwrap();
    let (revision, json) = compiled(1, CACHE).unwrap();
    operator.greet([llmcache_tests::kit::snapshot(5, &revision, json)]);
    assert!(operator.answer(5).await.unwrap().is_ok());
    pod.client().send(&call).await.unwrap();
    assert!(pod.client().send(&call).await.unwrap().is_hit());
}

#[tokio::test]
async fn a_torn_or_foreign_file_is_no_policy() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, CACHE).await.unwrap();
    let mut volumes = scene.pod.kill().await.unwrap();
    let file = volumes.state().join("last-good");
    let whole = std::fs::read(&file).unwrap();
    assert!(whole.starts_with(b"llmcache-state-1 "));
    let other = String::from_utf8(whole.clone())
        .unwrap()
        .replacen("state-1", "state-0", 1);
    for content in [&whole[..whole.len() / 2], b"", other.as_bytes(), b"\xff\n{}"] {
        std::fs::write(&file, content).unwrap();
        let pod = pod(&scene.fake, &scene.authority, 1, volumes, &[]).unwrap();
        pod.ready(1).await.unwrap();
        says(&pod, "policy: none yet").await.unwrap();
        let call = Call::messages(&question(MODEL, "one?"));
        assert_eq!(pod.client().send(&call).await.unwrap().status, 200);
        assert!(pod.log().contains("it is ignored"), "{}", pod.log());
        volumes = pod.kill().await.unwrap();
    }
}

#[tokio::test]
async fn no_policy_is_remembered_too() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, CACHE).await.unwrap();
    scene.operator.apply("", "").await.unwrap();
    let volumes = scene.pod.kill().await.unwrap();
    let pod = pod(&scene.fake, &scene.authority, 1, volumes, &[]).unwrap();
    pod.ready(1).await.unwrap();
    says(&pod, "none applies to this pod").await.unwrap();
}

async fn says_of(pod: &llmcache_tests::kit::Pod) {
    says(pod, "degraded: operator: not connected").await.unwrap();
}
