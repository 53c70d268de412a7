//! The seven alerts: each fires, each stays silent, each has a runbook.

use std::path::Path;

use llmcache_tests::kit::chart;

use crate::{promtool, text, yaml};

const ALERTS: [&str; 7] = [
    "LLMCacheSidecarsStale",
    "LLMCacheSidecarsNotConnected",
    "LLMCacheWebhookErrors",
    "LLMCacheStoreBreakerOpen",
    "LLMCacheSemanticClosed",
    "LLMCacheEmbedderDown",
    "LLMCacheCertificateExpiry",
];

#[test]
fn every_alert_says_what_and_links_to_its_runbook() {
    let rules = yaml(&text("prometheus/alerts.yaml"));
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    let names: Vec<_> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert_eq!(names, ALERTS);
    let manual = text("README.md");
    for (rule, name) in rules.iter().zip(names) {
        assert!(rule["for"].is_string(), "{name} fires at once");
        assert!(rule["labels"]["severity"].is_string(), "{name}");
        assert!(rule["annotations"]["summary"].is_string(), "{name}");
        let link = format!("README.md#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], link);
        assert!(manual.contains(&format!("\n### {name}\n")), "no runbook for {name}");
    }
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    promtool(&["check", "rules", chart("prometheus/alerts.yaml").to_str().unwrap()]);
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("chart/alerts.yaml");
    promtool(&["test", "rules", tests.to_str().unwrap()]);
    let tests = yaml(&std::fs::read_to_string(tests).unwrap());
    for name in ALERTS {
        let cases = tests["tests"].as_array().unwrap().iter();
        let cases = cases.flat_map(|test| test["alert_rule_test"].as_array().unwrap());
        let (fires, silent): (Vec<_>, Vec<_>) = cases
            .filter(|case| case["alertname"] == name)
            .partition(|case| case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()));
        assert!(!fires.is_empty() && silent.len() > 1, "{name} is not tested both ways");
    }
}
