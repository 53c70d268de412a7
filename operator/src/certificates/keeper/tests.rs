use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prometheus::Registry;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::super::Metrics;
use super::*;
use crate::fake_api::{FakeApi, Fault};
use crate::lease::{self, Election, Holder, Timing};

const PATH: &str = "/api/v1/namespaces/llmcache-system/secrets/llmcache-operator-tls";

struct Replica {
    serving: Arc<ServingCertificate>,
    keeper: JoinHandle<()>,
}

fn replica(api: &FakeApi, pod: &str, mode: Mode) -> Replica {
    let own = Holder {
        pod: pod.to_owned(),
        address: "10.0.0.1".parse().unwrap(),
    };
    let registry = Registry::new();
    let metrics = lease::Metrics::new(&registry).unwrap();
    let leases = Api::namespaced(api.client(), "llmcache-system");
    let election = Election::new(leases, "llmcache-operator", own, Timing::default(), metrics);
    let rotation = Rotation::of_service("llmcache-operator", "llmcache-system");
    let serving = ServingCertificate::new(&rotation.called, Metrics::new(&registry).unwrap());
    let keeper = Keeper {
        api: Api::namespaced(api.client(), "llmcache-system"),
        name: "llmcache-operator-tls".to_owned(),
        mode,
        rotation,
        leadership: election.leadership(),
        serving: serving.clone(),
    };
    tokio::spawn(election.run(std::future::pending()));
    Replica {
        serving,
        keeper: tokio::spawn(async move {
            let ended = keeper.run().await;
            panic!("{ended:?}");
        }),
    }
}

async fn bundle(replica: &Replica) -> Arc<str> {
    let mut bundle = replica.serving.bundle();
    bundle.wait_for(Option::is_some).await.unwrap().clone().unwrap()
}

fn tear(api: &FakeApi, key: &str) {
    let mut object = api.object(PATH).unwrap();
    object["data"][key] = json!(STANDARD.encode("garbage"));
    api.put(PATH, object);
}

#[tokio::test(start_paused = true)]
async fn two_replicas_start_at_once_and_agree_though_calls_fail() {
    let api = FakeApi::default();
    api.fail_next([Fault::Refuse(500), Fault::Refuse(503), Fault::Refuse(500)]);
    let (first, second) = (replica(&api, "a", Mode::Own), replica(&api, "b", Mode::Own));
    assert_eq!(bundle(&first).await, bundle(&second).await);
    let stored = first.serving.stored().unwrap();
    assert_eq!(second.serving.stored().unwrap(), stored);
    let written = api
        .calls()
        .into_iter()
        .filter(|call| call.ends_with("/secrets") && call.starts_with("POST"));
    assert_eq!(written.count(), 1);
    assert!(!first.keeper.is_finished() && !second.keeper.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_found_by_the_watch() {
    let api = FakeApi::default();
    api.fail_next_of("POST /api/v1/namespaces/llmcache-system/secrets", Fault::AnswerLost);
    let replica = replica(&api, "a", Mode::Own);
    bundle(&replica).await;
    assert!(replica.serving.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_torn_or_deleted_secret_is_mended_from_what_is_in_use() {
    let api = FakeApi::default();
    let replica = replica(&api, "a", Mode::Own);
    bundle(&replica).await;
    let before = api.object(PATH).unwrap()["data"].clone();
    for key in ["ca.crt", "ca.key", "tls.crt", "tls.key"] {
        tear(&api, key);
        while api.object(PATH).unwrap()["data"] != before {
            sleep(Duration::from_millis(100)).await;
        }
    }
    api.delete(PATH);
    while api.object(PATH).is_none_or(|object| object["data"] != before) {
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_provided_secret_is_only_read_and_the_last_good_one_is_kept() {
    let api = FakeApi::default();
    let made = replica(&api, "maker", Mode::Own);
    let good = bundle(&made).await;
    made.keeper.abort();
    let writes = |api: &FakeApi| {
        let calls = api.calls().into_iter();
        calls
            .filter(|call| call.contains("secrets") && !call.starts_with("GET"))
            .count()
    };
    let before = writes(&api);
    let reader = replica(&api, "reader", Mode::Provided);
    assert_eq!(bundle(&reader).await, good);
    let stored = reader.serving.stored().unwrap();
    tear(&api, "tls.key");
    sleep(Duration::from_mins(2)).await;
    assert_eq!(reader.serving.stored(), Some(stored));
    api.delete(PATH);
    sleep(Duration::from_mins(2)).await;
    assert!(reader.serving.is_ready());
    assert_eq!(writes(&api), before, "somebody else keeps it");
}
