use serde_json::json;

use super::*;
use crate::facts::ConfigMap;
use crate::index::{Change, Delta, Index};

const NOW_MS: i64 = 1_767_225_600_000;

/// A policy whose entry `docs` watches the ConfigMap `docs`, with what its status records.
fn policy(name: &str, recorded: Option<&str>) -> LLMCachePolicy {
    let states = recorded.map(|version| json!({"name": "docs", "resourceVersion": version}));
    serde_json::from_value(json!({
        "apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCachePolicy",
        "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-{name}"), "generation": 1},
        "spec": {"invalidation": [
            {"name": "by-hand", "pattern": "x:*"},
            {"name": "docs", "pattern": "doc:*", "onChange": {"configMap": "docs"}},
        ]},
        "status": {"invalidations": states.into_iter().collect::<Vec<_>>()},
    }))
    .unwrap()
}

fn index(policy: LLMCachePolicy, version: Option<&str>) -> Index {
    let mut index = Index::default();
    index.apply(Change::Policies(Delta::All(vec![policy])));
    let maps = version.map(|version| ConfigMap {
        key: Key {
            namespace: "shop".into(),
            name: "docs".into(),
        },
        resource_version: version.into(),
    });
    index.apply(Change::ConfigMaps(
        "shop".into(),
        Delta::All(maps.into_iter().collect()),
    ));
    index
}

fn recorded(policy: &LLMCachePolicy, index: &Index) -> Vec<(String, String)> {
    let states = seen(policy, index).into_iter();
    states.map(|state| (state.name, state.resource_version)).collect()
}

fn at(version: &str) -> Vec<(String, String)> {
    vec![("docs".into(), version.into())]
}

/// As the API server keeps it.
fn created(firing: &Firing, at_ms: i64) -> LLMCacheInvalidation {
    let mut object = firing.object.clone();
    let at = k8s_openapi::jiff::Timestamp::from_millisecond(at_ms).unwrap();
    object.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    object
}

#[test]
fn a_first_sight_only_records() {
    let policy = policy("bot", None);
    let index = index(policy.clone(), Some("7"));
    assert_eq!(firings(&index, NOW_MS), []);
    assert_eq!(recorded(&policy, &index), at("7"));
}

#[test]
fn a_change_fires_once_and_is_recorded_once_its_invalidation_exists() {
    let policy = policy("bot", Some("7"));
    let mut index = index(policy.clone(), Some("9"));
    let firing = firings(&index, NOW_MS).remove(0);
    assert_eq!(
        firings(&index, NOW_MS)[0],
        firing,
        "the name says which change it is for"
    );
    let object = &firing.object;
    assert_eq!(object.spec.policy.as_deref(), Some("bot"));
    assert_eq!(object.spec.pattern.as_deref(), Some("doc:*"));
    assert_eq!(
        object.metadata.labels.as_ref().unwrap()["llmcache.dev/on-change"],
        "bot"
    );
    assert_eq!(object.metadata.owner_references.as_ref().unwrap()[0].uid, "uid-bot");
    let name = object.metadata.name.as_deref().unwrap();
    assert!(
        name.starts_with("bot-docs-") && name.len() == "bot-docs-".len() + 10,
        "{name}"
    );
    assert_eq!(recorded(&policy, &index), at("7"), "not created yet");

    let invalidation = created(&firing, NOW_MS);
    index.apply(Change::Invalidations(Delta::One(invalidation.into())));
    assert_eq!(firings(&index, NOW_MS + 3_600_000), []);
    assert_eq!(recorded(&policy, &index), at("9"));
}

#[test]
fn a_burst_of_changes_fires_for_the_last_once_the_one_before_is_done() {
    let mut index = index(policy("bot", Some("7")), Some("8"));
    let first = created(&firings(&index, NOW_MS)[0], NOW_MS);
    index.apply(Change::Invalidations(Delta::One(first.clone().into())));
    index.apply(Change::Policies(Delta::All(vec![policy("bot", Some("8"))])));
    let change = |index: &mut Index, version: &str| {
        let map = ConfigMap {
            key: Key {
                namespace: "shop".into(),
                name: "docs".into(),
            },
            resource_version: version.into(),
        };
        index.apply(Change::ConfigMaps("shop".into(), Delta::One(map.into())));
    };
    change(&mut index, "9");
    change(&mut index, "10");
    assert_eq!(firings(&index, NOW_MS + 4_999), [], "too soon");
    assert_eq!(firings(&index, NOW_MS + 59_999), [], "the first is on its way");
    let late = firings(&index, NOW_MS + 60_000);
    assert_eq!(late[0].resource_version, "10");
    let mut done = first;
    done.status = serde_json::from_value(json!({"conditions": [{"type": "Complete", "status": "True",
        "reason": "Complete", "message": "", "lastTransitionTime": "2026-01-01T00:00:01Z"}]}))
    .unwrap();
    index.apply(Change::Invalidations(Delta::One(done.into())));
    assert_eq!(firings(&index, NOW_MS + 4_999), []);
    assert_eq!(firings(&index, NOW_MS + 5_000), late);
}

#[test]
fn a_config_map_that_goes_and_comes_back_changed() {
    let policy = policy("bot", Some("7"));
    let gone = index(policy.clone(), None);
    assert_eq!(firings(&gone, NOW_MS), []);
    assert_eq!(recorded(&policy, &gone), at("7"));
    let back = index(policy, Some("12"));
    assert_eq!(firings(&back, NOW_MS).len(), 1);
}

#[test]
fn a_namespace_that_is_not_watched_is_told_of_the_chart_value() {
    let policy = policy("bot", Some("7"));
    let mut unseen = Index::default();
    unseen.apply(Change::Policies(Delta::All(vec![policy.clone()])));
    let message = unwatched(&policy, &unseen).unwrap();
    assert!(
        message.starts_with("spec.invalidation[1].onChange.configMap: "),
        "{message}"
    );
    assert!(message.contains("add shop to the chart value invalidation.watchNamespaces"));
    assert_eq!(firings(&unseen, NOW_MS), []);
    assert_eq!(recorded(&policy, &unseen), at("7"), "what was seen is kept");
    assert_eq!(unwatched(&policy, &index(policy.clone(), None)), None);
}

#[test]
fn the_longest_names_make_a_name_that_is_allowed() {
    let long = format!("{}.{}", "a".repeat(177), "b".repeat(75));
    let index = index(policy(&long, Some("7")), Some("8"));
    let name = firings(&index, NOW_MS)[0].object.metadata.name.clone().unwrap();
    assert!(name.len() <= 253 && !name.contains(".-"), "{name}");
}
