//! A corpus of pods and what becomes of each; `LLMCACHE_GOLDEN=write` writes the committed answers anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Volume};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pods")
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    cases.sort();
    cases
}

/// A case: the pod, its namespace's word and limits, the server's minor version.
fn outcome(path: &Path) -> Outcome {
    let case: Value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let namespace = Namespace {
        word: case["namespace"]["word"].as_str().map(str::to_owned),
        limits: Limit::read(&case["namespace"]["limits"]),
    };
    let minor = case["server"]
        .as_u64()
        .map_or(34, |minor| u32::try_from(minor).unwrap());
    let settings = settings();
    let context = Context {
        server_minor: Some(minor),
        ..context(&settings, &namespace)
    };
    check(&case["pod"], &context)
}

fn written(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Already { patch, warnings } => json!({"already": patch, "warnings": warnings}),
        Outcome::Disabled { warnings } => json!({"disabled": true, "warnings": warnings}),
        Outcome::Injected { patch, warnings } => json!({"injected": patch, "warnings": warnings}),
        Outcome::Skipped { skip, warnings } => {
            json!({"skipped": skip.reason.word(), "message": skip.message, "warnings": warnings})
        }
    }
}

#[test]
fn every_pod_of_the_corpus_comes_out_as_committed() {
    let mut different = Vec::new();
    for path in cases() {
        let golden = path.with_extension("json");
        let found = written(&outcome(&path));
        if std::env::var_os("LLMCACHE_GOLDEN").is_some_and(|word| word == "write") {
            fs::write(&golden, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        }
        let committed = fs::read_to_string(&golden).unwrap_or_default();
        let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
        if committed != found {
            different.push(format!("{}: {found:#}", path.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn corpus_has_every_reason_and_every_outcome() {
    let cases = cases();
    assert!(cases.len() >= 40, "{} cases", cases.len());
    let outcomes: Vec<Outcome> = cases.iter().map(|path| outcome(path)).collect();
    let reasons: BTreeSet<Reason> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Skipped { skip, .. } => Some(skip.reason),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, BTreeSet::from(Reason::ALL));
    assert!(
        outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Injected { .. }))
    );
    assert!(
        outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Disabled { .. }))
    );
}

#[test]
fn everything_added_is_spelt_as_kubernetes_spells_it() {
    for path in cases() {
        let Outcome::Injected { patch, .. } = outcome(&path) else {
            continue;
        };
        let case: Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let pod = applied(&case["pod"], &patch);
        assert_typed::<Container>(&pod["spec"]["initContainers"][0]);
        let volumes = pod["spec"]["volumes"].as_array().unwrap().iter();
        for volume in volumes.filter(|volume| text_of(volume).starts_with("llmcache")) {
            assert_typed::<Volume>(volume);
        }
    }
}

/// Loses nothing on its way through a type: each field is known and of its type.
fn assert_typed<T: DeserializeOwned + Serialize>(value: &Value) {
    let typed: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), *value);
}

#[test]
fn no_golden_answer_is_without_its_pod() {
    let answers = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let orphans: Vec<PathBuf> = answers.filter(|path| !path.with_extension("yaml").exists()).collect();
    assert!(orphans.is_empty(), "{orphans:?}");
}
