use super::*;

const LEAST: &str = "sidecar: {image: \"llmcache-sidecar:1\"}\n";

fn problems(rest: &str) -> Vec<String> {
    Settings::parse(&format!("{LEAST}{rest}")).unwrap_err()
}

#[test]
fn an_image_is_all_that_is_needed() {
    let settings = Settings::parse(LEAST).unwrap();
    assert_eq!(settings.service, "llmcache-operator");
    assert_eq!(settings.allowed_upstreams, ["api.anthropic.com", "api.openai.com"]);
    assert_eq!(settings.certificates.mode, CertificateMode::Own);
    assert!(settings.default_policy("shop").is_none());
    assert_eq!(settings.admit_store_class("default", None), Ok(()));
}

#[test]
fn the_redis_of_the_chart_is_class_default_unless_that_is_written() {
    let settings = Settings::parse(&format!("{LEAST}redis: {{enabled: true}}\n")).unwrap();
    let redis = settings.store_classes["default"].redis.as_ref().unwrap();
    assert_eq!(redis.addresses, ["llmcache-redis:6379"]);
    assert_eq!(redis.credentials, Login::PerNamespace);
    let own = "redis: {enabled: true}\nstoreClasses: {default: {redis: {addresses: [\"r:1\"]}}}\n";
    let settings = Settings::parse(&format!("{LEAST}{own}")).unwrap();
    assert_eq!(
        settings.store_classes["default"].redis.as_ref().unwrap().addresses,
        ["r:1"]
    );
}

#[test]
fn every_wrong_value_is_named_with_the_fix() {
    for (rest, expected) in [
        ("colour: red\n", "unknown field `colour`"),
        ("certificates: {mode: Mine}\n", "unknown variant `Mine`"),
        ("defaults: {spec: {mode: \"Off\"}}\n", "unknown variant `Off`"),
        (
            "defaults: {spec: {selector: {}}}\n",
            "defaults.spec.selector: the defaults are for every pod",
        ),
        (
            "defaults: {spec: {stores: {class: big}}}\n",
            "defaults.spec.stores.class: big is not in storeClasses",
        ),
        (
            "defaults: {spec: {upstreams: {openai: {url: \"https://other.example/v1\"}}}}\n",
            "defaults.spec.upstreams.openai.url: https://other.example/v1: this install does not allow",
        ),
        (
            "storeClasses: {a: {qdrant: {url: \"http://q:1\"}}}\n",
            "storeClasses.a.qdrant: without redis",
        ),
        (
            "storeClasses: {a: {redis: {addresses: [\"r:1\"]}, qdrant: {url: \"q:6334\"}}}\n",
            "storeClasses.a.qdrant.url: \"q:6334\"; write http://host:6334",
        ),
        (
            "storeClasses: {a: {redis: {addresses: []}}}\n",
            "storeClasses.a.redis.addresses: empty",
        ),
        (
            "storeClasses: {a: {redis: {addresses: [\"h\"]}}}\n",
            "storeClasses.a.redis.addresses[0]: \"h\"",
        ),
        (
            "storeClasses: {a: {redis: {addresses: [\"h:1\", \"i:1\"]}}}\n",
            "write one, or mode Cluster",
        ),
        (
            "storeClasses: {a: {redis: {mode: Sentinel, addresses: [\"h:1\"]}}}\n",
            "redis.master: needed",
        ),
        (
            "storeClasses: {a: {redis: {addresses: [\"h:1\"], tls: {caSecret: x}}}}\n",
            "redis.tls.caSecret: with TLS off",
        ),
        (
            "storeClasses: {a: {redis: {addresses: [\"h:1\"], credentials: perNamespace}}}\n",
            "redis.secretName: needed",
        ),
    ] {
        let found = problems(rest);
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "{rest}: {found:#?}"
        );
    }
    let sidecar = "sidecar: {image: \"\", logLevel: loud, imagePullPolicy: Sometimes}\n";
    assert_eq!(Settings::parse(sidecar).unwrap_err().len(), 3);
}

#[test]
fn a_store_class_serves_the_namespaces_it_selects() {
    let classes = "storeClasses: {big: {namespaces: {matchLabels: {tier: gold}}, redis: {addresses: [\"h:1\"]}}}\n";
    let settings = Settings::parse(&format!("{LEAST}{classes}")).unwrap();
    let gold = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
    assert_eq!(settings.admit_store_class("big", Some(&gold)), Ok(()));
    let refused = settings.admit_store_class("big", None).unwrap_err();
    assert!(refused.contains("does not serve this namespace"), "{refused}");
    let unknown = settings.admit_store_class("huge", Some(&gold)).unwrap_err();
    assert!(unknown.contains("it has default, big"), "{unknown}");
}
