use serde_json::json;
use zeroize::Zeroizing;

use super::*;
use crate::facts::{Key, Namespace, Pod};
use crate::index::{Change, Delta};
use crate::install_secret::InstallSecret;
use crate::plan::Planner;
use crate::settings::Settings;
use crate::world::World;

const SECRET: &str = "an install secret of some length";

fn secret(previous: Option<&str>) -> InstallSecret {
    let bytes = |text: &str| Zeroizing::new(text.as_bytes().try_into().unwrap());
    InstallSecret {
        current: bytes(SECRET),
        previous: previous.map(bytes),
    }
}

/// Three namespaces, of which `shop` has a policy of class `fast`, `bank` one without stores, and `none` nothing but a pod.
fn world(defaults: &str) -> World {
    let settings =
        format!("sidecar: {{image: \"s:1\"}}\nstoreClasses: {{fast: {{redis: {{addresses: ['a.b:1']}}}}}}\n{defaults}");
    let settings = Settings::parse(&settings).unwrap();
    let mut world = World::default();
    let key = |namespace: &str, name: &str| Key {
        namespace: namespace.into(),
        name: name.into(),
    };
    let namespaces = ["shop", "bank", "none"].map(|name| Namespace {
        key: key("", name),
        uid: format!("uid-{name}"),
        labels: BTreeMap::new(),
    });
    let policies = [("shop", json!({"stores": {"class": "fast"}})), ("bank", json!({}))].map(|(namespace, spec)| {
        let metadata = json!({"namespace": namespace, "name": "p", "uid": namespace, "generation": 1});
        let policy = json!({"apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCachePolicy",
            "metadata": metadata, "spec": spec});
        serde_json::from_value(policy).unwrap()
    });
    let pod = Pod {
        key: key("none", "x"),
        uid: "x".into(),
        labels: [("llmcache.dev/injected".to_owned(), "true".to_owned())].into(),
        annotations: BTreeMap::new(),
        owner: None,
        created_ms: 0,
        is_leaving: false,
    };
    world.index.apply(Change::Namespaces(Delta::All(namespaces.into())));
    world.index.apply(Change::Policies(Delta::All(policies.into())));
    world.index.apply(Change::Pods(Delta::All(vec![pod])));
    world.plan = Planner::default().plan(&world.index, &settings, 0);
    world
}

fn user(namespace: &str) -> String {
    let keys = secret(None).keys(&format!("uid-{namespace}")).unwrap();
    keys.current.redis_user()
}

#[test]
fn namespaces_with_a_policy_or_pod_of_the_class_have_a_user() {
    let names = |users: &Users| users.keys().cloned().collect::<BTreeSet<_>>();
    let users = wanted(&world(""), "fast", &secret(None));
    assert_eq!(names(&users), BTreeSet::from([user("shop")]));
    let defaults = "defaults: {spec: {stores: {class: fast}}}\n";
    let users = wanted(&world(defaults), "fast", &secret(None));
    assert_eq!(names(&users), BTreeSet::from([user("shop"), user("none")]));
    assert_eq!(wanted(&world(""), "other", &secret(None)), Users::new());
}

#[test]
fn a_user_reaches_its_namespaces_keys_alone_and_carries_the_mark() {
    let secret = secret(Some("the secret that was before it..."));
    let users = wanted(&world(""), "fast", &secret);
    let User(rules) = &users[&user("shop")];
    let keys = secret.keys("uid-shop").unwrap();
    let patterns: Vec<&String> = rules.iter().filter(|rule| rule.starts_with('~')).collect();
    let previous = keys.previous.unwrap().redis_prefix();
    assert_eq!(
        patterns,
        [&format!("~{}*", keys.current.redis_prefix()), &format!("~{previous}*")]
    );
    assert_eq!(
        rules.iter().filter(|rule| rule.starts_with('&')).collect::<Vec<_>>(),
        [&format!("&{}", marks(&secret)[0])]
    );
    let password = keys.current.redis_password();
    assert!(!rules.iter().any(|rule| rule.contains(&*password)), "its hash alone");
    assert_eq!(format!("{users:?}").matches("redacted").count(), 1);
}

#[test]
fn installs_have_different_marks() {
    let other = InstallSecret {
        current: Zeroizing::new([7; 32]),
        previous: None,
    };
    assert_ne!(marks(&secret(None)), marks(&other));
    let rotated = InstallSecret {
        previous: Some(secret(None).current),
        ..other
    };
    assert_eq!(marks(&rotated)[1..], marks(&secret(None)));
}
