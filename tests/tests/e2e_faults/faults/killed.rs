//! Replicas that end: one that says goodbye, and each of them without a word while it pushes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use llmcache_tests::kit::eventually;
use rustix::process::Signal;

use crate::scene::{INSTALL, OPERATOR, Scene};

/// Changes before and after the kill.
const BURST: usize = 15;

/// The leader's pod is deleted: it hands the lease over.
pub(super) async fn leader_leaves(scene: &Scene<'_>) -> anyhow::Result<String> {
    let (leader, _) = scene.replicas().await?;
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), INSTALL);
    pods.delete(&leader, &DeleteParams::default()).await?;
    let handed_over = scene.handed_over(&leader).await?;
    scene.change().await?;
    let settled = scene.settle().await?;
    // The next fault wants two.
    scene.replicas().await?;
    ready(scene).await?;
    Ok(format!(
        "lease handed over in {handed_over:.1?}, the next change programmed in {settled:.1?}"
    ))
}

/// Each replica is killed while changes are on their way to pods, the leader first.
pub(super) async fn replicas_die(scene: &Scene<'_>) -> anyhow::Result<String> {
    let (leader, follower) = scene.replicas().await?;
    let mut times: Vec<Duration> = Vec::new();
    for pod in [&leader, &follower] {
        let restarts = scene.restarts(pod).await?;
        scene.burst(BURST).await?;
        scene.cluster.process(pod, OPERATOR)?.signal(Signal::KILL)?;
        scene.burst(BURST).await?;
        times.push(scene.settle().await?);
        eventually("the container was started anew", async || {
            scene.restarts(pod).await.is_ok_and(|now| now > restarts)
        })
        .await?;
        ready(scene).await?;
    }
    Ok(format!(
        "programmed {:.1?} after the leader's end, {:.1?} after the other's",
        times[0], times[1]
    ))
}

/// Waits until both replicas are ready.
async fn ready(scene: &Scene<'_>) -> anyhow::Result<()> {
    let rolled = [
        "rollout",
        "status",
        "deployment/llmcache-operator",
        "-n",
        INSTALL,
        "--timeout=60s",
    ];
    scene.cluster.kubectl(&rolled).await?.ok()?;
    Ok(())
}
