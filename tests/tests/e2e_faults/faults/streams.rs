//! Streams of one sidecar that carry nothing: its proxy does not read, or the network swallows all.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use llmcache_tests::kit::{Process, eventually};
use rustix::process::Signal;

use crate::scene::{OPERATOR, PROXY, Scene};

/// Changes while one sidecar does not read.
const BURST: usize = 100;
/// What a replica may grow by for a reader that is slow, KiB.
const GROWTH: u64 = 16 << 10;
/// Longest time until a pod that fell silent shows: two pings of 5 s find it, 15 s are its grace, a look is a second.
const SHOWS: Duration = Duration::from_secs(27);

/// One proxy is frozen under many changes: the other is not delayed, and no replica keeps what was not read.
pub(super) async fn slow_reader(scene: &Scene<'_>) -> anyhow::Result<String> {
    let (slow, quick) = two(scene)?;
    let before = memory(scene).await?;
    let proxy = scene.cluster.process(slow, PROXY)?;
    proxy.signal(Signal::STOP)?;
    let changed = async {
        let generation = scene.burst(BURST).await?;
        let behind = scene.executed(generation, &[quick]).await?;
        eventually("the status tells of the change", async || {
            scene.lookout.said().is_some_and(|said| said.generation == generation)
        })
        .await?;
        anyhow::Ok((generation, behind))
    }
    .await;
    let history = scene.lookout.history();
    let grown = memory(scene).await?.saturating_sub(before);
    proxy.signal(Signal::CONT)?;
    let (generation, behind) = changed?;
    let is_early = history
        .said
        .iter()
        .any(|said| said.generation == generation && said.is_programmed);
    ensure!(!is_early, "programmed, though {slow} reads nothing");
    ensure!(
        grown < GROWTH,
        "the replicas grew by {grown} KiB for a reader that reads nothing"
    );
    let settled = scene.settle().await?;
    Ok(format!(
        "the other pod {behind:.1?} behind {BURST} changes, replicas +{grown} KiB, programmed {settled:.1?} after it read on"
    ))
}

/// All packets of one sidecar's stream are dropped: it shows as silent, serves on, and comes back by itself.
pub(super) async fn half_open(scene: &Scene<'_>) -> anyhow::Result<String> {
    let (cut, other) = two(scene)?;
    let process = *scene.pods.get(cut).context("the pod is gone")?;
    drop_packets(scene, process, "-I").await?;
    let seen = while_cut(scene, other).await;
    drop_packets(scene, process, "-D").await?;
    let (behind, shown) = seen?;
    let settled = scene.settle().await?;
    Ok(format!(
        "the other pod had it in {behind:.1?}, silence shown after {shown:.1?}, programmed {settled:.1?} after the cut ended"
    ))
}

async fn while_cut(scene: &Scene<'_>, other: &str) -> anyhow::Result<(Duration, Duration)> {
    let began = Instant::now();
    eventually("the status counts the silent pod", async || {
        let said = scene.lookout.said().unwrap_or_default();
        !said.is_programmed && said.serving == 1 && is_stale(scene).await
    })
    .await?;
    let shown = began.elapsed();
    let generation = scene.change().await?;
    let behind = scene.executed(generation, &[other]).await?;
    ensure!(shown < SHOWS, "a silent pod showed only after {shown:.1?}");
    Ok((behind, shown))
}

async fn is_stale(scene: &Scene<'_>) -> bool {
    let get = [
        "get",
        "lcp",
        "support-bot",
        "-n",
        "shop",
        "-o",
        "jsonpath={.status.sidecars.stale}",
    ];
    scene.cluster.kubectl(&get).await.is_ok_and(|done| done.stdout == "1")
}

/// Inserts or deletes the rules that drop the stream's packets, in the pod's own network.
async fn drop_packets(scene: &Scene<'_>, process: Process, how: &str) -> anyhow::Result<()> {
    for (chain, side) in [("OUTPUT", "--dport"), ("INPUT", "--sport")] {
        let id = process.id().to_string();
        let rule = [
            "-t", &id, "-n", "iptables", "-w", how, chain, "-p", "tcp", side, "15443", "-j", "DROP",
        ];
        scene.cluster.run("nsenter", &rule, "").await?.ok()?;
    }
    Ok(())
}

fn two<'a>(scene: &'a Scene<'_>) -> anyhow::Result<(&'a str, &'a str)> {
    let mut names = scene.pods.keys().map(String::as_str);
    names.next().zip(names.next()).context("the app has no two pods")
}

/// What the replicas hold together, KiB.
async fn memory(scene: &Scene<'_>) -> anyhow::Result<u64> {
    let (leader, follower) = scene.replicas().await?;
    let of = |pod: &str| scene.cluster.process(pod, OPERATOR)?.resident_kib();
    Ok(of(&leader)? + of(&follower)?)
}
