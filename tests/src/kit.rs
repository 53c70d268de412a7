//! The kit of the tests from outside: the real binary and real servers as child processes, and a plain HTTP client.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};

mod client;
mod cluster;
mod dashboards;
mod network;
mod pod;
mod push;
mod qdrant;
mod redis;
mod sidecar;
mod stage;

pub use client::{Call, Client, Reply};
pub use cluster::{Cluster, Done, Level, Namespace, Process, get};
pub use dashboards::{Dashboard, Query, chart, dashboards, queries};
pub use network::{Network, Weather};
pub use pod::{Pod, Volumes};
pub use push::{Heard, Operator, encode, snapshot};
pub use qdrant::FakeQdrant;
pub use redis::{Authority, Guards, Node, Redis, RedisCluster, RedisSentinel};
pub use sidecar::{Launch, Sidecar};
pub use stage::{Stage, metric, question};

/// A binary of this workspace, built beside the running test (`cargo build --workspace --bins` does).
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let running = std::env::current_exe()?;
    let deps = running.parent().context("this program runs outside a target folder")?;
    // Programs lie beside one another, tests a folder below.
    let beside = deps.join(name);
    let path = match deps.parent() {
        Some(above) if !beside.exists() => above.join(name),
        _ => beside,
    };
    ensure!(
        path.exists(),
        "{} is missing: run `cargo build --workspace --bins` first",
        path.display()
    );
    Ok(path)
}

/// An example policy of `crds/examples`.
pub fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../crds/examples")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| format!("# {}: {error}", path.display()))
}

/// Waits until a condition holds; fails, naming it, when it does not within a minute.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while !holds().await {
        ensure!(tokio::time::Instant::now() < deadline, "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A policy with this indented `spec`.
pub fn policy(spec: &str) -> String {
    format!(
        "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {{name: test, namespace: shop}}\nspec:\n{spec}\n"
    )
}
