//! The connection itself: trust, tokens, and every way in which it can be bad.

use llmcache_policy::push::{Trust, down};
use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Authority, Call, Network, Operator, Volumes, Weather, eventually, metric, question};

use super::{MODEL, Scene, compiled, pod, says, shows};

const CACHE: &str = "  resultCache: {}";
/// A dead peer is found within a second.
const HURRY: [(&str, &str); 2] = [
    ("LLMCACHE_PUSH_PING_AFTER", "500ms"),
    ("LLMCACHE_PUSH_PING_TIMEOUT", "500ms"),
];

#[tokio::test]
async fn a_half_open_connection_is_found_and_left() {
    let (fake, authority) = (
        Fake::start(FakeConfig::default()).await.unwrap(),
        Authority::new().unwrap(),
    );
    let operator = Operator::start(&authority).await.unwrap();
    let network = Network::before(operator.port()).await.unwrap();
    let port = network.address().port();
    let pod = pod(&fake, &authority, port, Volumes::new("t").unwrap(), &HURRY).unwrap();
    pod.ready(1).await.unwrap();
    operator.connected(1).await.unwrap();
    let (revision, json) = compiled(1, CACHE).unwrap();
    operator.apply(&revision, json).await.unwrap();
    network.turn(Weather::Deaf);
    says(&pod, "degraded: operator: not connected").await.unwrap();
    let call = Call::messages(&question(MODEL, "one?"));
    for expected in [false, true] {
        assert_eq!(pod.client().send(&call).await.unwrap().is_hit(), expected);
    }
    network.turn(Weather::Clear);
    operator.connected(2).await.unwrap();
    assert_eq!(operator.hellos().last().unwrap().revision, revision);
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_push_changes_nothing() {
    let (fake, authority) = (
        Fake::start(FakeConfig::default()).await.unwrap(),
        Authority::new().unwrap(),
    );
    let operator = Operator::start(&authority).await.unwrap();
    let network = Network::before(operator.port()).await.unwrap();
    let port = network.address().port();
    let pod = pod(&fake, &authority, port, Volumes::new("t").unwrap(), &[]).unwrap();
    pod.ready(1).await.unwrap();
    operator.connected(1).await.unwrap();
    let (first, json) = compiled(1, CACHE).unwrap();
    operator.apply(&first, json).await.unwrap();
    // Of what follows some bytes come, and then nothing.
    network.turn(Weather::Torn(1));
    let (second, json) = compiled(2, "  resultCache: {maxAge: 2h}").unwrap();
    operator.offer(&second, json.clone()).await.unwrap();
    says(&pod, "degraded: operator: not connected").await.unwrap();
    says(&pod, &format!("revision: {first}")).await.unwrap();
    network.turn(Weather::Clear);
    operator.connected(2).await.unwrap();
    operator.apply(&second, json).await.unwrap();
    says(&pod, &format!("revision: {second}")).await.unwrap();
}

#[tokio::test]
async fn an_operator_that_does_not_read_costs_no_request() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, CACHE).await.unwrap();
    scene.operator.turn_deaf(true);
    for generation in 2..200 {
        let spec = format!("  resultCache: {{maxAge: {}h}}", 24 + generation);
        let (revision, json) = compiled(generation, &spec).unwrap();
        scene.operator.offer(&revision, json).await.unwrap();
    }
    for _ in 0..20 {
        assert_eq!(scene.ask("one?").await.unwrap().status, 200);
    }
    scene.operator.turn_deaf(false);
    let (revision, json) = compiled(200, CACHE).unwrap();
    scene.operator.apply(&revision, json).await.unwrap();
}

#[tokio::test]
async fn the_token_is_read_again_at_each_connection() {
    let scene = Scene::start().await.unwrap();
    scene.pod.volumes.set_token("token-2\n").unwrap();
    scene.operator.close();
    scene.operator.connected(2).await.unwrap();
    assert_eq!(scene.operator.bearers(), ["Bearer token-1", "Bearer token-2"]);
    std::fs::remove_file(scene.pod.volumes.token()).unwrap();
    scene.operator.close();
    says(&scene.pod, "no token in").await.unwrap();
    assert_eq!(scene.ask("one?").await.unwrap().status, 200);
    scene.pod.volumes.set_token("token-3").unwrap();
    scene.operator.connected(3).await.unwrap();
}

#[tokio::test]
async fn trust_is_handed_over_in_band_and_outlives_the_process() {
    let scene = Scene::start().await.unwrap();
    let next = Authority::new().unwrap();
    let bundle = format!("{}{}", scene.authority.pem(), next.pem());
    let garbage = down::Body::Trust(Trust {
        ca: b"garbage".to_vec(),
    });
    let trust = down::Body::Trust(Trust {
        ca: bundle.into_bytes(),
    });
    scene.operator.say(garbage).await.unwrap();
    scene.operator.say(trust).await.unwrap();
    // What comes after it is answered after it.
    scene.apply(1, CACHE).await.unwrap();
    let (port, connected) = (scene.operator.port(), scene.operator.hellos().len());
    assert_eq!(connected, 1);
    drop(scene.operator);
    let operator = restart(port, &next).await;
    operator.connected(1).await.unwrap();
    let volumes = scene.pod.kill().await.unwrap();
    let pod = pod(&scene.fake, &scene.authority, port, volumes, &[]).unwrap();
    pod.ready(1).await.unwrap();
    operator.connected(2).await.unwrap();
}

#[tokio::test]
async fn a_stranger_is_not_listened_to() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, CACHE).await.unwrap();
    let port = scene.operator.port();
    drop(scene.operator);
    let stranger = restart(port, &Authority::new().unwrap()).await;
    says(&scene.pod, "invalid peer certificate").await.unwrap();
    drop(stranger);
    let misnamed = restart(port, &Authority::naming(&["elsewhere"]).unwrap()).await;
    says(&scene.pod, "invalid peer certificate").await.unwrap();
    assert!(misnamed.hellos().is_empty());
    drop(misnamed);
    restart(port, &scene.authority).await.connected(1).await.unwrap();
}

#[tokio::test]
async fn the_age_of_a_policy_stands_still_while_an_operator_confirms_it() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, CACHE).await.unwrap();
    let age = async || {
        let page = scene.pod.page("/metrics").await.unwrap();
        metric(&page, "llmcache_snapshot_age_seconds", &[])
    };
    let mut highest = 0.0;
    eventually("it is confirmed again", async || {
        let now = age().await;
        let has_fallen = now < highest;
        highest = now.max(highest);
        has_fallen
    })
    .await
    .unwrap();
    scene.operator.refuse(Some(tonic::Status::unauthenticated("who?")));
    scene.operator.close();
    eventually("it ages", async || age().await > 2.5).await.unwrap();
    let page = scene.pod.page("/metrics").await.unwrap();
    shows(&page, "llmcache_push_connected", &[], 0.0);
}

/// The port may be taken for a moment by connections that end.
async fn restart(port: u16, authority: &Authority) -> Operator {
    let mut started = None;
    eventually("the port is free", async || {
        started = Operator::start_at(port, authority).await.ok();
        started.is_some()
    })
    .await
    .unwrap();
    started.unwrap()
}
