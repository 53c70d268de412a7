//! The chart's files as they lie there: values and their schema, definitions, dashboards, alerts and the manual. What
//! helm makes of them is checked by tests/setup/chart.sh.
#![cfg(test)]

mod alerts;
mod dashboards;
mod definitions;
mod manual;
mod metrics;
mod settings;
mod values;

use std::path::PathBuf;
use std::process::Command;

use llmcache_tests::kit::chart;
use serde_json::Value;

/// The text of a file of the chart.
fn text(path: &str) -> String {
    let path = chart(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// Fails with every problem at once.
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}", problems.join("\n  "));
}

/// Compares a file with what it should hold, or writes it: `make generate` asks for that.
fn assert_generated(path: PathBuf, wanted: &str) {
    if std::env::var_os("LLMCACHE_UPDATE").is_some() {
        std::fs::write(path, wanted).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is out of date: run `make generate` and commit the result",
        path.display()
    );
}

/// Runs promtool; fails with what it says.
fn promtool(arguments: &[&str]) {
    let run = Command::new("promtool").args(arguments).output();
    let run = run.expect("promtool is there: tests/setup/packages.sh prometheus installs it");
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "promtool {arguments:?}: {out}{err}");
}
