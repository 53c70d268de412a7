//! From an earlier revision to this one, under traffic: `make e2e UPGRADE_FROM=REVISION` builds its images.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::story::install::{install_from, values};
use super::story::stage::{SYSTEM, Stage, repository, until};

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_traffic_fails_no_request_and_counts_what_is_outdated() -> anyhow::Result<()> {
    let (Some(images), Some(chart)) = (folder("LLMCACHE_UPGRADE_IMAGES"), folder("LLMCACHE_UPGRADE_CHART")) else {
        println!("no upgrade was asked for: make e2e UPGRADE_FROM=REVISION");
        return Ok(());
    };
    let stage = Stage::set_alone().await?.context("an upgrade needs a node")?;
    serving_as_before(&stage, &images, &chart).await?;
    let pods = stage.chats().await?;
    for pod in &pods {
        stage.bot_ready(pod).await?;
        stage.traffic(pod, "start").await?;
    }
    let this = repository("charts/llmcache").display().to_string();
    let upgrade = [
        "upgrade",
        "llmcache",
        &this,
        "-n",
        SYSTEM,
        "--wait",
        "--timeout",
        "120s",
        "--set",
        &values(),
    ];
    stage.cluster().helm(&upgrade).await?.ok()?;
    until("both old sidecars are counted and serve", async || {
        let sidecars = stage.policy().await?["status"]["sidecars"].clone();
        Ok(sidecars["outdated"] == 2 && sidecars["serving"] == 2)
    })
    .await?;
    let mut calls = 0;
    for pod in &pods {
        let (ok, failed, last) = stage.traffic(pod, "stop").await?;
        ensure!(
            ok > 0 && failed == 0,
            "{pod}: {ok} calls went well, {failed} failed: {last}"
        );
        calls += ok;
    }
    stage
        .kubectl(&["-n", "shop", "rollout", "restart", "deployment/chat"])
        .await?;
    stage.rolled_out("shop", "chat").await?;
    until("no sidecar is outdated", async || {
        let sidecars = stage.policy().await?["status"]["sidecars"].clone();
        Ok(sidecars["outdated"] == 0 && sidecars["summary"] == "2/2")
    })
    .await?;
    println!("upgraded under {calls} calls, none failed; outdated went from 2 to 0 with the pods' restart");
    Ok(())
}

fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// Installs the earlier revision, with an app that it serves.
async fn serving_as_before(stage: &Stage, images: &Path, chart: &Path) -> anyhow::Result<()> {
    for image in ["llmcache-operator", "llmcache-sidecar"] {
        stage
            .cluster()
            .load_archive(&images.join(format!("{image}.tar")))
            .await?;
    }
    let earlier = |values: &str| {
        let tag = |part: &str| format!("{part}.image.tag=from");
        format!("{values},{},{}", tag("operator"), tag("sidecar"))
    };
    install_from(stage, chart, &earlier(&values())).await?;
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
    stage.apply(&repository("crds/examples/support-bot.yaml")).await?;
    stage.rolled_out("shop", "chat").await?;
    stage.programmed("2/2").await?;
    Ok(())
}
