//! A leader that stands still for longer than its lease, with changes under way: the other leads on, and when the first
//! moves again it must not write what only a leader writes. [`crate::audit`] judges that over the whole run.

use rustix::process::Signal;

use crate::scene::{OPERATOR, Scene};

/// Changes before the leader stands still, so that a write is due when it moves again.
const BURST: usize = 10;

/// Freezes the leader in the middle of changes until the other leads, then lets it go on.
pub(super) async fn lost(scene: &Scene<'_>) -> anyhow::Result<String> {
    let (leader, _) = scene.replicas().await?;
    let frozen = scene.cluster.process(&leader, OPERATOR)?;
    scene.burst(BURST).await?;
    frozen.signal(Signal::STOP)?;
    let seen = async {
        scene.burst(BURST).await?;
        scene.handed_over(&leader).await
    }
    .await;
    // What it would write now is older than what the other wrote.
    let also = scene.burst(BURST).await;
    frozen.signal(Signal::CONT)?;
    let (handed_over, _) = (seen?, also?);
    let settled = scene.settle().await?;
    let (now, _) = scene.replicas().await?;
    anyhow::ensure!(now != leader, "the frozen replica leads again at once");
    Ok(format!(
        "lease taken over in {handed_over:.1?}, programmed {settled:.1?} after the first moved again"
    ))
}
