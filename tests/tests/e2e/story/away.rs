//! The operator is away: pods serve, new ones pass through, and everything is told afterwards.

use std::time::Instant;

use anyhow::ensure;
use serde_json::Value;

use super::stage::{SYSTEM, Stage, until};

pub(super) async fn pods_serve_without_the_operator(stage: &Stage) -> anyhow::Result<String> {
    let pods = stage.chats().await?;
    for pod in &pods {
        stage.traffic(pod, "start").await?;
    }
    stage
        .kubectl(&["-n", SYSTEM, "scale", "deployment", "llmcache-operator", "--replicas=0"])
        .await?;
    // Gone, not only going: one that ends still answers for a moment.
    let gone = [
        "wait",
        "--for=delete",
        "pod",
        "-l",
        "app.kubernetes.io/component=operator",
        "--timeout",
        "60s",
    ];
    stage.kubectl(&[["-n", SYSTEM].as_slice(), &gone].concat()).await?;
    for pod in &pods {
        let hit = stage.ask(pod, "Where is my order?", "123").await?;
        let hit = if hit.cache.contains("hit") {
            hit
        } else {
            stage.ask(pod, "Where is my order?", "123").await?
        };
        ensure!(
            hit.cache.starts_with("llmcache; hit"),
            "the policy stays in force: {hit:?}"
        );
    }
    Ok("0 replicas; both pods hit".into())
}

pub(super) async fn a_pod_made_meanwhile_is_reported(stage: &Stage) -> anyhow::Result<String> {
    let old = stage.chats().await?;
    stage
        .kubectl(&["-n", "shop", "scale", "deployment", "chat", "--replicas=3"])
        .await?;
    stage.rolled_out("shop", "chat").await?;
    let young = stage
        .chats()
        .await?
        .into_iter()
        .find(|pod| !old.contains(pod))
        .unwrap_or_default();
    stage.bot_ready(&young).await?;
    let direct = stage.ask(&young, "Where is my order?", "123").await?;
    ensure!(
        direct.cache.is_empty() && !direct.text.is_empty(),
        "it talks to the provider itself: {direct:?}"
    );
    stage
        .kubectl(&["-n", SYSTEM, "scale", "deployment", "llmcache-operator", "--replicas=2"])
        .await?;
    stage.rolled_out(SYSTEM, "llmcache-operator").await?;
    let back = Instant::now();
    let mut note = String::new();
    until("an Event names the command that mends it", async || {
        let get = ["-n", "shop", "get", "events.events.k8s.io", "-o", "json"];
        let list: Value = serde_json::from_str(&stage.kubectl(&get).await?)?;
        let events = list["items"].as_array().cloned().unwrap_or_default();
        let found = events
            .iter()
            .find(|event| event["reason"] == "InjectionMissing" && event["regarding"]["name"] == "chat");
        note = found
            .map(|event| event["note"].as_str().unwrap_or_default().to_owned())
            .unwrap_or_default();
        Ok(note.contains("kubectl -n shop rollout restart deployment/chat"))
    })
    .await?;
    let took = back.elapsed();
    for pod in &old {
        let (ok, failed, last) = stage.traffic(pod, "stop").await?;
        ensure!(
            ok > 0 && failed == 0,
            "{pod}: {ok} calls went well, {failed} failed: {last}"
        );
    }
    stage
        .kubectl(&["-n", "shop", "scale", "deployment", "chat", "--replicas=2"])
        .await?;
    stage
        .kubectl(&["-n", "shop", "rollout", "restart", "deployment/chat"])
        .await?;
    stage.rolled_out("shop", "chat").await?;
    stage.programmed("2/2").await?;
    Ok(format!(
        "uninjected and serving; reported {:.0} s after the operator was back",
        took.as_secs_f64()
    ))
}

pub(super) async fn a_sidecar_without_anything_passes_through_and_converges(stage: &Stage) -> anyhow::Result<String> {
    // The push port leads nowhere: the sidecar is born cut off, with no last-good file.
    let patch = |port: u16| format!(r#"{{"spec":{{"ports":[{{"name":"push","port":15443,"targetPort":{port}}}]}}}}"#);
    let service = [
        "-n",
        SYSTEM,
        "patch",
        "service",
        "llmcache-operator",
        "--type",
        "strategic",
        "-p",
    ];
    stage.kubectl(&[service.as_slice(), &[&patch(9)]].concat()).await?;
    stage
        .kubectl(&["-n", "shop", "rollout", "restart", "deployment/chat"])
        .await?;
    stage.rolled_out("shop", "chat").await?;
    let pods = stage.chats().await?;
    for pod in &pods {
        stage.bot_ready(pod).await?;
        let answer = stage.ask(pod, "Where is my order?", "123").await?;
        ensure!(
            answer.cache.contains("fwd=bypass"),
            "everything passes through: {answer:?}"
        );
    }
    stage.kubectl(&[service.as_slice(), &[&patch(15_443)]].concat()).await?;
    let start = Instant::now();
    stage.programmed("2/2").await?;
    Ok(format!(
        "passed through, and converged {:.1} s after the way was open",
        start.elapsed().as_secs_f64()
    ))
}
