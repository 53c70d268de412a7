//! The semantic cache on the node: closed, then serving after evidence, and what status says of both.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::stage::{Stage, policy_with, repository, until};

pub(super) async fn a_paraphrase_is_served_after_evidence(stage: &Stage) -> anyhow::Result<String> {
    add_layer(stage).await?;
    let before = said(stage, "of about 74 labels").await?;
    ensure!(
        before.starts_with("Observing "),
        "before evidence nothing is served: {before}"
    );
    let pod = stage.chats().await?.into_iter().next().context("no pod of the app")?;
    let run = [
        "-n",
        "shop",
        "exec",
        &pod,
        "-c",
        "app",
        "--",
        "python",
        "/bot/paraphrases.py",
    ];
    let told = stage.kubectl(&run).await?;
    let seen: Value = serde_json::from_str(told.trim()).with_context(|| told.clone())?;
    ensure!(
        seen["same"] == true && seen["labels"].as_u64() >= Some(74),
        "a stored answer is served after 74 labels: {told}"
    );
    let after = said(stage, "class dynamic: serving from").await?;
    ensure!(after.starts_with("Enforcing "), "after it the class is served: {after}");
    remove_layer(stage).await?;
    Ok(format!("{before}; {}; {after}", told.trim()))
}

/// The policy of the story with the semantic cache, in force.
pub(super) async fn add_layer(stage: &Stage) -> anyhow::Result<()> {
    let block = "  semanticCache: {mode: Enforce, maxFalseHitRate: 0.05}\n  promptCache:";
    let policy = policy_with(|text| text.replace("  promptCache:", block))?;
    stage.apply_text(&policy).await?;
    stage.programmed("2/2").await
}

/// The policy of the story as it was, in force.
pub(super) async fn remove_layer(stage: &Stage) -> anyhow::Result<()> {
    stage.apply(&repository("crds/examples/support-bot.yaml")).await?;
    stage.programmed("2/2").await
}

/// The layer's state and message once the message holds this.
async fn said(stage: &Stage, part: &str) -> anyhow::Result<String> {
    let mut said = String::new();
    until(&format!("status says {part:?}"), async || {
        let policy = stage.policy().await?;
        let layers = policy["status"]["layers"].as_array().cloned().unwrap_or_default();
        let layer = layers.iter().find(|layer| layer["name"] == "semanticCache");
        let layer = layer.context("no layer semanticCache in status")?;
        said = format!("{} ({})", layer["state"].as_str().unwrap_or_default(), layer["message"]);
        Ok(said.contains(part))
    })
    .await?;
    Ok(said)
}
