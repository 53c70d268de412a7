//! The API server stands still for over a minute: nothing of ours ends, and a proxy that dies meanwhile comes back with what
//! it executed.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use llmcache_tests::kit::eventually;
use rustix::process::Signal;

use crate::scene::{OPERATOR, PROXY, Scene};

/// Time without an API server.
const AWAY: Duration = Duration::from_secs(61);

/// Freezes the API server, kills a proxy, and lets it go on.
pub(super) async fn away(scene: &Scene<'_>) -> anyhow::Result<String> {
    let (leader, follower) = scene.replicas().await?;
    let restarts = (scene.restarts(&leader).await?, scene.restarts(&follower).await?);
    let processes = [
        scene.cluster.process(&leader, OPERATOR)?,
        scene.cluster.process(&follower, OPERATOR)?,
    ];
    // Controllers would blame the node for a silence that is the API server's.
    scene.cluster.signal("kube-controller-manager", Signal::STOP)?;
    scene.cluster.signal("kube-apiserver", Signal::STOP)?;
    let kept = while_away(scene, Instant::now()).await;
    scene.cluster.signal("kube-apiserver", Signal::CONT)?;
    eventually("the API server answers", async || scene.leader().await.is_ok()).await?;
    scene.cluster.signal("kube-controller-manager", Signal::CONT)?;
    let kept = kept?;
    let again = [
        scene.cluster.process(&leader, OPERATOR)?,
        scene.cluster.process(&follower, OPERATOR)?,
    ];
    ensure!(processes == again, "a replica ended while the API server was away");
    scene.change().await?;
    let settled = scene.settle().await?;
    let after = (scene.restarts(&leader).await?, scene.restarts(&follower).await?);
    ensure!(
        restarts == after,
        "a replica was started anew: {restarts:?}, then {after:?}"
    );
    Ok(format!(
        "away {} s, a killed proxy was back with its policy in {kept:.1?}, programmed {settled:.1?} after",
        AWAY.as_secs()
    ))
}

/// Kills a proxy and waits for the end of the minute; gives the time until the proxy executed again what it had.
async fn while_away(scene: &Scene<'_>, began: Instant) -> anyhow::Result<Duration> {
    let pod = scene.pods.keys().next().context("the app has no pods")?;
    let generation = scene.lookout.generation(pod).context("the pod was never asked")?;
    let before = scene.cluster.process(pod, PROXY)?;
    let killed = Instant::now();
    let killed_ms = scene.lookout.now_ms();
    before.signal(Signal::KILL)?;
    let is_back = || {
        let history = scene.lookout.history();
        let last = history.pods.get(pod).and_then(|samples| samples.last());
        last.is_some_and(|sample| sample.asked_ms > killed_ms && sample.generation == generation)
    };
    eventually("the killed proxy executes what it had", async || {
        scene.cluster.process(pod, PROXY).is_ok_and(|now| now != before) && is_back()
    })
    .await?;
    let kept = killed.elapsed();
    tokio::time::sleep_until((began + AWAY).into()).await;
    Ok(kept)
}
