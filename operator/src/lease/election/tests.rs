use std::time::Duration;

use prometheus::Registry;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::fake_api::{FakeApi, Fault};
use crate::lease::State;

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/llmcache-system/leases/llmcache-operator";

struct Replica {
    leadership: Leadership,
    metrics: Metrics,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn stand(api: &FakeApi, pod: &str, address: &str) -> Replica {
    let own = Holder {
        pod: pod.to_owned(),
        address: address.parse().unwrap(),
    };
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let leases = Api::namespaced(api.client(), "llmcache-system");
    let election = Election::new(leases, "llmcache-operator", own, Timing::default(), metrics.clone());
    let (stop, stopped) = oneshot::channel();
    Replica {
        leadership: election.leadership(),
        metrics,
        stop,
        task: tokio::spawn(election.run(async {
            let _ = stopped.await;
        })),
    }
}

fn holder(api: &FakeApi) -> Value {
    api.object(PATH).unwrap()["spec"]["holderIdentity"].clone()
}

#[tokio::test(start_paused = true)]
async fn the_follower_knows_the_leader_and_takes_over_at_once_when_it_leaves() {
    let api = FakeApi::default();
    let first = stand(&api, "a", "10.0.0.1");
    first.leadership.gained().await;
    let second = stand(&api, "b", "10.0.0.2");
    let mut state = second.leadership.subscribe();
    let known = state
        .wait_for(|state| *state != State::Following { leader: None })
        .await
        .unwrap()
        .clone();
    assert!(matches!(known, State::Following { leader: Some(leader) } if leader.pod == "a"));
    assert_eq!(second.leadership.leader_address(), first.leadership.leader_address());
    assert_eq!(first.metrics.is_leader.get(), 1);

    first.stop.send(()).unwrap();
    first.task.await.unwrap();
    assert_eq!(holder(&api), "", "the Lease was handed back");
    assert!(!first.leadership.is_leader());
    let left = Instant::now();
    second.leadership.gained().await;
    assert!(
        left.elapsed() < Duration::from_secs(5),
        "nobody waits for a lease that was handed back"
    );
    assert_eq!(holder(&api), "b_10.0.0.2");
    assert_eq!(api.object(PATH).unwrap()["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_calls_hang_steps_down_before_another_may_take_over() {
    let api = FakeApi::default();
    let replica = stand(&api, "a", "10.0.0.1");
    replica.leadership.gained().await;
    let began = Instant::now();
    api.fail_always(Some(Fault::Hang));
    replica.leadership.lost().await;
    assert!(began.elapsed() <= Duration::from_secs(10));
    assert!(!replica.leadership.is_leader());
    let mut state = replica.leadership.subscribe();
    state.wait_for(|state| *state != State::Leading).await.unwrap();
    assert_eq!(replica.metrics.transitions.get(), 2);

    api.fail_always(None);
    replica.leadership.gained().await;
    assert_eq!(holder(&api), "a_10.0.0.1");
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_read_before_it_is_believed() {
    let api = FakeApi::default();
    api.fail_next([Fault::Refuse(500), Fault::Refuse(404), Fault::AnswerLost]);
    let replica = stand(&api, "a", "10.0.0.1");
    let mut state = replica.leadership.subscribe();
    while api.object(PATH).is_none() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!replica.leadership.is_leader());
    state.wait_for(|state| *state == State::Leading).await.unwrap();
    let methods: Vec<String> = api
        .calls()
        .iter()
        .map(|call| call.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(methods[..5], ["GET", "GET", "POST", "GET", "PUT"]);
}

#[tokio::test(start_paused = true)]
async fn labels_of_the_lease_and_writes_of_others_survive() {
    let api = FakeApi::default();
    let replica = stand(&api, "a", "10.0.0.1");
    replica.leadership.gained().await;
    let mut lease = api.object(PATH).unwrap();
    lease["metadata"]["labels"] = json!({"team": "shop"});
    api.put(PATH, lease);
    let renewed = api.object(PATH).unwrap()["spec"]["renewTime"].clone();
    while api.object(PATH).unwrap()["spec"]["renewTime"] == renewed {
        sleep(Duration::from_millis(100)).await;
    }
    assert!(replica.leadership.is_leader(), "a conflict unseats nobody");
    assert_eq!(api.object(PATH).unwrap()["metadata"]["labels"]["team"], "shop");
}

#[tokio::test(start_paused = true)]
async fn a_lease_taken_by_another_program_is_not_fought_for() {
    let api = FakeApi::default();
    let replica = stand(&api, "a", "10.0.0.1");
    replica.leadership.gained().await;
    let mut lease = api.object(PATH).unwrap();
    lease["spec"]["holderIdentity"] = json!("somebody");
    api.put(PATH, lease);
    replica.leadership.lost().await;
    assert_eq!(replica.leadership.leader_address(), None, "this name says no address");
    let taken = Instant::now();
    replica.leadership.gained().await;
    assert!(
        taken.elapsed() >= Duration::from_secs(13),
        "its fifteen seconds are its own"
    );
}
