use prometheus::Registry;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::fake_api::{FakeApi, Fault};
use crate::lease::{Election, Holder, Metrics, Timing};

const PATH: &str = "/api/v1/namespaces/llmcache-system/secrets/llmcache-install";

/// A replica; only those that stand for leader may make the secret.
fn replica(api: &FakeApi, pod: &str, stands: bool) -> (watch::Receiver<State>, JoinHandle<()>) {
    let own = Holder {
        pod: pod.to_owned(),
        address: "10.0.0.1".parse().unwrap(),
    };
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let leases = Api::namespaced(api.client(), "llmcache-system");
    let election = Election::new(leases, "llmcache-operator", own, Timing::default(), metrics);
    let leadership = election.leadership();
    if stands {
        tokio::spawn(election.run(std::future::pending()));
    }
    let (sender, receiver) = watch::channel(State::Absent);
    let secrets = Api::namespaced(api.client(), "llmcache-system");
    let task = tokio::spawn(async move {
        let ended = run(secrets, "llmcache-install", leadership, sender).await;
        panic!("{ended:?}");
    });
    (receiver, task)
}

fn secret(length: usize) -> Value {
    let data = serde_json::to_value(ByteString(vec![7; length])).unwrap();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "llmcache-install"}, "data": {"secret": data}})
}

async fn ready(state: &mut watch::Receiver<State>) -> Arc<InstallSecret> {
    let state = state.wait_for(|state| matches!(state, State::Ready(_))).await.unwrap();
    let State::Ready(secret) = &*state else {
        unreachable!("waited for");
    };
    secret.clone()
}

#[tokio::test(start_paused = true)]
async fn the_leader_makes_it_once_and_every_replica_reads_the_same() {
    let api = FakeApi::default();
    let (mut follower, _) = replica(&api, "b", false);
    sleep(Duration::from_secs(90)).await;
    assert_eq!(api.object(PATH), None, "a follower makes nothing");
    api.fail_next([Fault::Refuse(500), Fault::Refuse(503)]);
    let (mut leader, _) = replica(&api, "a", true);
    let made = ready(&mut leader).await;
    assert_eq!(made, ready(&mut follower).await);
    assert_ne!(*made.current, [0; LENGTH]);
    assert_eq!(format!("{made:?}"), "InstallSecret(redacted)", "it is never shown");
}

#[tokio::test(start_paused = true)]
async fn the_one_that_was_there_first_is_kept() {
    let api = FakeApi::default();
    api.put(PATH, secret(LENGTH));
    let (mut leader, _) = replica(&api, "a", true);
    assert_eq!(*ready(&mut leader).await.current, [7; LENGTH]);
    sleep(Duration::from_mins(5)).await;
    let writes = api
        .calls()
        .into_iter()
        .filter(|call| call.contains("secrets") && !call.starts_with("GET"));
    assert_eq!(writes.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_of_a_wrong_length_is_a_fault_and_is_never_replaced() {
    let api = FakeApi::default();
    api.put(PATH, secret(LENGTH - 1));
    let (mut state, _) = replica(&api, "a", true);
    let unreadable = state.wait_for(|state| *state != State::Absent).await.unwrap().clone();
    let State::Unreadable(unreadable) = unreadable else {
        panic!("{unreadable:?}");
    };
    assert!(unreadable.to_string().contains("32 bytes, not 31"), "{unreadable}");
    sleep(Duration::from_mins(5)).await;
    let before = secret(LENGTH - 1)["data"].clone();
    assert_eq!(api.object(PATH).unwrap()["data"], before);
    api.put(PATH, secret(LENGTH));
    ready(&mut state).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_deleted_or_torn_while_in_use_comes_back_unchanged() {
    let api = FakeApi::default();
    let (mut state, _) = replica(&api, "a", true);
    let made = ready(&mut state).await;
    let before = api.object(PATH).unwrap()["data"].clone();
    api.put(PATH, secret(3));
    sleep(Duration::from_secs(90)).await;
    assert_eq!(*state.borrow(), State::Ready(made), "what is in use stays in use");
    api.delete(PATH);
    while api.object(PATH).is_none() {
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(api.object(PATH).unwrap()["data"], before);
}
