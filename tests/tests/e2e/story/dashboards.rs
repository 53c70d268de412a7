//! Prometheus as a pod scrapes operator and sidecars, and every query of every dashboard returns data.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use llmcache_tests::kit::queries;
use serde_json::Value;

use super::paraphrases;
use super::stage::{SYSTEM, Stage, manifest, until};

/// Range of every query: a few scrapes of one second.
const WINDOW: &str = "1m";

pub(super) async fn every_query_returns_data_and_the_sum_is_the_ledgers(stage: &Stage) -> anyhow::Result<String> {
    start(stage).await?;
    // What is known of its classes is there while the policy has the layer.
    paraphrases::add_layer(stage).await?;
    let pods = stage.chats().await?;
    for pod in &pods {
        stage.traffic(pod, "start").await?;
    }
    let mut empty = Vec::new();
    let all = queries(WINDOW)?;
    let looked = until("every query returns data", async || {
        let exprs: Vec<&str> = all.iter().map(|query| query.expr.as_str()).collect();
        let answers = ask(stage, &exprs).await?;
        empty = all
            .iter()
            .zip(answers)
            .filter(|(_, samples)| samples.is_empty())
            .map(|(query, _)| format!("{} / {}: {}", query.dashboard, query.panel, query.expr))
            .collect();
        Ok(empty.is_empty())
    })
    .await;
    for pod in &pods {
        stage.traffic(pod, "stop").await?;
    }
    paraphrases::remove_layer(stage).await?;
    ensure!(
        looked.is_ok(),
        "{} of {} queries return nothing:\n{}",
        empty.len(),
        all.len(),
        empty.join("\n")
    );
    let mut sums = (0.0, 0.0);
    until("sum(saved) is the ledger's", async || {
        sums = (ledger(stage, &pods).await?, scraped(stage).await?);
        Ok((sums.0 - sums.1).abs() < 5e-10 && sums.0 > 0.0)
    })
    .await
    .with_context(|| format!("ledger {} USD, Prometheus {} USD", sums.0, sums.1))?;
    Ok(format!("{} queries; saved {:.9} USD in both", all.len(), sums.0))
}

/// Debian's Prometheus knows no Kubernetes: it is told every target, with the labels that discovery would give.
async fn start(stage: &Stage) -> anyhow::Result<()> {
    let mut targets = String::new();
    for (namespace, label) in [
        ("shop", "llmcache.dev/injected=true"),
        (SYSTEM, "app.kubernetes.io/component=operator"),
    ] {
        let path = "jsonpath={range .items[*]}{.metadata.name} {.status.podIP}{\"\\n\"}{end}";
        let running = "--field-selector=status.phase=Running";
        let pods = stage
            .kubectl(&["-n", namespace, "get", "pods", "-l", label, running, "-o", path])
            .await?;
        for line in pods.lines() {
            let (pod, address) = line.split_once(' ').context("a pod has a name and an address")?;
            let labels = format!("{{namespace: {namespace}, pod: {pod}}}");
            writeln!(targets, "      - {{targets: [\"{address}:15490\"], labels: {labels}}}")?;
        }
    }
    let configuration = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: llmcache\n    static_configs:\n{targets}"
    );
    let map = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prometheus", "namespace": "monitoring"},
        "data": {"prometheus.yaml": configuration},
    });
    stage.apply(&manifest("prometheus.yaml")).await?;
    stage.apply_text(&map.to_string()).await?;
    stage
        .kubectl(&[
            "-n",
            "monitoring",
            "wait",
            "--for=condition=Ready",
            "pod/prometheus",
            "--timeout",
            "60s",
        ])
        .await?;
    Ok(())
}

/// The samples of each expression, all asked in one go.
async fn ask(stage: &Stage, exprs: &[&str]) -> anyhow::Result<Vec<Vec<Value>>> {
    let mut script = String::new();
    for expr in exprs {
        script.push_str("wget -q -O - 'http://127.0.0.1:9090/api/v1/query?query=");
        for byte in expr.bytes() {
            write!(script, "%{byte:02x}")?;
        }
        script.push_str("' && echo && ");
    }
    script.push_str("true");
    let exec = ["-n", "monitoring", "exec", "prometheus", "--", "sh", "-c", &script];
    let said = stage.kubectl(&exec).await?;
    let answers = said.lines().map(|line| {
        let said: Value = serde_json::from_str(line)?;
        ensure!(said["status"] == "success", "{said}");
        Ok(said["data"]["result"].as_array().cloned().unwrap_or_default())
    });
    let answers = answers.collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(answers.len() == exprs.len(), "one answer for each query: {said}");
    Ok(answers)
}

/// Dollars saved as Prometheus has them.
async fn scraped(stage: &Stage) -> anyhow::Result<f64> {
    let answers = ask(stage, &[r#"sum(llmcache_saved_usd_total{pod=~"chat-.*"})"#]).await?;
    let value = answers[0].first().and_then(|sample| sample["value"][1].as_str());
    Ok(value.context("no sample")?.parse()?)
}

/// Dollars saved as the pods' ledgers have them.
async fn ledger(stage: &Stage, pods: &[String]) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for pod in pods {
        let account = stage.account(pod).await?;
        for saved in account["usd"]["saved"].as_object().context("saved")?.values() {
            sum += saved.as_str().context("a decimal")?.parse::<f64>()?;
        }
    }
    Ok(sum)
}
