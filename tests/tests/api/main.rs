//! What a real API server makes of the definitions, and of what is written by them. `LLMCACHE_API=off` skips them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod applied;
mod certificates;
mod command;
mod definitions;
mod identity;
mod invalidations;
mod lease;
mod policies;
mod verdict;

use std::path::{Path, PathBuf};

use llmcache_tests::kit::{Cluster, Level, Namespace};
use tokio::sync::OnceCell;

/// A namespace of the cluster that these tests share, where the definitions are in force; none when they are off.
async fn namespace(test: &str) -> anyhow::Result<Option<Namespace<'static>>> {
    static DEFINED: OnceCell<()> = OnceCell::const_new();
    let Some(cluster) = Cluster::shared(Level::Api).await? else {
        return Ok(None);
    };
    DEFINED.get_or_try_init(async || define(cluster).await).await?;
    cluster.namespace(test).await.map(Some)
}

/// Applies every definition of `crds/` as an install does, and waits until the API server serves them.
async fn define(cluster: &Cluster) -> anyhow::Result<()> {
    let apply = with_definitions(&["apply", "--server-side"])?;
    cluster.kubectl(&borrowed(&apply)).await?.ok()?;
    let wait = with_definitions(&["wait", "--for", "condition=Established", "--timeout=60s"])?;
    cluster.kubectl(&borrowed(&wait)).await?.ok()?;
    Ok(())
}

/// Arguments of kubectl, followed by the file of each definition.
fn with_definitions(arguments: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut all: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    for file in definitions()? {
        all.extend(["-f".to_owned(), file.display().to_string()]);
    }
    Ok(all)
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// The files of the definitions.
fn definitions() -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(crds())?.flatten().map(|entry| entry.path());
    Ok(entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect())
}

fn crds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds")
}
