//! `helm install` and what it leaves.

use anyhow::ensure;

use super::stage::{SYSTEM, Stage, repository};

const IMAGES: [(&str, &str); 3] = [
    ("operator", "llmcache-operator"),
    ("sidecar", "llmcache-sidecar"),
    ("redis", "redis"),
];

/// The values of the story: images of the test, and the Redis of the chart.
pub(super) fn values() -> String {
    let images = IMAGES.map(|(part, image)| format!("{part}.image.repository=localhost/{image},{part}.image.tag=e2e"));
    format!(
        "{},redis.enabled=true,invalidation.watchNamespaces={{shop}}",
        images.join(",")
    )
}

pub(super) async fn helm_install(stage: &Stage) -> anyhow::Result<String> {
    stage.kubectl(&["create", "namespace", SYSTEM]).await?;
    stage
        .kubectl(&[
            "label",
            "namespace",
            SYSTEM,
            "pod-security.kubernetes.io/enforce=restricted",
        ])
        .await?;
    let chart = repository("charts/llmcache").display().to_string();
    let install = [
        "install",
        "llmcache",
        &chart,
        "-n",
        SYSTEM,
        "--wait",
        "--timeout",
        "120s",
        "--set",
        &values(),
    ];
    let said = stage.cluster.helm(&install).await?.ok()?;
    ensure!(said.contains("kubectl"), "NOTES name the next commands: {said}");
    let replicas = stage.pods(SYSTEM, "app.kubernetes.io/component=operator").await?;
    ensure!(replicas.len() == 2, "two replicas: {replicas:?}");
    Ok(format!("{} replicas and a Redis are ready", replicas.len()))
}

pub(super) async fn helm_test(stage: &Stage) -> anyhow::Result<String> {
    stage
        .cluster
        .helm(&["test", "llmcache", "-n", SYSTEM, "--timeout", "90s"])
        .await?
        .ok()?;
    Ok("a pod that opts in gets the sidecar".into())
}
