//! What the chart renders is what the programs expect: the settings file, ports, labels and Secrets.

use std::path::Path;

use llmcache_operator::settings::Settings;
use llmcache_policy::names;
use serde::Deserialize;
use serde_json::Value;

const GOLDENS: [&str; 2] = ["default", "full"];

#[test]
fn the_operator_reads_the_settings_that_the_chart_renders() {
    for golden in GOLDENS {
        let map = object(golden, "ConfigMap", "llmcache-operator");
        let settings = Settings::parse(map["data"]["settings.yaml"].as_str().unwrap());
        let settings = settings.unwrap_or_else(|problems| panic!("{golden}: {problems:#?}"));
        assert_eq!(settings.service, names::SERVICE);
        assert_eq!(settings.redis.enabled, golden == "full");
        assert_eq!(settings.store_classes.contains_key("ha"), golden == "full");
        assert_eq!(settings.default_policy("shop").is_some(), golden == "full");
        assert_eq!(settings.prices.len(), usize::from(golden == "full"));
    }
}

#[test]
fn ports_and_token_are_those_that_the_programs_name() {
    let pod = &object("full", "Deployment", "llmcache-operator")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let ports = |list: &Value, key: &str| -> Vec<(String, u64)> {
        let list = list.as_array().unwrap().iter();
        list.map(|port| (port["name"].as_str().unwrap().into(), port[key].as_u64().unwrap()))
            .collect()
    };
    let own = [
        ("push", names::PUSH_PORT),
        ("webhook", names::WEBHOOK_PORT),
        ("admin", names::ADMIN_PORT),
    ];
    let own = own.map(|(name, port)| (name.to_owned(), u64::from(port)));
    assert_eq!(ports(&container["ports"], "containerPort"), own);
    let service = object("full", "Service", names::SERVICE);
    let served = [
        ("push".to_owned(), u64::from(names::PUSH_PORT)),
        ("webhook".into(), 443),
    ];
    assert_eq!(ports(&service["spec"]["ports"], "port"), served);
    assert_eq!(pod["securityContext"]["runAsUser"], names::UID);
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == names::TOKEN_FOLDER));
    let token = &pod["volumes"][1]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(token["audience"], names::AUDIENCE);
    assert_eq!(token["path"], "token");
}

#[test]
fn labels_and_annotations_are_those_that_the_programs_name() {
    let monitor = object("full", "PodMonitor", "llmcache-sidecars");
    assert_eq!(
        monitor["spec"]["selector"]["matchLabels"][names::LABEL_INJECTED],
        "true"
    );
    let webhook = object("full", "MutatingWebhookConfiguration", "llmcache-operator");
    let entries = webhook["webhooks"].as_array().unwrap();
    let expressions: Vec<_> = entries
        .iter()
        .map(|entry| entry["matchConditions"][0]["expression"].as_str().unwrap())
        .collect();
    let (inject, from_owner) = (names::ANNOTATION_INJECT, names::ANNOTATION_FROM_OWNER);
    for expression in &expressions {
        let quoted: Vec<_> = expression.split('\'').skip(1).step_by(2).collect();
        let known = quoted
            .iter()
            .all(|word| [inject, from_owner, "disabled"].contains(word));
        assert!(known && quoted.contains(&inject), "{expression}");
    }
    assert_eq!(entries[1]["namespaceSelector"]["matchLabels"][inject], "enabled");
    for entry in entries {
        assert!(
            entry["clientConfig"].get("caBundle").is_none(),
            "the operator writes it"
        );
        assert_eq!(entry["clientConfig"]["service"]["name"], names::SERVICE);
        assert_eq!(entry["failurePolicy"], "Ignore");
        assert_eq!(entry["timeoutSeconds"], 2);
    }
}

/// An object of a rendered file.
fn object(golden: &str, kind: &str, name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("chart/{golden}.golden.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut objects = serde_yaml::Deserializer::from_str(&text).map(|object| Value::deserialize(object).unwrap());
    let found = objects.find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("{golden} has no {kind} {name}"))
}
