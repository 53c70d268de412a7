use super::*;
use crate::facts::OwnerReference;

fn key(name: &str) -> Key {
    Key {
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn owner(kind: &'static str, name: &str, above: Option<(&str, &str)>) -> Change {
    let api_version = "apps/v1".to_owned();
    Change::Owners(
        kind,
        Delta::One(Box::new(Owner {
            key: key(name),
            api_version: api_version.clone(),
            kind: kind.into(),
            uid: format!("uid-{name}"),
            annotations: BTreeMap::new(),
            owner: above.map(|(kind, name)| OwnerReference {
                api_version,
                kind: kind.into(),
                name: name.into(),
                uid: format!("uid-{name}"),
            }),
        })),
    )
}

fn map(name: &str, version: &str) -> ConfigMap {
    ConfigMap {
        key: key(name),
        resource_version: version.into(),
    }
}

#[test]
fn a_repeated_list_takes_away_what_is_gone() {
    let mut index = Index::default();
    let watched = || "shop".to_owned();
    index.apply(Change::ConfigMaps(watched(), Delta::One(map("a", "1").into())));
    index.apply(Change::ConfigMaps(watched(), Delta::One(map("b", "1").into())));
    assert_eq!(index.listed(), 0);
    index.apply(Change::ConfigMaps(
        watched(),
        Delta::All(vec![map("b", "2"), map("c", "1")]),
    ));
    assert_eq!(index.listed(), 1);
    assert!(index.config_map(&key("a")).is_none());
    assert_eq!(index.config_map(&key("b")).unwrap().resource_version, "2");
    index.apply(Change::ConfigMaps(watched(), Delta::Gone(key("c"))));
    assert!(index.config_map(&key("c")).is_none());
    assert!(index.watches_config_maps("shop") && !index.watches_config_maps("bank"));
}

#[test]
fn the_owner_of_a_pod_is_the_one_that_people_know() {
    let mut index = Index::default();
    let pod = Pod {
        key: key("chat-1-x"),
        uid: "u".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        owner: Some(OwnerReference {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: "chat-1".into(),
            uid: "uid-chat-1".into(),
        }),
        created_ms: 0,
        is_leaving: false,
    };
    assert!(index.root_owner(&pod).is_none());
    index.apply(owner("ReplicaSet", "chat-1", Some(("Deployment", "chat"))));
    assert_eq!(index.root_owner(&pod).unwrap().key.name, "chat-1");
    index.apply(owner("Deployment", "chat", None));
    assert_eq!(index.root_owner(&pod).unwrap().kind, "Deployment");
}

#[test]
fn what_cannot_be_read_in_a_later_list_stays_as_it_was_known() {
    let policy = |name: &str, generation: i64| -> LLMCachePolicy {
        let metadata = serde_json::json!({"namespace": "shop", "name": name, "generation": generation});
        let policy = serde_json::json!({"apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCachePolicy",
            "metadata": metadata, "spec": {}});
        serde_json::from_value(policy).unwrap()
    };
    let mut index = Index::default();
    let first = vec![policy("a", 1), policy("b", 1), policy("c", 1)];
    index.apply(Change::Policies(Delta::All(first)));
    let unreadable = vec![key("b"), key("never-known")];
    index.apply(Change::Policies(Delta::AllBut(vec![policy("a", 2)], unreadable)));
    let known = index
        .policies
        .iter()
        .map(|(key, policy)| (key.name.as_str(), policy.metadata.generation));
    assert_eq!(known.collect::<Vec<_>>(), [("a", Some(2)), ("b", Some(1))]);
    assert_eq!(index.listed(), 1);
}
