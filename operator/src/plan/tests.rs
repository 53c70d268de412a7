use llmcache_crds::status::reason;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::index::{Change, Delta};

fn settings(rest: &str) -> Settings {
    Settings::parse(&format!("sidecar: {{image: \"s:1\"}}\n{rest}")).unwrap()
}

fn policy(name: &str, second: u8, generation: i64, spec: &Value) -> LLMCachePolicy {
    serde_json::from_value(json!({
        "apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCachePolicy",
        "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-{name}"), "generation": generation,
            "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z")},
        "spec": spec,
    }))
    .unwrap()
}

fn pod(name: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Pod {
    let map = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        pairs.collect::<BTreeMap<_, _>>()
    };
    let mut labels = map(labels);
    labels.insert("llmcache.dev/injected".into(), "true".into());
    Pod {
        key: Key {
            namespace: "shop".into(),
            name: name.into(),
        },
        uid: format!("pod-{name}"),
        labels,
        annotations: map(annotations),
        owner: None,
        created_ms: 0,
        is_leaving: false,
    }
}

fn index(policies: Vec<LLMCachePolicy>, pods: Vec<Pod>) -> Index {
    let mut index = Index::default();
    index.apply(Change::Policies(Delta::All(policies)));
    index.apply(Change::Pods(Delta::All(pods)));
    index
}

fn of_app(app: &str) -> Value {
    json!({"selector": {"matchLabels": {"app": app}}})
}

fn winner(plan: &Plan, pod: &str) -> Option<String> {
    plan.pods[&format!("pod-{pod}")]
        .policy
        .as_ref()
        .map(|key| key.name.clone())
}

fn judged<'a>(plan: &'a Plan, name: &str) -> &'a Judged {
    let mut found = plan.policies.iter().filter(|(key, _)| key.name == name);
    found.next().unwrap().1
}

fn plan(index: &Index) -> Plan {
    Planner::default().plan(index, &settings(""), 7)
}

#[test]
fn a_selector_beats_none_then_the_oldest_then_the_first_by_name_wins() {
    let all = json!({});
    let chat = pod("chat", &[("app", "chat")], &[]);
    let cases = [
        (vec![policy("a", 1, 1, &all), policy("b", 2, 1, &of_app("chat"))], "b"),
        (vec![policy("a", 2, 1, &all), policy("b", 1, 1, &all)], "b"),
        (vec![policy("b", 1, 1, &all), policy("a", 1, 1, &all)], "a"),
        (
            vec![
                policy("a", 1, 1, &json!({"selector": {}})),
                policy("b", 2, 1, &of_app("chat")),
            ],
            "b",
        ),
    ];
    for (policies, expected) in cases {
        let plan = plan(&index(policies, vec![chat.clone()]));
        assert_eq!(winner(&plan, "chat").as_deref(), Some(expected));
        let loser = if expected == "a" { "b" } else { "a" };
        let refusal = judged(&plan, loser).refusal.clone().unwrap();
        assert_eq!(refusal.reason, reason::CONFLICTED);
        assert!(
            refusal.message.contains(&format!("the policy {expected}")),
            "{}",
            refusal.message
        );
        assert_eq!(judged(&plan, expected).refusal, None);
    }
}

#[test]
fn a_policy_that_wins_some_of_its_pods_is_in_no_conflict() {
    let policies = vec![policy("all", 1, 1, &json!({})), policy("chat", 2, 1, &of_app("chat"))];
    let pods = vec![pod("chat", &[("app", "chat")], &[]), pod("other", &[], &[])];
    let plan = plan(&index(policies, pods));
    assert_eq!(winner(&plan, "chat").as_deref(), Some("chat"));
    assert_eq!(winner(&plan, "other").as_deref(), Some("all"));
    assert_eq!(judged(&plan, "all").refusal, None);
    assert_eq!(judged(&plan, "all").pods, ["pod-other"]);
}

#[test]
fn the_annotation_wins_over_every_selector_and_naming_none_means_no_policy() {
    let policies = vec![
        policy("chat", 1, 1, &of_app("chat")),
        policy("other", 2, 1, &of_app("other")),
    ];
    let named = pod("named", &[("app", "chat")], &[("llmcache.dev/policy", "other")]);
    let lost = pod("lost", &[("app", "chat")], &[("llmcache.dev/policy", "gone")]);
    let plan = plan(&index(policies, vec![named, lost]));
    assert_eq!(winner(&plan, "named").as_deref(), Some("other"));
    let lost = &plan.pods["pod-lost"];
    assert_eq!(
        (&lost.order, lost.missing.as_deref()),
        (&Order::PassThrough, Some("gone"))
    );
}

#[test]
fn pods_without_a_policy_execute_the_defaults_or_nothing() {
    let index = index(vec![], vec![pod("chat", &[], &[])]);
    assert_eq!(plan(&index).pods["pod-chat"].order, Order::PassThrough);
    let settings = settings("defaults: {spec: {resultCache: {maxAge: 24h}}}\n");
    let plan = Planner::default().plan(&index, &settings, 7);
    let Order::Run(program) = &plan.pods["pod-chat"].order else {
        panic!("{:?}", plan.pods["pod-chat"].order);
    };
    assert_eq!(program.snapshot.identity.name, "install-defaults");
    assert_eq!(program.snapshot.identity.namespace, "shop");
}

#[test]
fn a_refused_generation_leaves_the_accepted_one_in_force() {
    let mut planner = Planner::default();
    let pods = vec![pod("chat", &[], &[])];
    let good = index(
        vec![policy("p", 1, 1, &json!({"resultCache": {"maxAge": "2h"}}))],
        pods.clone(),
    );
    let first = planner.plan(&good, &settings(""), 1);
    let bad = json!({"upstreams": {"openai": {"url": "https://other.example/v1"}}});
    let bad = index(vec![policy("p", 1, 2, &bad)], pods);
    let second = planner.plan(&bad, &settings(""), 2);
    let refusal = judged(&second, "p").refusal.clone().unwrap();
    assert_eq!(refusal.reason, reason::UPSTREAM_NOT_ALLOWED);
    assert!(
        refusal.message.contains("spec.upstreams.openai.url"),
        "{}",
        refusal.message
    );
    assert_eq!(second.pods["pod-chat"].order, first.pods["pod-chat"].order);

    // An operator that never saw the accepted one orders nothing, so that sidecars keep what they have.
    let mut known = bad.clone();
    let mut told = LLMCachePolicy::clone(known.policies.values().next().unwrap());
    let status: llmcache_crds::LLMCachePolicyStatus = serde_json::from_value(json!({"revision": "abc"})).unwrap();
    told.status = Some(status);
    known.apply(Change::Policies(Delta::One(told.into())));
    assert_eq!(plan(&known).pods["pod-chat"].order, Order::Keep);
    assert_eq!(plan(&bad).pods["pod-chat"].order, Order::PassThrough);
}

#[test]
fn an_unknown_store_class_is_refused_with_those_there_are() {
    let policies = vec![policy("p", 1, 1, &json!({"stores": {"class": "big"}}))];
    let plan = plan(&index(policies, vec![]));
    let refusal = judged(&plan, "p").refusal.clone().unwrap();
    assert_eq!(refusal.reason, reason::UNKNOWN_STORE_CLASS);
    assert!(refusal.message.contains("it has default"), "{}", refusal.message);
}

#[test]
fn an_equal_generation_is_the_same_program() {
    let mut planner = Planner::default();
    let at = |generation| {
        index(
            vec![policy("p", 1, generation, &json!({}))],
            vec![pod("chat", &[], &[])],
        )
    };
    let first = planner.plan(&at(1), &settings(""), 1);
    let again = planner.plan(&at(1), &settings(""), 2);
    let later = planner.plan(&at(2), &settings(""), 3);
    let since = |plan: &Plan| judged(plan, "p").program.as_ref().unwrap().since_ms;
    assert_eq!((since(&first), since(&again), since(&later)), (1, 1, 3));
}

#[test]
fn pods_that_leave_or_never_asked_are_not_counted() {
    let mut silent = pod("silent", &[], &[]);
    silent.labels.clear();
    let mut asking = pod("asking", &[], &[("llmcache.dev/inject", "enabled")]);
    asking.labels.clear();
    let mut leaving = pod("leaving", &[], &[]);
    leaving.is_leaving = true;
    let plan = plan(&index(
        vec![policy("p", 1, 1, &json!({}))],
        vec![silent, asking, leaving],
    ));
    assert!(!plan.pods.contains_key("pod-silent"));
    assert!(matches!(plan.pods["pod-leaving"].order, Order::Run(_)));
    assert_eq!(judged(&plan, "p").pods, ["pod-asking"]);
}

proptest! {
    /// However events arrive, each pod has one winner, and the same one.
    #[test]
    fn the_order_of_events_does_not_matter(
        seconds in prop::collection::vec(0_u8..3, 1..5),
        has_selector in prop::collection::vec(any::<bool>(), 5),
        shuffled in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let made: Vec<LLMCachePolicy> = seconds.iter().enumerate().map(|(at, second)| {
            let spec = if has_selector[at] { of_app("chat") } else { json!({}) };
            policy(&format!("p{at}"), *second, 1, &spec)
        }).collect();
        let chat = pod("chat", &[("app", "chat")], &[]);
        let straight = plan(&index(made.clone(), vec![chat.clone()]));
        let mut mixed = Index::default();
        mixed.apply(Change::Pods(Delta::One(chat.into())));
        for at in shuffled.into_iter().filter(|at| *at < made.len()) {
            mixed.apply(Change::Policies(Delta::One(made[at].clone().into())));
        }
        let mixed = plan(&mixed);
        prop_assert_eq!(winner(&straight, "chat"), winner(&mixed, "chat"));
        let winners = straight.policies.values().filter(|judged| !judged.pods.is_empty()).count();
        prop_assert_eq!(winners, 1);
    }
}
