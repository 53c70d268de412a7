//! Upgrades under traffic, and the end.

use anyhow::ensure;

use super::install::values;
use super::stage::{SYSTEM, Stage, repository, until};

pub(super) async fn upgrading_fails_no_request(stage: &Stage) -> anyhow::Result<String> {
    let pods = stage.chats().await?;
    for pod in &pods {
        stage.bot_ready(pod).await?;
        stage.traffic(pod, "start").await?;
    }
    let chart = repository("charts/llmcache").display().to_string();
    let set = format!("{},operator.podAnnotations.story=upgraded", values());
    let upgrade = [
        "upgrade",
        "llmcache",
        &chart,
        "-n",
        SYSTEM,
        "--wait",
        "--timeout",
        "120s",
        "--set",
        &set,
    ];
    stage.cluster().helm(&upgrade).await?.ok()?;
    stage.programmed("2/2").await?;
    let mut calls = 0;
    for pod in &pods {
        let (ok, failed, last) = stage.traffic(pod, "stop").await?;
        ensure!(
            ok > 0 && failed == 0,
            "{pod}: {ok} calls went well, {failed} failed: {last}"
        );
        calls += ok;
    }
    Ok(format!("{calls} calls through helm upgrade, none failed"))
}

pub(super) async fn uninstalling_leaves_the_apps_serving(stage: &Stage) -> anyhow::Result<String> {
    let pods = stage.chats().await?;
    for pod in &pods {
        stage.traffic(pod, "start").await?;
    }
    stage
        .cluster()
        .helm(&["uninstall", "llmcache", "-n", SYSTEM, "--wait", "--timeout", "90s"])
        .await?
        .ok()?;
    for pod in &pods {
        let (before, ..) = stage.traffic(pod, "").await?;
        until("the app goes on calling", async || {
            Ok(stage.traffic(pod, "").await?.0 >= before + 20)
        })
        .await?;
    }
    let mut calls = 0;
    for pod in &pods {
        let (ok, failed, last) = stage.traffic(pod, "stop").await?;
        ensure!(
            ok > 0 && failed == 0,
            "{pod}: {ok} calls went well, {failed} failed: {last}"
        );
        calls += ok;
    }
    let kept = stage.kubectl(&["-n", "shop", "get", "lcp", "-o", "name"]).await?;
    ensure!(kept.contains("support-bot"), "policies stay: {kept}");
    Ok(format!(
        "{calls} calls through helm uninstall, none failed; the policy stays"
    ))
}
