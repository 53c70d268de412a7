//! `helm install` and what it leaves.

use std::path::Path;

use anyhow::ensure;

use super::stage::{SYSTEM, Stage, repository};

const IMAGES: [(&str, &str); 3] = [
    ("operator", "llmcache-operator"),
    ("sidecar", "llmcache-sidecar"),
    ("redis", "redis"),
];

/// The values of the story: images of the test, and the Redis of the chart.
pub(crate) fn values() -> String {
    let images = IMAGES.map(|(part, image)| format!("{part}.image.repository=localhost/{image},{part}.image.tag=e2e"));
    format!(
        "{},redis.enabled=true,invalidation.watchNamespaces={{shop}}",
        images.join(",")
    )
}

pub(super) async fn helm_install(stage: &Stage) -> anyhow::Result<String> {
    install_from(stage, &repository("charts/llmcache"), &values()).await?;
    let replicas = stage.pods(SYSTEM, "app.kubernetes.io/component=operator").await?;
    ensure!(replicas.len() == 2, "two replicas: {replicas:?}");
    Ok(format!("{} replicas and a Redis are ready", replicas.len()))
}

/// Installs a chart as its NOTES and README say.
pub(crate) async fn install_from(stage: &Stage, chart: &Path, values: &str) -> anyhow::Result<()> {
    stage.kubectl(&["create", "namespace", SYSTEM]).await?;
    stage
        .kubectl(&[
            "label",
            "namespace",
            SYSTEM,
            "pod-security.kubernetes.io/enforce=restricted",
        ])
        .await?;
    let chart = chart.display().to_string();
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
        values,
    ];
    let said = stage.cluster().helm(&install).await?.ok()?;
    ensure!(said.contains("kubectl"), "NOTES name the next commands: {said}");
    Ok(())
}

pub(super) async fn helm_test(stage: &Stage) -> anyhow::Result<String> {
    stage
        .cluster()
        .helm(&["test", "llmcache", "-n", SYSTEM, "--timeout", "90s"])
        .await?
        .ok()?;
    Ok("a pod that opts in gets the sidecar".into())
}
