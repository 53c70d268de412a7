//! Pods of every kind, and what happens to a sidecar.

use anyhow::ensure;

use super::stage::{Stage, manifest, until};

pub(super) async fn a_restricted_pod_runs(stage: &Stage) -> anyhow::Result<String> {
    stage.apply(&manifest("restricted.yaml")).await?;
    stage
        .kubectl(&[
            "-n",
            "vault",
            "wait",
            "--for=condition=Ready",
            "pod/strict",
            "--timeout",
            "60s",
        ])
        .await?;
    let path = "jsonpath={.spec.initContainers[*].name}";
    let inits = stage
        .kubectl(&["-n", "vault", "get", "pod", "strict", "-o", path])
        .await?;
    ensure!(inits == "llmcache", "it has the sidecar: {inits}");
    Ok("in a namespace that enforces the restricted profile".into())
}

pub(super) async fn a_job_completes(stage: &Stage) -> anyhow::Result<String> {
    stage.apply(&manifest("job.yaml")).await?;
    stage
        .kubectl(&[
            "-n",
            "shop",
            "wait",
            "--for=condition=Complete",
            "job/digest",
            "--timeout",
            "90s",
        ])
        .await?;
    let pod = stage.pods("shop", "job-name=digest").await?.pop().unwrap_or_default();
    let path = "jsonpath={.spec.initContainers[*].name} {.status.initContainerStatuses[*].state.terminated.reason}";
    let ended = stage.kubectl(&["-n", "shop", "get", "pod", &pod, "-o", path]).await?;
    ensure!(ended == "llmcache Completed", "the sidecar ended with it: {ended}");
    let said = stage.kubectl(&["-n", "shop", "logs", &pod, "-c", "app"]).await?;
    ensure!(said.contains("Answer"), "the app got its answer: {said}");
    Ok(format!("with the sidecar beside it: {}", said.trim()))
}

pub(super) async fn a_killed_sidecar_comes_back(stage: &Stage) -> anyhow::Result<String> {
    let pod = stage.chats().await?.pop().unwrap_or_default();
    let restarts = || async {
        let path = "jsonpath={.status.initContainerStatuses[0].restartCount}";
        let count = stage.kubectl(&["-n", "shop", "get", "pod", &pod, "-o", path]).await?;
        anyhow::Ok(count.parse::<u32>()?)
    };
    let before = restarts().await?;
    // Process 1 of the container, by its number on this machine: nothing inside may kill it.
    let uid = stage
        .kubectl(&["-n", "shop", "get", "pod", &pod, "-o", "jsonpath={.metadata.uid}"])
        .await?;
    let find = format!(
        "for p in /proc/[0-9]*; do if tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^/llmcache $' && \
         grep -q '{uid}' $p/cgroup; then basename $p; fi; done"
    );
    let found = stage.cluster().run("sh", &["-c", &find], "").await?.ok()?;
    let pid = found.lines().next().unwrap_or_default().trim().to_owned();
    ensure!(!pid.is_empty(), "the supervisor of {pod} is found");
    stage.cluster().run("kill", &["-KILL", &pid], "").await?.ok()?;
    until("the kubelet restarts it", async || Ok(restarts().await? > before)).await?;
    until("the app's next call works", async || {
        Ok(stage.ask(&pod, "Are you there?", "9").await.is_ok())
    })
    .await?;
    stage.programmed("2/2").await?;
    let hit = stage.ask(&pod, "Are you there?", "9").await?;
    Ok(format!(
        "restarted once; the app's next call worked, then {}",
        hit.cache
    ))
}

pub(super) async fn the_command_line_shows_what_there_is(stage: &Stage) -> anyhow::Result<String> {
    let (said, code) = stage.command(&["status", "-n", "shop", "-o", "json"]).await?;
    ensure!(code == 0, "exit {code}: {said}");
    let status: serde_json::Value = serde_json::from_str(&said)?;
    ensure!(status.to_string().contains("support-bot"), "{status}");
    let (said, code) = stage.command(&["status", "-n", "shop"]).await?;
    ensure!(
        code == 0 && said.contains("2/2") && said.contains('$'),
        "exit {code}: {said}"
    );
    let (explained, code) = stage
        .command(&["explain", "policy", "support-bot", "-n", "shop"])
        .await?;
    ensure!(
        code == 0 && explained.contains("resultCache"),
        "exit {code}: {explained}"
    );
    Ok(format!("status, of which the rates:\n{said}"))
}
