//! The kit of the tests from outside: the real binary and real servers as child processes, and a plain HTTP client.

use std::path::PathBuf;

use anyhow::{Context, ensure};

mod client;
mod redis;
mod sidecar;

pub use client::{Call, Client, Reply};
pub use redis::Redis;
pub use sidecar::{Launch, Sidecar};

/// A binary of this workspace, built beside the running test (`cargo build --workspace --bins` does).
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test
        .parent()
        .and_then(|deps| deps.parent())
        .context("the test runs outside a target folder")?;
    let path = folder.join(name);
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

/// A policy with this indented `spec`.
pub fn policy(spec: &str) -> String {
    format!(
        "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {{name: test, namespace: shop}}\nspec:\n{spec}\n"
    )
}
