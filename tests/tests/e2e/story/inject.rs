//! One annotation on a running Deployment, and back.

use anyhow::ensure;

use super::stage::{Stage, repository, until};

pub(super) async fn annotating_a_running_deployment_rolls_it(stage: &Stage) -> anyhow::Result<String> {
    stage
        .kubectl(&[
            "-n",
            "shop",
            "annotate",
            "deployment",
            "chat",
            "llmcache.dev/inject=enabled",
        ])
        .await?;
    stage.rolled_out("shop", "chat").await?;
    for pod in containers(stage).await? {
        ensure!(pod.contains("llmcache"), "every pod has the sidecar: {pod}");
    }
    Ok("both pods were replaced by ones with the sidecar".into())
}

pub(super) async fn applying_the_policy_programs_both_pods(stage: &Stage) -> anyhow::Result<String> {
    stage.apply(&repository("crds/examples/support-bot.yaml")).await?;
    stage.programmed("2/2").await?;
    let shown = stage.kubectl(&["-n", "shop", "get", "lcp", "--no-headers"]).await?;
    Ok(shown.split_whitespace().take(5).collect::<Vec<_>>().join(" "))
}

pub(super) async fn the_unchanged_program_hits(stage: &Stage) -> anyhow::Result<String> {
    let pods = stage.chats().await?;
    for pod in &pods {
        stage.bot_ready(pod).await?;
    }
    let first = stage.ask(&pods[0], "Where is my order?", "123").await?;
    ensure!(
        first.cache == "llmcache; fwd=miss; stored",
        "the first is bought: {first:?}"
    );
    ensure!(
        first.model == "claude-haiku-5-5",
        "a short question goes to the cheapest model: {first:?}"
    );
    let again = stage.ask(&pods[0], "Where is my order?", "123").await?;
    ensure!(
        again.cache.starts_with("llmcache; hit") && again.text == first.text,
        "the second is a hit: {again:?}"
    );
    until("the other pod hits through Redis", async || {
        let other = stage.ask(&pods[1], "Where is my order?", "123").await?;
        Ok(other.cache.starts_with("llmcache; hit") && other.text == first.text)
    })
    .await?;
    let another = stage.ask(&pods[0], "Where is my order?", "124").await?;
    ensure!(
        !another.cache.contains("hit"),
        "another user shares nothing: {another:?}"
    );
    Ok(format!("{}, then {}; the other pod too", first.cache, again.cache))
}

pub(super) async fn removing_the_annotation_removes_the_sidecar(stage: &Stage) -> anyhow::Result<String> {
    stage
        .kubectl(&["-n", "shop", "annotate", "deployment", "chat", "llmcache.dev/inject-"])
        .await?;
    stage.rolled_out("shop", "chat").await?;
    until("no pod has the sidecar", async || {
        Ok(containers(stage).await?.iter().all(|pod| !pod.contains("llmcache")))
    })
    .await?;
    stage
        .kubectl(&[
            "-n",
            "shop",
            "annotate",
            "deployment",
            "chat",
            "llmcache.dev/inject=enabled",
        ])
        .await?;
    stage.rolled_out("shop", "chat").await?;
    stage.programmed("2/2").await?;
    Ok("gone with the annotation, back with it".into())
}

/// Names of the init containers of each pod of the app.
async fn containers(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for pod in stage.chats().await? {
        let path = "jsonpath={.spec.initContainers[*].name}";
        all.push(stage.kubectl(&["-n", "shop", "get", "pod", &pod, "-o", path]).await?);
    }
    Ok(all)
}
