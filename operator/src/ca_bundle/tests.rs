use prometheus::Registry;
use serde_json::Value;
use tokio::time::sleep;

use super::*;
use crate::fake_api::{FakeApi, Fault};
use crate::lease::{Election, Holder, Metrics, Timing};

const PATH: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/llmcache-operator";

fn configuration(bundles: &[Option<&str>]) -> Value {
    let entry = |(index, bundle): (usize, Option<&str>)| {
        let mut entry = json!({
            "name": format!("entry-{index}.llmcache.dev"),
            "clientConfig": {"service": {"name": "llmcache-operator", "namespace": "llmcache-system"}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        });
        if let Some(bundle) = bundle {
            entry["clientConfig"]["caBundle"] = json!(STANDARD.encode(bundle));
        }
        entry
    };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "llmcache-operator"},
        "webhooks": bundles.iter().copied().enumerate().map(entry).collect::<Vec<_>>(),
    })
}

fn typed(value: Value) -> MutatingWebhookConfiguration {
    serde_json::from_value(value).unwrap()
}

#[test]
fn only_entries_that_differ_are_written_and_each_is_tested_by_name() {
    let operations = patch(&typed(configuration(&[Some("new"), None, Some("old")])), "new");
    let paths: Vec<&str> = operations.iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "/webhooks/1/name",
            "/webhooks/1/clientConfig/caBundle",
            "/webhooks/2/name",
            "/webhooks/2/clientConfig/caBundle",
        ]
    );
    assert_eq!(operations[0]["value"], "entry-1.llmcache.dev");
    assert_eq!(operations[1]["value"], STANDARD.encode("new"));
    assert!(patch(&typed(configuration(&[Some("new")])), "new").is_empty());
    assert!(patch(&typed(json!({"metadata": {}})), "new").is_empty());
}

#[test]
fn the_patch_applied_leaves_nothing_to_write_and_a_moved_entry_refuses_it_whole() {
    let mut object = configuration(&[None, Some("old")]);
    let operations: json_patch::Patch =
        serde_json::from_value(Value::Array(patch(&typed(object.clone()), "new"))).unwrap();
    let mut moved = object.clone();
    moved["webhooks"].as_array_mut().unwrap().swap(0, 1);
    assert!(json_patch::patch(&mut moved, &operations).is_err());
    json_patch::patch(&mut object, &operations).unwrap();
    assert!(patch(&typed(object), "new").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_leader_writes_the_bundle_and_puts_it_back_when_it_is_taken_away() {
    let api = FakeApi::default();
    api.put(PATH, configuration(&[None, None]));
    let own = Holder {
        pod: "a".to_owned(),
        address: "10.0.0.1".parse().unwrap(),
    };
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let leases = Api::namespaced(api.client(), "llmcache-system");
    let election = Election::new(leases, "llmcache-operator", own, Timing::default(), metrics);
    let leadership = election.leadership();
    let (bundle, receiver) = watch::channel(None);
    let configurations = Api::all(api.client());
    let keeper = tokio::spawn(async move { run(configurations, "llmcache-operator", leadership, receiver).await });

    bundle.send_replace(Some("first".into()));
    sleep(Duration::from_mins(2)).await;
    assert!(holds(&api, None), "a follower writes nothing");

    tokio::spawn(election.run(std::future::pending()));
    until(&api, "first").await;
    bundle.send_replace(Some("second".into()));
    until(&api, "second").await;
    api.fail_next([Fault::Refuse(500)]);
    api.put(PATH, configuration(&[None, None, None]));
    until(&api, "second").await;
    assert!(!keeper.is_finished());
}

async fn until(api: &FakeApi, bundle: &str) {
    while !holds(api, Some(bundle)) {
        sleep(Duration::from_millis(100)).await;
    }
}

fn holds(api: &FakeApi, bundle: Option<&str>) -> bool {
    let wanted = bundle.map_or(Value::Null, |bundle| json!(STANDARD.encode(bundle)));
    let object = api.object(PATH).unwrap();
    let mut entries = object["webhooks"].as_array().unwrap().iter();
    entries.all(|entry| entry["clientConfig"]["caBundle"] == wanted)
}
