//! The whole system on a real node: pods of apps with a sidecar each, the operator, and what happens to any of them.
//! `make e2e` builds the images these tests load; `LLMCACHE_E2E=off` skips them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod images;
mod story;
mod upgrade;

use llmcache_tests::kit::{Cluster, Level, Namespace};

/// A namespace of the node that these tests share; none when they are off.
async fn namespace(test: &str) -> anyhow::Result<Option<Namespace<'static>>> {
    let Some(cluster) = Cluster::shared(Level::Node).await? else {
        return Ok(None);
    };
    cluster.namespace(test).await.map(Some)
}
