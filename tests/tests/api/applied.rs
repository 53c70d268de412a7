//! What happens to a policy that is applied: nothing when it is applied again, and its status is the operator's.

use std::path::PathBuf;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Resource, ResourceExt};
use llmcache_crds::LLMCachePolicy;
use llmcache_tests::kit::Namespace;
use serde_json::{Value, json};

use super::verdict::object;
use super::{crds, namespace};

/// Applies a policy named `row` as `kubectl apply --server-side` does, numbers as written.
async fn apply(namespace: &Namespace<'_>, spec: &str) -> anyhow::Result<DynamicObject> {
    let resource = ApiResource::erase::<LLMCachePolicy>(&());
    let policies: Api<DynamicObject> = Api::namespaced_with(namespace.client(), &namespace.name, &resource);
    let object = object("LLMCachePolicy", &serde_json::from_str(spec)?);
    let applied = policies
        .patch("row", &PatchParams::apply("a-test"), &Patch::Apply(&object))
        .await?;
    Ok(applied)
}

#[tokio::test]
async fn applying_twice_changes_nothing_however_a_number_is_written() -> anyhow::Result<()> {
    let Some(namespace) = namespace("applied-twice").await? else {
        return Ok(());
    };
    for spellings in [
        [r#"{"semanticCache": {"similarityThreshold": 0.95}}"#; 2],
        [
            r#"{"semanticCache": {"similarityThreshold": 0.8}}"#,
            r#"{"semanticCache": {"similarityThreshold": 0.80}}"#,
        ],
        [
            r#"{"semanticCache": {"judge": {"model": "m", "sample": 1}}}"#,
            r#"{"semanticCache": {"judge": {"model": "m", "sample": 1.0}}}"#,
        ],
        [
            r#"{"semanticCache": {"judge": {"model": "m", "sample": 0.1}}}"#,
            r#"{"semanticCache": {"judge": {"model": "m", "sample": 1e-1}}}"#,
        ],
    ] {
        let mut versions = Vec::new();
        for spec in spellings {
            versions.push(apply(&namespace, spec).await?.resource_version());
        }
        assert_eq!(versions[0], versions[1], "{spellings:?}");
        assert!(versions[0].is_some());
    }
    let other = apply(&namespace, r#"{"mode": "Observe"}"#).await?;
    let again = apply(&namespace, r#"{"mode": "Enforce"}"#).await?;
    assert_ne!(other.resource_version(), again.resource_version(), "a change is one");
    Ok(())
}

#[tokio::test]
async fn every_example_applies_and_twice_changes_nothing() -> anyhow::Result<()> {
    let Some(namespace) = namespace("examples").await? else {
        return Ok(());
    };
    let mut seen = 0;
    for file in examples()? {
        let text = std::fs::read_to_string(file)?;
        for document in text.split("\n---\n") {
            let mut example: Value = serde_yaml::from_str(document)?;
            example["metadata"]["namespace"] = namespace.name.as_str().into();
            let input = example.to_string();
            let apply = ["apply", "-f", "-"];
            namespace.cluster.kubectl_with(&apply, &input).await?.ok()?;
            let again = namespace.cluster.kubectl_with(&apply, &input).await?.ok()?;
            assert!(again.trim().ends_with("unchanged"), "{again}");
            let diff = namespace.cluster.kubectl_with(&["diff", "-f", "-"], &input).await?;
            assert_eq!((diff.code, diff.stdout.as_str()), (0, ""), "{}", diff.stderr);
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} examples");
    Ok(())
}

/// The files of `crds/examples` and its folders.
fn examples() -> anyhow::Result<Vec<PathBuf>> {
    let (mut files, mut open) = (Vec::new(), vec![crds().join("examples")]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}

#[tokio::test]
async fn status_is_written_beside_the_spec_and_never_with_it() -> anyhow::Result<()> {
    let Some(namespace) = namespace("status").await? else {
        return Ok(());
    };
    let created = apply(&namespace, r#"{"mode": "Enforce"}"#).await?;
    let policies: Api<LLMCachePolicy> = namespace.api();
    let status = json!({"apiVersion": LLMCachePolicy::api_version(&()), "kind": LLMCachePolicy::kind(&()), "status": {
        "observedGeneration": 1,
        "sidecars": {"summary": "39/40", "matched": 40, "serving": 39, "pending": 0, "stale": 0, "rejected": 1, "outdated": 0},
        "conditions": [condition("Accepted", "True"), condition("Programmed", "False"), condition("Healthy", "True")],
    }});
    let operator = PatchParams::apply("llmcache-operator");
    let written = policies.patch_status("row", &operator, &Patch::Apply(&status)).await?;
    assert_eq!(
        written.meta().generation,
        created.metadata.generation,
        "a status is no new generation"
    );
    let again = policies.patch_status("row", &operator, &Patch::Apply(&status)).await?;
    assert_eq!(
        again.resource_version(),
        written.resource_version(),
        "the same status twice"
    );

    // Through the object itself the status cannot be written.
    let merge = Patch::Merge(json!({"status": {"revision": "forged"}}));
    let kept = policies.patch("row", &PatchParams::default(), &merge).await?;
    assert_eq!(kept.status.as_ref().unwrap().revision, None);
    // Nor the spec through the status.
    let merge = Patch::Merge(json!({"spec": {"mode": "Disabled"}}));
    let kept = policies.patch_status("row", &PatchParams::default(), &merge).await?;
    assert_eq!(serde_json::to_value(&kept.spec)?, json!({"mode": "Enforce"}));

    let table = namespace
        .cluster
        .kubectl(&["get", "lcp", "-n", &namespace.name])
        .await?
        .ok()?;
    let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0], ["NAME", "MODE", "ACCEPTED", "PROGRAMMED", "SIDECARS", "AGE"]);
    assert_eq!(cells[1][..5], ["row", "Enforce", "True", "False", "39/40"]);
    Ok(())
}

fn condition(name: &str, status: &str) -> Value {
    json!({
        "type": name, "status": status, "reason": "Tested", "message": "",
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}
