use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::Event;
use llmcache_policy::push::{Report, Sighting};
use serde_json::json;

use super::*;
use crate::facts::{Key, Namespace, Owner, OwnerReference, Pod};
use crate::index::{Change, Delta};
use crate::plan::Planner;
use crate::settings::Settings;
use crate::world::World;

const NOW_MS: i64 = 10_000_000;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn map(pairs: Pairs<'_>) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn key(name: &str) -> Key {
    Key {
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn reference(kind: &str, name: &str) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".into(),
        kind: kind.into(),
        name: name.into(),
        uid: format!("{kind}-{name}"),
    }
}

fn owner(kind: &'static str, name: &str, annotations: Pairs<'_>, above: Option<OwnerReference>) -> Change {
    let owner = Owner {
        key: key(name),
        api_version: "apps/v1".into(),
        kind: kind.into(),
        uid: format!("{kind}-{name}"),
        annotations: map(annotations),
        owner: above,
    };
    Change::Owners(kind, Delta::One(owner.into()))
}

/// A pod of age `age_ms`.
fn pod(name: &str, age_ms: i64, labels: Pairs<'_>, annotations: Pairs<'_>, owner: Option<OwnerReference>) -> Change {
    let pod = Pod {
        key: key(name),
        uid: name.into(),
        labels: map(labels),
        annotations: map(annotations),
        owner,
        created_ms: NOW_MS - age_ms,
        is_leaving: false,
    };
    Change::Pods(Delta::One(pod.into()))
}

/// The Deployment `chat` with these annotations and its ReplicaSet `chat-1`.
fn chat(annotations: Pairs<'_>) -> Vec<Change> {
    vec![
        owner("Deployment", "chat", annotations, None),
        owner(
            "ReplicaSet",
            "chat-1",
            annotations,
            Some(reference("Deployment", "chat")),
        ),
    ]
}

fn world(namespace_labels: Pairs<'_>, changes: Vec<Change>) -> World {
    let mut world = World::default();
    let namespace = Namespace {
        key: Key {
            namespace: String::new(),
            name: "shop".into(),
        },
        uid: "shop".into(),
        labels: map(namespace_labels),
    };
    world.index.apply(Change::Namespaces(Delta::One(namespace.into())));
    for change in changes {
        world.index.apply(change);
    }
    let settings = Settings::parse("sidecar: {image: \"s:1\"}").unwrap();
    world.plan = Planner::default().plan(&world.index, &settings, 0);
    world
}

fn find(world: &World) -> Vec<Finding> {
    Watchdog::default().find(world, &HashMap::new(), NOW_MS)
}

const ENABLED: Pairs<'_> = &[("llmcache.dev/inject", "enabled")];
const COPIED: Pairs<'_> = &[("llmcache.dev/inject-from-owner", "enabled")];
const INJECTED: Pairs<'_> = &[("llmcache.dev/injected", "true")];

#[test]
fn pods_without_their_sidecar_are_one_finding_on_their_deployment_with_the_command() {
    let mut changes = chat(ENABLED);
    for name in ["a", "b"] {
        changes.push(pod(name, 60_000, &[], COPIED, Some(reference("ReplicaSet", "chat-1"))));
    }
    changes.push(pod(
        "young",
        44_999,
        &[],
        COPIED,
        Some(reference("ReplicaSet", "chat-1")),
    ));
    changes.push(pod(
        "fine",
        99_000,
        INJECTED,
        COPIED,
        Some(reference("ReplicaSet", "chat-1")),
    ));
    let [finding] = &find(&world(&[], changes))[..] else {
        panic!("one finding")
    };
    assert_eq!((finding.kind, finding.pods), (Kind::InjectionMissing, 2));
    assert_eq!(finding.regarding.kind.as_deref(), Some("Deployment"));
    assert_eq!(finding.regarding.uid.as_deref(), Some("Deployment-chat"));
    assert!(
        finding
            .message
            .ends_with("fix: kubectl -n shop rollout restart deployment/chat"),
        "{}",
        finding.message
    );
    let notice = finding.clone().notice();
    assert_eq!((notice.reason, notice.is_warning), ("InjectionMissing", true));
}

#[test]
fn every_kind_of_owner_has_its_own_fix() {
    for (kind, fix) in [
        ("StatefulSet", "kubectl -n shop rollout restart statefulset/o"),
        ("DaemonSet", "kubectl -n shop rollout restart daemonset/o"),
        ("Job", "Jobs are injected at creation; create it again"),
        ("Rollout", "restart the pods of Rollout o"),
    ] {
        let mut changes = vec![pod("p", 70_000, &[], ENABLED, Some(reference(kind, "o")))];
        if kind != "Rollout" {
            changes.push(owner(kind, "o", &[], None));
        }
        let findings = find(&world(&[], changes));
        assert_eq!(findings.len(), 1, "{kind}");
        assert_eq!(findings[0].regarding.kind.as_deref(), Some(kind));
        assert!(findings[0].message.ends_with(fix), "{}", findings[0].message);
    }
    let bare = find(&world(&[], vec![pod("p", 70_000, &[], ENABLED, None)]));
    assert!(
        bare[0]
            .message
            .ends_with("kubectl -n shop delete pod p, and create it again")
    );
}

#[test]
fn pods_that_ask_for_nothing_are_left_alone() {
    let changes = vec![
        pod("silent", 70_000, &[], &[], None),
        pod("refusing", 70_000, &[], &[("llmcache.dev/inject", "disabled")], None),
    ];
    assert_eq!(find(&world(&[], changes.clone())), []);
    let findings = find(&world(ENABLED, changes));
    assert_eq!(findings.len(), 1, "the namespace asks for one of them");
    assert!(findings[0].message.contains("delete pod silent"));
}

#[test]
fn an_annotation_that_no_pod_heard_of_is_told_after_a_minute() {
    let deaf = || pod("a", 999_000, &[], &[], Some(reference("ReplicaSet", "chat-1")));
    let mut changes = chat(ENABLED);
    changes.push(deaf());
    let stuck = world(&[], changes.clone());
    let mut watchdog = Watchdog::default();
    let mut at = |world: &World, now_ms| watchdog.find(world, &HashMap::new(), now_ms);
    assert_eq!(at(&stuck, NOW_MS), []);
    assert_eq!(at(&stuck, NOW_MS + 44_999), []);
    let findings = at(&stuck, NOW_MS + 45_000);
    assert_eq!((findings.len(), findings[0].pods), (1, 1));
    let fix = "kubectl -n shop annotate deployment/chat llmcache.dev/inject=enabled --overwrite";
    assert!(findings[0].message.ends_with(fix), "{}", findings[0].message);
    // A pod that heard: it rolls, however long that takes.
    changes.push(pod(
        "b",
        1_000,
        INJECTED,
        COPIED,
        Some(reference("ReplicaSet", "chat-1")),
    ));
    assert_eq!(at(&world(&[], changes), NOW_MS + 70_000), []);
    assert_eq!(at(&stuck, NOW_MS + 80_000), [], "and it begins anew");
    assert_eq!(find(&world(&[], [chat(&[]), vec![deaf()]].concat())), []);
}

#[test]
fn a_policy_that_does_not_exist_is_told_on_the_owner() {
    let mut changes = chat(&[]);
    let annotations = [COPIED[0], ("llmcache.dev/policy", "bott")];
    changes.push(pod(
        "a",
        0,
        INJECTED,
        &annotations,
        Some(reference("ReplicaSet", "chat-1")),
    ));
    let findings = find(&world(&[], changes));
    assert_eq!((findings.len(), findings[0].kind), (1, Kind::PolicyNotFound));
    assert!(
        findings[0].message.contains("bott names no policy of namespace shop"),
        "{}",
        findings[0].message
    );
}

#[test]
fn a_sidecar_that_nobody_calls_is_told_after_ten_minutes() {
    let mut changes = chat(&[]);
    changes.push(pod(
        "a",
        999_000,
        INJECTED,
        COPIED,
        Some(reference("ReplicaSet", "chat-1")),
    ));
    let world = world(&[], changes);
    for (connected_ms, requests, expected) in [
        (NOW_MS - 600_000, Some(0), 1),
        (NOW_MS - 599_999, Some(0), 0),
        (NOW_MS - 600_000, Some(1), 0),
        (NOW_MS - 600_000, None, 0),
    ] {
        let sighting = Sighting {
            pod_uid: "a".into(),
            connected_ms: u64::try_from(connected_ms).unwrap(),
            report: requests.map(|requests| Report {
                requests,
                ..Report::default()
            }),
            ..Sighting::default()
        };
        let sightings = HashMap::from([("a".to_owned(), sighting)]);
        let findings = Watchdog::default().find(&world, &sightings, NOW_MS);
        assert_eq!(findings.len(), expected, "{connected_ms} {requests:?}");
        assert!(findings.iter().all(|finding| finding.kind == Kind::NoTraffic));
    }
}

fn failed(kind: &str, name: &str, message: &str) -> Event {
    serde_json::from_value(json!({
        "metadata": {"namespace": "shop", "name": "e"},
        "reason": "FailedCreate", "message": message,
        "involvedObject": {"kind": kind, "namespace": "shop", "name": name},
        "lastTimestamp": "1970-01-01T02:46:30Z",
    }))
    .unwrap()
}

const QUOTA: &str = "Error creating: pods \"chat-1-x\" is forbidden: exceeded quota: q, requested: limits.memory=512Mi, \
                     used: limits.memory=1Gi, limited: limits.memory=1Gi";

#[test]
fn a_pod_refused_for_quota_is_told_on_the_deployment_that_asked_for_a_sidecar() {
    let asking = world(&[], chat(ENABLED));
    let event = failed("ReplicaSet", "chat-1", QUOTA);
    let notice = refusal(&event, &asking, NOW_MS).unwrap();
    assert_eq!(
        (notice.reason, notice.regarding.name.as_deref()),
        ("QuotaExceeded", Some("chat"))
    );
    assert!(notice.message.contains("llmcache.dev/resources") && notice.message.ends_with(QUOTA));
    assert!(
        refusal(&event, &world(ENABLED, chat(&[])), NOW_MS).is_some(),
        "its namespace asked"
    );
    assert_eq!(refusal(&event, &world(&[], chat(&[])), NOW_MS), None, "nobody asked");
    assert_eq!(refusal(&event, &asking, NOW_MS + 600_000), None, "long ago");
    let disabled = [("llmcache.dev/inject", "disabled")];
    assert_eq!(refusal(&event, &world(ENABLED, chat(&disabled)), NOW_MS), None);
}

#[test]
fn a_refusal_that_names_our_container_needs_no_annotation_and_others_are_not_ours() {
    let world = world(&[], chat(&[]));
    for (message, is_ours) in [
        (
            "pods \"x\" is forbidden: failed quota: q: must specify limits.cpu for: llmcache",
            true,
        ),
        (
            "pods \"x\" is forbidden: maximum cpu usage per Container is 500m, but limit of container llmcache is 1",
            true,
        ),
        (
            "pods \"x\" is forbidden: error looking up service account shop/none",
            false,
        ),
        ("Internal error occurred: llmcache", false),
    ] {
        let found = refusal(&failed("ReplicaSet", "chat-1", message), &world, NOW_MS);
        assert_eq!(found.is_some(), is_ours, "{message}");
    }
    let gone = failed("ReplicaSet", "gone", QUOTA);
    assert_eq!(refusal(&gone, &world, NOW_MS), None);
}
