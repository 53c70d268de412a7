use super::*;

/// A spec with one field set, by path: list steps are `[]`.
fn with(path: &str, value: &Value) -> Value {
    let mut steps: Vec<&str> = path.split('.').collect();
    let mut inner = value.clone();
    while let Some(step) = steps.pop() {
        let name = step.trim_end_matches("[]");
        let mut members = siblings(&steps, step);
        members[name] = if step.ends_with("[]") { json!([inner]) } else { inner };
        inner = members;
    }
    inner
}

/// What must stand beside a field for the rest of the policy to be valid.
fn siblings(outer: &[&str], step: &str) -> Value {
    match outer.last().copied() {
        Some("ttlClasses[]") => json!({"name": "a", "ttl": "1h"}),
        Some("tiers[]") => json!({"name": "a", "models": {"openai": "m"}}),
        Some("rules[]") => json!({"tier": "a"}),
        Some("invalidation[]") => json!({"name": "a", "pattern": "*"}),
        Some("matchExpressions[]") => json!({"key": "a", "operator": "In", "values": ["x"]}),
        Some("judge") => json!({"model": "claude-haiku-5-5"}),
        Some("routing") if step != "tiers" => {
            json!({"requestModels": ["auto"], "tiers": [{"name": "a", "models": {"openai": "m"}}]})
        }
        Some("routing") => json!({"requestModels": ["auto"]}),
        Some("resultCache") if step == "maxEntry" => json!({"memory": "4Gi"}),
        Some("resultCache") => json!({"maxEntry": "1Ki"}),
        // Whatever is served there may judge.
        None if step == "semanticCache" => json!({"upstreams": {"openai": {"url": "http://models.example/v1"}}}),
        Some("embeddings") if step == "ttl" => json!({"maxAge": "2160h"}),
        Some("embeddings") => json!({"ttl": "1s"}),
        _ => json!({}),
    }
}

fn check(path: &str, good: &[Value], bad: &[Value]) {
    for value in good {
        let spec = with(path, value);
        let verdict = load(&policy(&spec)).map(|_| ());
        assert!(verdict.is_ok(), "{path} = {value} is refused: {verdict:#?}");
    }
    for value in bad {
        let spec = with(path, value);
        let found = problems(&policy(&spec));
        let field = format!("spec.{}", path.replace("[]", "[0]"));
        let is_at_field = found.iter().any(|problem| problem.path.starts_with(&field));
        assert!(is_at_field, "{path} = {value} is refused elsewhere: {found:#?}");
    }
}

fn text(length: usize) -> Value {
    "a".repeat(length).into()
}

fn list(length: usize) -> Value {
    (0..length).map(|index| format!("a{index}")).collect()
}

#[test]
fn durations_are_bounded() {
    let classes = "ttlClasses[]";
    for (path, good, bad) in [
        ("resultCache.maxAge", ["1s", "2160h"], ["999ms", "2160h1ms"]),
        ("resultCache.storeBudget", ["1ms", "1s"], ["0ms", "1s1ms"]),
        ("resultCache.repeatWindow", ["0s", "60s"], ["-1s", "61s"]),
        ("resultCache.singleFlight.wait", ["0s", "10m"], ["x", "601s"]),
        ("resultCache.embeddings.ttl", ["1s", "2160h"], ["0s", "2161h"]),
        ("resultCache.embeddings.maxAge", ["1s", "2160h"], ["0s", "2161h"]),
        ("promptCache.hold", ["0ms", "5s"], ["", "5001ms"]),
    ] {
        check(path, &good.map(Value::from), &bad.map(Value::from));
    }
    for (field, good, bad) in [
        ("ttl", ["1s", "168h"], ["0s", "1d"]),
        ("staleWhileRevalidate", ["0s", "168h"], ["1.5h", "99999h"]),
        ("staleIfError", ["0s", "168h"], ["1 h", "2161h"]),
    ] {
        let path = format!("{classes}.{field}");
        check(&path, &good.map(Value::from), &bad.map(Value::from));
    }
}

#[test]
fn life_of_a_class_ends_at_max_age() {
    for (field, life, max_age, is_valid) in [
        ("ttl", "168h", None, true),
        ("ttl", "169h", None, false),
        ("ttl", "169h", Some("169h"), true),
        ("ttl", "2h", Some("1h"), false),
        ("staleIfError", "169h", None, false),
        ("staleWhileRevalidate", "61m", Some("1h"), false),
        ("staleWhileRevalidate", "60m", Some("1h"), true),
    ] {
        let mut class = json!({"name": "a", "ttl": "1m"});
        class[field] = life.into();
        let mut spec = json!({"ttlClasses": [class]});
        if let Some(max_age) = max_age {
            spec["resultCache"] = json!({"maxAge": max_age});
        }
        let found = load(&policy(&spec)).map(|_| ()).err().unwrap_or_default();
        assert_eq!(found.is_empty(), is_valid, "{spec}: {found:#?}");
        if !is_valid {
            assert_eq!(paths(&found), ["spec.ttlClasses"]);
            assert_eq!(found[0].value.as_deref(), Some("a"));
        }
    }
}

#[test]
fn sizes_are_bounded() {
    let (entry, memory) = (["1Ki", "16Mi"], ["1Mi", "4Gi"]);
    let bad_entry = ["0Ki", "16385Ki", "1M", "1024"].map(Value::from);
    let bad_memory = ["1023Ki", "5Gi", "", "64mi"].map(Value::from);
    check("resultCache.maxEntry", &entry.map(Value::from), &bad_entry);
    check("resultCache.memory", &memory.map(Value::from), &bad_memory);
    let spec = json!({"resultCache": {"memory": "1Mi", "maxEntry": "2Mi"}});
    assert_eq!(paths(&problems(&policy(&spec))), ["spec.resultCache.maxEntry"]);
}

#[test]
fn numbers_are_bounded() {
    for (path, good, bad) in [
        ("semanticCache.similarityThreshold", [0.5, 0.99], [0.49, 0.991]),
        ("ttlClasses[].similarityThreshold", [0.5, 0.99], [0.49, 0.991]),
        ("semanticCache.maxFalseHitRate", [0.001, 0.10], [0.0009, 0.101]),
        ("semanticCache.judge.sample", [0.0, 1.0], [-0.1, 1.1]),
    ] {
        check(path, &good.map(Value::from), &bad.map(Value::from));
    }
    for field in ["maxInputTokens", "maxPromptTokens"] {
        let path = format!("routing.rules[].{field}");
        let bad = [json!(0), json!(10_000_001), json!(1.5), json!("49")];
        check(&path, &[json!(1), json!(10_000_000)], &bad);
    }
}

#[test]
fn words_are_closed() {
    for (path, good) in [
        ("mode", ["Enforce", "Observe", "Disabled"].as_slice()),
        ("resultCache.mode", &["Enforce", "Observe", "Disabled"]),
        ("semanticCache.mode", &["Enforce", "Observe", "Disabled"]),
        ("promptCache.mode", &["Enforce", "Observe", "Disabled"]),
        ("routing.mode", &["Enforce", "Observe", "Disabled"]),
        ("scope.share", &["Credential", "ServiceAccount", "Namespace"]),
        ("scope.endUsers", &["Separate", "Shared"]),
        ("upstreams.openai.dialect", &["OpenAI", "Compatible"]),
        ("resultCache.sampled", &["Always", "SeedOrZero", "Never"]),
        ("resultCache.toolAnswers", &["Skip", "Store"]),
        ("resultCache.storedResponses", &["Bypass", "Serve"]),
        ("resultCache.singleFlight.mode", &["Enabled", "Disabled"]),
        ("promptCache.strategy", &["Always", "Economic"]),
        ("promptCache.ttl", &["Auto", "5m", "1h"]),
        ("routing.rules[].tools", &["Present", "Absent"]),
    ] {
        let good: Vec<_> = good.iter().map(|word| Value::from(*word)).collect();
        let bad = [json!("Off"), json!("enforce"), json!(false), json!(null), json!("")];
        check(path, &good, &bad);
    }
}

#[test]
fn lists_are_bounded() {
    check(
        "tags",
        &[list(16), json!([])],
        &[list(17), json!(["a", "a"]), json!("a")],
    );
    check("routing.requestModels", &[list(1), list(32)], &[list(0), list(33)]);
    for owner in ["routing.rules[]", "ttlClasses[].match"] {
        for field in ["anyKeyword", "noKeyword"] {
            let path = format!("{owner}.{field}");
            check(&path, &[list(1), list(32)], &[list(0), list(33)]);
        }
        let headers = |count: usize| -> Value {
            let members = (0..count).map(|index| (format!("x-{index}"), Value::from("v")));
            Value::Object(members.collect())
        };
        let bad = [headers(0), headers(5), json!({"a b": "v"}), json!({"a": 1})];
        check(&format!("{owner}.header"), &[headers(1), headers(4)], &bad);
    }
    let named = |count: usize, item: &dyn Fn(String) -> Value| -> Value {
        (0..count).map(|index| item(format!("n{index}"))).collect()
    };
    let class = |name: String| json!({"name": name, "ttl": "1h", "match": {"model": "*"}});
    let tier = |name: String| json!({"name": name, "models": {"openai": "m"}});
    let ban = |name: String| json!({"name": name, "pattern": "*"});
    let rule = |_| json!({"tier": "a"});
    for (path, item, least, most) in [
        ("ttlClasses", &class as &dyn Fn(String) -> Value, 0, 32),
        ("invalidation", &ban, 0, 32),
        ("routing.tiers", &tier, 1, 8),
        ("routing.rules", &rule, 0, 32),
    ] {
        let good = [named(least, item), named(most, item)];
        check(path, &good, &[named(most + 1, item)]);
        if path != "routing.rules" {
            check(path, &[], &[json!([item("a".into()), item("a".into())])]);
        }
    }
    check("routing.tiers", &[], &[json!([])]);
    check(
        "routing.fallback",
        &[json!(["a"]), json!([])],
        &[json!(["a", "a"]), json!(["b"]), list(9)],
    );
}

#[test]
fn names_are_dns_labels() {
    let bad = [text(64), json!(""), json!("A"), json!("a.b"), json!("-a"), json!("a-")];
    for path in ["ttlClasses[].name", "invalidation[].name", "stores.class"] {
        check(path, &[text(1), text(63), json!("a-1")], &bad);
    }
    let config_map = "invalidation[].onChange.configMap";
    check(config_map, &[text(253), json!("a.b")], &[text(254), json!("A")]);
}

#[test]
fn texts_are_bounded() {
    for (path, most, good, bad) in [
        (
            "tags[]",
            128,
            ["{user}:{header:x-a}", "{model}{class}"],
            ["", "a b", "a*", "a,b", "{header:}", "{id}", "a\u{a0}b"].as_slice(),
        ),
        ("invalidation[].pattern", 128, ["doc:*", "*"], &["", "{user}", "a b"]),
        ("scope.tenantHeader", 64, ["X-Tenant_1", "a"], &["", "a b", "a:b"]),
        (
            "semanticCache.judge.model",
            128,
            ["ft:gpt-4o:org::id", "a/b@c"],
            &["", "a*"],
        ),
        ("ttlClasses[].match.model", 128, ["claude-*", "*"], &["", "a b"]),
        ("routing.requestModels[]", 128, ["*", "auto"], &["", "a b"]),
        ("routing.tiers[].models.anthropic", 128, ["m", "a.b"], &["", "claude-*"]),
        ("routing.tiers[].models.openai", 128, ["m", "a.b"], &["", "gpt *"]),
        (
            "routing.rules[].anyKeyword[]",
            64,
            ["set up", "ü"],
            &["", "  ", "\u{a0}\u{2003}"],
        ),
        ("ttlClasses[].match.noKeyword[]", 64, ["set up", "ü"], &["", "\t\u{85}"]),
    ] {
        let good = [text(most), good[0].into(), good[1].into()];
        let bad: Vec<_> = bad
            .iter()
            .map(|bad| Value::from(*bad))
            .chain([text(most + 1), json!(1)])
            .collect();
        check(path, &good, &bad);
    }
}

#[test]
fn tiers_are_named_where_they_exist() {
    check("routing.defaultTier", &[json!("a")], &[json!("b"), json!("")]);
    check("routing.rules[].tier", &[json!("a")], &[]);
    check(
        "routing.allowUpgrade",
        &[json!(true), json!(false)],
        &[json!("true"), json!(1)],
    );
    let spec = with("routing.rules[].tier", &json!("b"));
    let found = problems(&policy(&spec));
    assert_eq!(paths(&found), ["spec.routing.rules"]);
    assert_eq!(found[0].value.as_deref(), Some("b"));
}

#[test]
fn upstreams_are_addresses_and_certificates() {
    let long = format!("https://{}", "a".repeat(2041));
    for path in ["upstreams.anthropic.url", "upstreams.openai.url"] {
        let good = [
            "http://127.0.0.1:9",
            "https://[::1]:1/v1/",
            "HTTPS://x",
            "https://h/a/b",
        ];
        let bad = [
            "ftp://h",
            "https://",
            "h",
            "https://h:0",
            "https://h:65536",
            "https://u:p@h",
            "https://h?a=b",
            "https://h#a",
            "https://h h",
            "https://h:",
            "https://ü",
            &long,
        ];
        // The pattern is the API server's too, which takes no upper-case scheme.
        check(path, &good.map(Value::from)[..2], &bad.map(Value::from));
        check(path, &good.map(Value::from)[3..], &good.map(Value::from)[2..3]);
    }
    let pem = |body: &str| {
        Value::from(format!(
            "-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
        ))
    };
    let two = format!(
        "# root\n{}{}",
        pem("MAA=").as_str().unwrap(),
        pem("MAA=").as_str().unwrap()
    );
    let bad = [
        json!(""),
        json!("x"),
        pem("****"),
        pem("AAAA"),
        json!("-----BEGIN CERTIFICATE-----\nMAA="),
        text(32769),
    ];
    for path in ["upstreams.anthropic.caBundle", "upstreams.openai.caBundle"] {
        check(path, &[pem("MAA="), two.clone().into()], &bad);
    }
}

#[test]
fn selectors_select_by_labels_that_pods_can_have() {
    let labels = |count: usize| -> Value {
        let members = (0..count).map(|index| (format!("a{index}"), Value::from("v")));
        Value::Object(members.collect())
    };
    let good = [labels(32), json!({"app.kubernetes.io/name": "a"}), json!({"a": ""})];
    let bad = [
        labels(33),
        json!({"/a": "b"}),
        json!({"a": "-b"}),
        json!({"a": "b".repeat(64)}),
        json!({"a": 1}),
    ];
    check("selector.matchLabels", &good, &bad);
    let path = "selector.matchExpressions[]";
    let good = [
        json!({"key": "a", "operator": "In", "values": ["x"]}),
        json!({"key": "a", "operator": "Exists"}),
    ];
    let bad = [
        json!({"key": "a", "operator": "In"}),
        json!({"key": "a", "operator": "Exists", "values": ["x"]}),
        json!({"key": "a b", "operator": "Exists"}),
        json!({"key": "a", "operator": "Equals"}),
        json!({"key": "a", "operator": "NotIn", "values": ["-"]}),
        json!({"operator": "Exists"}),
    ];
    check(path, &good, &bad);
}

#[test]
fn only_one_class_is_for_everything_else() {
    let spec = json!({"ttlClasses": [{"name": "a", "ttl": "1h"}, {"name": "b", "ttl": "1h"}]});
    let found = problems(&policy(&spec));
    assert_eq!(paths(&found), ["spec.ttlClasses"]);
    assert_eq!(found[0].value.as_deref(), Some("a, b"));
    check(
        "ttlClasses[].match",
        &[json!({"model": "*"})],
        &[json!({}), json!(null)],
    );
}

#[test]
fn unknown_fields_are_named_with_what_was_meant() {
    let spec =
        json!({"resultCache": {"maxentry": "1Mi", "zzz": 1}, "ttlClasses": [{"name": "a", "ttl": "1h", "tll": "x"}]});
    let found = problems(&policy(&spec));
    assert_eq!(
        paths(&found),
        [
            "spec.resultCache.maxentry",
            "spec.resultCache.zzz",
            "spec.ttlClasses[0].tll"
        ]
    );
    assert_eq!(found[0].fix, "did you mean maxEntry?");
    assert!(found[1].allowed.contains("storeBudget"));
    assert_eq!(found[2].fix, "did you mean ttl?");
}
