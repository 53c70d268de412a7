use std::collections::BTreeMap;

use llmcache_operator::facts::{Key, Namespace, OwnerReference};
use llmcache_operator::index::{Change, Delta};

use super::*;

const INJECT: &str = names::ANNOTATION_INJECT;
const FROM_OWNER: &str = names::ANNOTATION_FROM_OWNER;

fn words(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn key(namespace: &str, name: &str) -> Key {
    Key {
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn pod(annotations: &[(&str, &str)], owner: Option<&str>) -> Pod {
    Pod {
        key: key("shop", "chat-1"),
        uid: "u".into(),
        labels: BTreeMap::new(),
        annotations: words(annotations),
        owner: owner.map(|kind| OwnerReference {
            api_version: "v1".into(),
            kind: kind.into(),
            name: "chat".into(),
            uid: "o".into(),
        }),
        created_ms: 0,
        is_leaving: false,
    }
}

/// An owner with annotations in a namespace with labels.
fn index(kind: &'static str, annotations: &[(&str, &str)], labels: &[(&str, &str)]) -> Index {
    let owner = Owner {
        key: key("shop", "chat"),
        api_version: "v1".into(),
        kind: kind.into(),
        uid: "o".into(),
        annotations: words(annotations),
        owner: None,
    };
    let namespace = Namespace {
        key: key("", "shop"),
        uid: "n".into(),
        labels: words(labels),
    };
    let mut index = Index::default();
    index.apply(Change::Owners(kind, Delta::One(Box::new(owner))));
    index.apply(Change::Namespaces(Delta::One(Box::new(namespace))));
    index
}

#[test]
fn every_reason_has_the_exact_command() {
    let asked = &[(FROM_OWNER, "enabled")][..];
    let restart = "kubectl -n shop rollout restart deployment/chat";
    for (pod, index, state, fix) in [
        (pod(asked, Some("Deployment")), index("Deployment", &[], &[]), State::Missing, restart),
        (
            pod(&[], Some("Deployment")),
            index("Deployment", &[(INJECT, "enabled")], &[]),
            State::Missing,
            restart,
        ),
        (
            pod(&[], Some("StatefulSet")),
            index("StatefulSet", &[], &[(INJECT, "enabled")]),
            State::Missing,
            "kubectl -n shop rollout restart statefulset/chat",
        ),
        (
            pod(asked, Some("CronJob")),
            index("CronJob", &[], &[]),
            State::Missing,
            "kubectl -n shop create job --from=cronjob/chat chat-again",
        ),
        (
            pod(&[], Some("Deployment")),
            index("Deployment", &[], &[]),
            State::NotAsked,
            "kubectl -n shop annotate deployment chat llmcache.dev/inject=enabled --overwrite",
        ),
        (
            pod(&[(FROM_OWNER, "disabled")], Some("Deployment")),
            index("Deployment", &[(INJECT, "disabled")], &[(INJECT, "enabled")]),
            State::Disabled,
            "kubectl -n shop annotate deployment chat llmcache.dev/inject=enabled --overwrite",
        ),
        (
            pod(&[(INJECT, "disabled")], Some("Deployment")),
            index("Deployment", &[(INJECT, "enabled")], &[]),
            State::Disabled,
            "kubectl -n shop patch deployment chat --type=merge -p \
             '{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"llmcache.dev/inject\":\"enabled\"}}}}}'",
        ),
        (
            pod(&[(INJECT, "yes")], None),
            index("Deployment", &[], &[]),
            State::NotAsked,
            "set the annotation llmcache.dev/inject: enabled in the manifest, delete and create it again (pods and Jobs are \
             injected only when they are created)",
        ),
    ] {
        let found = judge(&pod, &index, &[]);
        assert_eq!((found.state, found.fix.as_deref()), (state, Some(fix)), "{pod:?}");
    }
}

#[test]
fn an_injected_pod_needs_nothing_and_a_skipped_one_says_why() {
    let mut injected = pod(&[], Some("Deployment"));
    injected.labels = words(&[(names::LABEL_INJECTED, "true")]);
    let found = judge(&injected, &index("Deployment", &[], &[]), &[]);
    assert_eq!((found.state, found.fix), (State::Injected, None));

    let skips = ["HostNetwork: the pod uses its node's network".to_owned()];
    let found = judge(&pod(&[(FROM_OWNER, "enabled")], Some("Deployment")), &index("Deployment", &[], &[]), &skips);
    assert_eq!(found.state, State::Missing);
    assert!(found.message.contains("HostNetwork"), "{}", found.message);
}
