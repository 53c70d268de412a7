//! The chart's dashboards, and their queries as Grafana would send them with every namespace and policy chosen.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::Value;

/// A dashboard of the chart.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// Name of its file, without the ending.
    pub name: String,
    /// What Grafana reads.
    pub json: Value,
}

/// A query of a panel.
#[derive(Clone, Debug)]
pub struct Query {
    /// Name of the dashboard's file, without the ending.
    pub dashboard: String,
    /// Title of the panel.
    pub panel: String,
    /// The expression as written, variables included.
    pub written: String,
    /// The expression with every variable replaced.
    pub expr: String,
}

/// A file or folder of the chart.
pub fn chart(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../charts/llmcache")
        .join(path)
}

/// Every dashboard of the chart, by name.
pub fn dashboards() -> anyhow::Result<Vec<Dashboard>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(chart("dashboards"))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let json = serde_json::from_str(&fs::read_to_string(&path)?).with_context(|| name.clone())?;
        found.push(Dashboard { name, json });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Every query of every dashboard; `window` (as Prometheus writes it, `5m`) stands for every time range.
pub fn queries(window: &str) -> anyhow::Result<Vec<Query>> {
    let mut found = Vec::new();
    for Dashboard { name, json } in dashboards()? {
        for panel in json["panels"].as_array().context("panels")? {
            for target in panel["targets"].as_array().context("targets")? {
                let written = target["expr"].as_str().context("expr")?;
                found.push(Query {
                    dashboard: name.clone(),
                    panel: panel["title"].as_str().unwrap_or_default().to_owned(),
                    written: written.to_owned(),
                    expr: replaced(written, window),
                });
            }
        }
    }
    Ok(found)
}

fn replaced(written: &str, window: &str) -> String {
    written
        .replace("$__rate_interval", window)
        .replace("$__range", window)
        .replace("$namespace", ".*")
        .replace("$policy", ".*")
}
