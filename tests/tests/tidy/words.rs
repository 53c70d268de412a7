//! One word per idea, from the policy's field to the metric.

use super::house::{assert_none, files, files_ending, text};

/// Stages of the pipeline, and the field of `spec` that configures each.
const STAGES: [(&str, Option<&str>); 8] = [
    ("parse", None),
    ("scope", Some("scope")),
    ("routing", Some("routing")),
    ("result_cache", Some("resultCache")),
    ("prompt_cache", Some("promptCache")),
    ("upstream", Some("upstreams")),
    ("store", Some("stores")),
    ("account", None),
];

/// Layers that save money: words of the ledger and of the label `layer`.
const LAYERS: [&str; 3] = ["routing", "result_cache", "prompt_cache"];

/// Crates and modules that are pure: no client, no clock.
const PURE: [&str; 5] = [
    "operator/src/validate",
    "operator/src/compile",
    "operator/src/inject",
    "sidecar/policy/src",
    "crds/src",
];
const IMPURE: [&str; 7] = [
    "kube::Client",
    "kube::client",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "tokio::",
    "std::net",
];

#[test]
fn every_stage_is_a_file_of_its_name_and_a_word_of_the_pipeline() {
    let (files, pipeline) = (files(), text("sidecar/src/pipeline.rs"));
    let mut problems = Vec::new();
    for (stage, _) in STAGES {
        if !files.contains(&format!("sidecar/src/pipeline/{stage}.rs")) {
            problems.push(format!("sidecar/src/pipeline/{stage}.rs is missing"));
        }
        if !pipeline.contains(&format!("mod {stage};")) {
            problems.push(format!("pipeline.rs lacks `mod {stage};`"));
        }
    }
    assert_none("stages", &problems);
}

#[test]
fn every_configured_stage_is_a_field_of_the_policy_by_the_same_word() {
    let crd = text("crds/llmcachepolicies.yaml");
    let mut problems = Vec::new();
    for (stage, field) in STAGES {
        let Some(field) = field else { continue };
        if !crd.contains(&format!(" {field}:")) {
            problems.push(format!("the CRD has no field {field} for stage {stage}"));
        }
    }
    assert_none("fields", &problems);
}

#[test]
fn every_layer_is_one_word_in_snapshot_ledger_and_metrics() {
    let (ledger, metrics) = (texts("sidecar/src/account"), texts("sidecar/src/metrics"));
    let snapshot = text("sidecar/policy/src/snapshot.rs");
    let mut problems = Vec::new();
    for layer in LAYERS {
        for (place, text) in [
            ("the ledger", &ledger),
            ("the metrics", &metrics),
            ("the snapshot", &snapshot),
        ] {
            if !text.contains(layer) {
                problems.push(format!("{place} does not say {layer}"));
            }
        }
    }
    assert_none("layers", &problems);
}

#[test]
fn pure_modules_touch_no_client_and_no_clock() {
    let mut problems = Vec::new();
    for name in files_ending(".rs")
        .into_iter()
        .filter(|name| PURE.iter().any(|pure| name.starts_with(pure)) && !name.contains("/bin/"))
    {
        let text = text(&name);
        problems.extend(
            IMPURE
                .iter()
                .filter(|word| text.contains(**word))
                .map(|word| format!("{name} uses {word}")),
        );
    }
    assert_none("pure modules", &problems);
}

/// The texts of a module and its children.
fn texts(module: &str) -> String {
    let texts = files_ending(".rs")
        .into_iter()
        .filter(|name| name.starts_with(module))
        .map(|name| text(&name));
    let joined = texts.collect::<String>();
    assert!(!joined.is_empty(), "{module} is missing");
    joined
}
