//! `kubectl llmcache explain` says how to mend what is not as people expect.

use anyhow::ensure;

use super::stage::{Stage, manifest, until};

pub(super) async fn an_uninjected_pod_is_told_how(stage: &Stage) -> anyhow::Result<String> {
    stage.rolled_out("shop", "chat").await?;
    let pod = stage.chats().await?.pop().unwrap_or_default();
    stage.bot_ready(&pod).await?;
    ensure!(
        stage.ask(&pod, "Who are you?", "1").await?.cache.is_empty(),
        "no sidecar answers yet"
    );
    told(stage, &pod, "llmcache.dev/inject=enabled").await
}

pub(super) async fn a_pod_without_a_policy_is_told_how(stage: &Stage) -> anyhow::Result<String> {
    let pod = stage.chats().await?.pop().unwrap_or_default();
    told(stage, &pod, "no policy").await
}

pub(super) async fn a_base_url_in_code_is_told(stage: &Stage) -> anyhow::Result<String> {
    stage.apply(&manifest("coded.yaml")).await?;
    stage
        .kubectl(&[
            "-n",
            "shop",
            "wait",
            "--for=condition=Ready",
            "pod/coded",
            "--timeout",
            "60s",
        ])
        .await?;
    let said = told(stage, "coded", "base URL set in code").await?;
    stage
        .kubectl(&["-n", "shop", "delete", "pod", "coded", "--wait=false"])
        .await?;
    Ok(said)
}

/// Waits until `explain` says something of a pod; its line.
async fn told(stage: &Stage, pod: &str, words: &str) -> anyhow::Result<String> {
    let mut line = String::new();
    until(&format!("explain pod {pod} says {words:?}"), async || {
        let (said, _) = stage.command(&["explain", "pod", pod, "-n", "shop"]).await?;
        let found = said
            .lines()
            .find(|line| line.to_lowercase().contains(&words.to_lowercase()));
        found.map(str::trim).unwrap_or_default().clone_into(&mut line);
        ensure!(!line.is_empty(), "it says: {said}");
        Ok(true)
    })
    .await?;
    Ok(format!("explain: {line}"))
}
