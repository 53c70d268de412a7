//! Quantities, resources, fitting, and pods of the greatest size.

use super::*;

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|| panic!("{text} is a quantity"))
}

#[test]
fn quantities_read_as_kubernetes_reads_them() {
    let equal = [
        ("1", "1000m"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("1e3", "1k"),
        ("1E3", "1000"),
        ("100e-3", "100m"),
        ("1Ki", "1024"),
        ("1.5Gi", "1536Mi"),
        ("1M", "1000000"),
        ("250u", "0.00025"),
        ("7E", "7000P"),
    ];
    for (one, other) in equal {
        assert_eq!(quantity(one), quantity(other), "{one} {other}");
    }
}

#[test]
fn what_is_no_quantity_is_refused() {
    let texts = [
        "",
        ".",
        "-1",
        "+1",
        "1 ",
        "1x",
        "1KiB",
        "1e",
        "e3",
        "1.2.3",
        "99E",
        "1e400",
        "99999999999999999999999",
        "m",
        "1٣",
    ];
    for text in texts {
        assert_eq!(Quantity::parse(text), None, "{text}");
    }
}

#[test]
fn quantities_are_written_as_people_write_them() {
    for text in ["0", "20m", "1", "1500m", "64Mi", "1Gi", "1000000", "3Ki"] {
        assert_eq!(quantity(text).to_string(), text);
    }
    assert_eq!(quantity("1n").to_string(), "1m", "rounded up, never to nothing");
}

#[test]
fn resources_name_the_part_that_is_wrong() {
    for text in [
        "",
        "cpu",
        "cpu=1",
        "cpu=2/1",
        "cpu=0/1",
        "disk=1/2",
        "cpu=1/2;memory=1/2",
        "cpu=1/2,",
    ] {
        let problem = Resources::parse(text).unwrap_err();
        assert!(problem.contains("REQUEST/LIMIT"), "{text}: {problem}");
    }
    assert_eq!(Resources::parse("cpu=1/2,cpu=1/2").unwrap_err(), "cpu is there twice");
    assert_eq!(
        Resources::parse("cpu=20m/1, memory=64Mi/256Mi").unwrap(),
        Resources::default()
    );
}

#[test]
fn limit_range_without_meaning_bounds_nothing() {
    for item in [
        json!({}),
        json!({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}),
        json!(3),
    ] {
        assert_eq!(Limit::read(&json!([item])), Vec::new());
    }
    let odd = Limit::read(&json!([{"type": "Container", "max": {"cpu": "much"}}]));
    let fitted = limits::fit(&Resources::default(), &json!({}), &odd).unwrap();
    assert_eq!(fitted, Resources::default());
}

#[test]
fn pod_as_large_as_the_api_server_takes_is_injected() {
    let env: Vec<Value> = (0..10_000)
        .map(|index| json!({"name": format!("VARIABLE_{index}"), "value": "x".repeat(64)}))
        .collect();
    let init: Vec<Value> = (0..500).map(|index| json!({"name": format!("init-{index}")})).collect();
    let mut pod = asking(&json!([{"name": "app", "env": env}]));
    pod["spec"]["initContainers"] = init.into();
    let settings = settings();
    let outcome = check(&pod, &context(&settings, &Namespace::default()));
    assert!(matches!(outcome, Outcome::Injected { .. }));
}

#[test]
fn more_sources_than_an_app_has_are_refused() {
    let from: Vec<Value> = (0..33)
        .map(|index| json!({"configMapRef": {"name": format!("c{index}")}}))
        .collect();
    match judge(&asking(&json!([{"name": "app", "envFrom": from}]))) {
        Outcome::Skipped { skip, .. } => assert_eq!(skip.reason, Reason::ConflictingBaseUrl),
        other => panic!("{other:#?}"),
    }
}

#[test]
fn pod_made_to_keep_the_webhook_busy_is_judged_all_the_same() {
    let many = |count: usize, make: fn(usize) -> Value| (0..count).map(make).collect::<Vec<Value>>();
    let from = many(30_000, |index| json!({"configMapRef": {"name": format!("c{index}")}}));
    let key = json!({"configMapKeyRef": {"name": "x", "key": "y", "optional": true}});
    let mounts = many(
        20_000,
        |index| json!({"name": format!("v{index}"), "mountPath": format!("/v{index}")}),
    );
    let env = json!([
        {"name": "OPENAI_BASE_URL", "valueFrom": key},
        {"name": "SSL_CERT_DIR", "value": ":/v1".repeat(100_000)},
    ]);
    let mut pod = asking(&json!([{"name": "app", "env": env, "envFrom": from}]));
    assert!(matches!(judge(&pod), Outcome::Skipped { .. }));
    pod["spec"]["containers"][0]["envFrom"] = json!([]);
    pod["spec"]["containers"][0]["volumeMounts"] = mounts.into();
    assert!(matches!(judge(&pod), Outcome::Injected { .. }));

    let mut pod = injected(&pod);
    let given = many(
        30_000,
        |index| json!({"name": format!("LLMCACHE_UPSTREAM_OPENAI_{index}"), "value": index.to_string()}),
    );
    pod["spec"]["initContainers"][0]["env"]
        .as_array_mut()
        .unwrap()
        .extend(given);
    pod["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .extend(many(20_000, |index| json!({"name": format!("c{index}")})));
    assert!(matches!(judge(&pod), Outcome::Already { .. }));
}

#[test]
fn install_that_states_one_resource_keeps_the_default_of_the_other() {
    let settings = Settings {
        resources: Resources::parse("cpu=50m/2").unwrap(),
        ..settings()
    };
    let pod = asking(&json!([{"name": "app"}]));
    match super::super::pod(&pod, &context(&settings, &Namespace::default())) {
        Outcome::Injected { patch, .. } => {
            let resources = &applied(&pod, &patch)["spec"]["initContainers"][0]["resources"];
            assert_eq!(resources["requests"], json!({"cpu": "50m", "memory": "64Mi"}));
            assert_eq!(resources["limits"], json!({"cpu": "2", "memory": "256Mi"}));
        }
        other => panic!("{other:#?}"),
    }
}
