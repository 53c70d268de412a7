//! What breaks in a cluster, on a real node: replicas killed and frozen, the API server away, certificates that expire,
//! streams that carry nothing. Pods and statuses are looked at all the while; no answer may fail and no history go wrong.
//! `make e2e` builds the images; `LLMCACHE_E2E=off` skips it.

mod audit;
mod faults;
mod history;
mod lookout;
mod rights;
mod scene;

use llmcache_tests::kit::{Cluster, Level};

use scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_fails_an_answer_or_bends_a_history() -> anyhow::Result<()> {
    let Some(cluster) = Cluster::start(Level::Node).await? else {
        return Ok(());
    };
    let scene = Scene::set(&cluster).await?;
    faults::run(&scene).await
}
