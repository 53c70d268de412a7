//! A changed policy reaches every pod, a bad one reaches none.

use std::time::Duration;

use anyhow::ensure;

use super::stage::{Stage, policy_with, until};

pub(super) async fn a_keyword_reaches_every_pod_without_a_restart(stage: &Stage) -> anyhow::Result<String> {
    let policy = policy_with(|text| text.replace("anyKeyword: [today,", "anyKeyword: [order, today,"))?;
    let took = timed(stage, &policy).await?;
    for pod in stage.chats().await? {
        let answer = stage.ask(&pod, "Is my order late?", "7").await?;
        let again = stage.ask(&pod, "Is my order late?", "7").await?;
        ensure!(again.cache.starts_with("llmcache; hit"), "{answer:?} {again:?}");
        let left = ttl(&again.cache)?;
        ensure!(
            (1..=300).contains(&left),
            "the word puts it into the class of 5 minutes: {again:?}"
        );
    }
    Ok(format!("from kubectl apply to serving in both pods: {took:.3?}"))
}

pub(super) async fn a_ttl_reaches_every_pod_without_a_restart(stage: &Stage) -> anyhow::Result<String> {
    let started = starts(stage).await?;
    let policy = policy_with(|text| text.replace("name: dynamic, ttl: 1h", "name: dynamic, ttl: 30m"))?;
    let took = timed(stage, &policy).await?;
    for pod in stage.chats().await? {
        stage.ask(&pod, "How tall is the tower?", "8").await?;
        let again = stage.ask(&pod, "How tall is the tower?", "8").await?;
        let left = ttl(&again.cache)?;
        ensure!((1..=1_800).contains(&left), "the new TTL holds: {again:?}");
        let kept = stage.ask(&pod, "Where is my order?", "123").await?;
        ensure!(
            kept.cache.starts_with("llmcache; hit"),
            "what was stored before is still served: {kept:?}"
        );
    }
    ensure!(started == starts(stage).await?, "no container was started anew");
    Ok(format!("from kubectl apply to serving in both pods: {took:.3?}"))
}

pub(super) async fn the_api_server_refuses_with_field_and_fix(stage: &Stage) -> anyhow::Result<String> {
    let policy = policy_with(|text| text.replace("defaultTier: sonnet", "defaultTier: gold"))?;
    let said = stage.refused(&["apply", "-f", "-"], &policy).await?;
    for words in ["spec.routing.defaultTier", "allowed:", "fix:"] {
        ensure!(said.contains(words), "{words} in {said}");
    }
    Ok(said
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .chars()
        .take(150)
        .collect())
}

pub(super) async fn a_refused_generation_leaves_the_accepted_one_serving(stage: &Stage) -> anyhow::Result<String> {
    let pods = stage.chats().await?;
    let before = stage.snapshot(&pods[0]).await?["revision"].clone();
    let policy = policy_with(|text| text.replace("https://api.anthropic.com", "https://llm.example.com"))?;
    stage.apply_text(&policy).await?;
    until("it is not accepted", async || {
        Ok(stage.condition("Accepted").await?.0 == "False")
    })
    .await?;
    let (_, reason, message) = stage.condition("Accepted").await?;
    ensure!(
        reason == "UpstreamNotAllowed" && message.contains("spec.upstreams.anthropic.url"),
        "{reason}: {message}"
    );
    for pod in &pods {
        ensure!(
            stage.snapshot(pod).await?["revision"] == before,
            "the old revision stays"
        );
        let kept = stage.ask(pod, "Where is my order?", "123").await?;
        ensure!(kept.cache.starts_with("llmcache; hit"), "and serves: {kept:?}");
    }
    stage
        .apply(&super::stage::repository("crds/examples/support-bot.yaml"))
        .await?;
    stage.programmed("2/2").await?;
    Ok(format!("Accepted=False {reason}, the old revision serves"))
}

/// Applies a policy; the time until every pod's sidecar executes it.
async fn timed(stage: &Stage, policy: &str) -> anyhow::Result<Duration> {
    let pods = stage.chats().await?;
    let before = stage.snapshot(&pods[0]).await?["revision"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    // A program in each pod looks every 5 ms and says when the revision changed, by the node's clock, which is ours.
    let watch = format!(
        "import time, urllib.request\nurl = 'http://127.0.0.1:15480/llmcache/snapshot'\n\
         while b'{before}' in urllib.request.urlopen(url).read(): time.sleep(0.005)\nprint(time.time())"
    );
    let watching = pods.iter().map(|pod| {
        let exec = [
            "-n",
            "shop",
            "exec",
            pod.as_str(),
            "-c",
            "app",
            "--",
            "python",
            "-c",
            &watch,
        ]
        .map(str::to_owned);
        async move {
            let exec: Vec<&str> = exec.iter().map(String::as_str).collect();
            stage.kubectl(&exec).await
        }
    });
    let applying = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let at = jiff::Timestamp::now();
        stage.apply_text(policy).await.map(|()| at)
    };
    let (seen, applied) = tokio::join!(futures_util::future::try_join_all(watching), applying);
    let at = applied?;
    let mut longest = Duration::ZERO;
    for line in seen? {
        let seconds: f64 = line.trim().parse()?;
        let since = seconds - at.as_duration().as_secs_f64();
        longest = longest.max(Duration::from_secs_f64(since.max(0.0)));
    }
    stage.programmed("2/2").await?;
    Ok(longest)
}

/// When each container of the app's pods started.
async fn starts(stage: &Stage) -> anyhow::Result<String> {
    let path = "jsonpath={range .items[*]}{.status.containerStatuses[*].state.running.startedAt} \
                {.status.initContainerStatuses[*].state.running.startedAt} {end}";
    stage
        .kubectl(&["-n", "shop", "get", "pods", "-l", "app=support-bot", "-o", path])
        .await
}

fn ttl(cache_status: &str) -> anyhow::Result<i64> {
    let (_, rest) = cache_status.split_once("ttl=").unwrap_or_default();
    Ok(rest.split(';').next().unwrap_or_default().parse()?)
}
