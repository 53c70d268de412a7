//! Pods at random: the patch applies, the second review finds nothing to do, and only environment of others changes.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;

const URLS: [&str; 9] = [
    "",
    "https://a.example",
    "https://a.example/v1/",
    "https://b.example/v1",
    "http://127.0.0.1:15480/anthropic",
    "http://127.0.0.1:15480/openai/v1",
    "$(HOST)/v1",
    "127.0.0.1,localhost",
    "*",
];

fn name() -> impl Strategy<Value = &'static str> {
    let names = MANAGED
        .into_iter()
        .chain(["HTTPS_PROXY", "http_proxy", "SSL_CERT_FILE", "HOST", "LLMCACHE_CA"]);
    select(names.collect::<Vec<_>>())
}

fn entry() -> impl Strategy<Value = Value> {
    let reference = (
        select(vec!["configMapKeyRef", "secretKeyRef"]),
        select(vec!["one", "two"]),
        any::<bool>(),
    )
        .prop_flat_map(|(kind, object, optional)| {
            name().prop_map(move |key| json!({kind: {"name": object, "key": key, "optional": optional}}))
        });
    let field = Just(json!({"fieldRef": {"fieldPath": "metadata.name"}}));
    prop_oneof![
        6 => (name(), select(URLS.to_vec())).prop_map(|(name, value)| json!({"name": name, "value": value})),
        2 => (name(), prop_oneof![3 => reference, 1 => field]).prop_map(|(name, from)| json!({"name": name, "valueFrom": from})),
        1 => name().prop_map(|name| json!({"name": name})),
        1 => Just(json!({"name": "FUTURE", "later": {"a": 1}})),
    ]
}

fn source() -> impl Strategy<Value = Value> {
    let object = (
        select(vec!["configMapRef", "secretRef"]),
        select(vec!["one", "two", "proxy-env"]),
    );
    (object, select(vec!["", "ANTHROPIC_", "X_", "OPENAI_BASE_URL"]))
        .prop_map(|((kind, object), prefix)| json!({kind: {"name": object}, "prefix": prefix}))
}

/// A field that may be absent, null or there.
fn member<S: Strategy<Value = Value>>(name: &'static str, value: S) -> impl Strategy<Value = Option<(String, Value)>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some((name.to_owned(), Value::Null))),
        4 => value.prop_map(move |value| Some((name.to_owned(), value))),
    ]
}

fn container() -> impl Strategy<Value = Value> {
    let names = select(vec![
        "app",
        "worker",
        "istio-proxy",
        "linkerd-init",
        "envoy",
        "vault-agent-init",
        "warm",
    ]);
    let amounts = select(vec![
        json!({}),
        json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
        json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "odd"}}),
    ]);
    let ports = vec(
        select(vec![80_u16, 8080, 15490]).prop_map(|port| json!({"containerPort": port})),
        0..2,
    );
    (
        names,
        member("env", vec(entry(), 0..5).prop_map(Value::Array)),
        member("envFrom", vec(source(), 0..3).prop_map(Value::Array)),
        member("restartPolicy", select(vec!["Always", "Never"]).prop_map(Value::from)),
        member("resources", amounts),
        member("ports", ports.prop_map(Value::Array)),
        member("laterField", Just(json!([1.5, {"x": null}]))),
    )
        .prop_map(|(name, env, from, restart, resources, ports, later)| {
            let members = [env, from, restart, resources, ports, later].into_iter().flatten();
            let first = std::iter::once(("name".to_owned(), name.into()));
            Value::Object(first.chain(members).collect())
        })
}

fn pod() -> impl Strategy<Value = Value> {
    let volumes = select(vec![json!([]), json!([{"name": "data", "emptyDir": {}}])]);
    let labels = select(vec![json!({}), json!({"app": "a", "llmcache.dev/injected": "no"})]);
    (
        vec(container(), 1..4),
        member("initContainers", vec(container(), 0..4).prop_map(Value::Array)),
        member("volumes", volumes),
        member("laterField", Just(json!({"deep": [null]}))),
        member("labels", labels),
        member("ownerReferences", Just(json!([]))),
    )
        .prop_map(|(containers, init, volumes, later, labels, owners)| {
            let spec = [
                Some(("containers".to_owned(), Value::Array(containers))),
                init,
                volumes,
                later,
            ];
            let word = json!({"llmcache.dev/inject": "enabled", "a~b/c": "d"});
            let metadata = [Some(("annotations".to_owned(), word)), labels, owners];
            let object = |members: Vec<Option<(String, Value)>>| Value::Object(members.into_iter().flatten().collect());
            json!({"metadata": object(metadata.into()), "spec": object(spec.into())})
        })
}

/// Any JSON, small.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        select(vec!["", "enabled", "Always", "llmcache", "$("]).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        let member = (
            select(vec!["name", "env", "valueFrom", "value", "limits", "x"]),
            inner.clone(),
        );
        prop_oneof![
            vec(inner, 0..3).prop_map(Value::Array),
            vec(member, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

/// Puts junk at the place that the numbers lead to.
fn spoil(value: &mut Value, path: &[usize], junk: Value) {
    let Some((step, rest)) = path.split_first() else {
        *value = junk;
        return;
    };
    let child = match value {
        Value::Array(items) if !items.is_empty() => {
            let index = step % items.len();
            items.get_mut(index)
        }
        Value::Object(members) if !members.is_empty() => {
            let index = step % members.len();
            members.values_mut().nth(index)
        }
        _ => None,
    };
    match child {
        Some(child) => spoil(child, rest, junk),
        None => *value = junk,
    }
}

#[test]
fn random_pods_are_of_every_outcome() {
    let mut runner = TestRunner::deterministic();
    let settings = settings();
    let namespace = Namespace::default();
    let mut injected = 0;
    let mut reasons = BTreeSet::new();
    for _ in 0..400 {
        let pod = pod().new_tree(&mut runner).unwrap().current();
        match super::super::pod(&pod, &context(&settings, &namespace)) {
            Outcome::Injected { .. } => injected += 1,
            Outcome::Skipped { skip, .. } => {
                reasons.insert(skip.reason);
            }
            other => panic!("{other:#?}"),
        }
    }
    assert!(injected > 80, "only {injected} of 400 are injected");
    let expected = [Reason::ConflictingBaseUrl, Reason::PortCollision, Reason::ProxyEnv];
    assert_eq!(reasons, BTreeSet::from(expected));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn any_pod_is_patched_once_and_only_in_its_environment(pod in pod()) {
        let settings = settings();
        check(&pod, &context(&settings, &Namespace::default()));
    }

    #[test]
    fn any_object_gets_a_patch_that_applies(
        mut pod in pod(),
        spoilt in vec((vec(0_usize..8, 1..6), junk()), 1..4),
    ) {
        for (path, junk) in spoilt {
            spoil(&mut pod, &path, junk);
        }
        let settings = settings();
        let namespace = Namespace { word: Some("enabled".into()), limits: Vec::new() };
        let context = context(&settings, &namespace);
        if let Outcome::Injected { patch, .. } = super::super::pod(&pod, &context) {
            let patched = applied(&pod, &patch);
            let second = super::super::pod(&patched, &context);
            prop_assert_eq!(second, Outcome::Already { patch: Patch::default(), warnings: Vec::new() });
        }
        explain(&pod, None, &context);
        let Owner { patch, .. } = owner(&pod, "Deployment", Rule::Lasting);
        applied(&pod, &patch);
    }

    #[test]
    fn fitted_resources_are_inside_every_bound(
        min in 1_u32..200, max in 1_u32..2000, ratio in 1_u32..6, request in 1_u32..500, more in 0_u32..1000,
    ) {
        let item = json!({
            "type": "Container",
            "min": {"cpu": format!("{min}m")},
            "max": {"cpu": format!("{max}m")},
            "maxLimitRequestRatio": {"cpu": ratio.to_string()},
        });
        let limits = Limit::read(&json!([item]));
        let wanted = Resources::parse(&format!("cpu={request}m/{}m", request + more)).unwrap();
        match limits::fit(&wanted, &json!({}), &limits) {
            Ok(fitted) => {
                let Span { request, limit } = fitted.0["cpu"];
                prop_assert!(Quantity::milli(min) <= request && request <= limit && limit <= Quantity::milli(max));
                prop_assert!(limit.divided_up(Quantity::milli(ratio * 1000), "cpu") <= request);
            }
            Err(skip) => {
                prop_assert_eq!(skip.reason, Reason::LimitRange);
                prop_assert!(max < min || max < 10, "{} {}", min, max);
            }
        }
    }
}
