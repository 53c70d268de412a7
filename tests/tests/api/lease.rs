//! The operator's election on a real API server.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use llmcache_operator::lease::{Election, Holder, Leadership, Metrics, Timing};
use llmcache_tests::kit::{Namespace, eventually};
use prometheus::Registry;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::namespace;

struct Replica {
    leadership: Leadership,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn stand(namespace: &Namespace<'_>, pod: &str, address: &str) -> anyhow::Result<Replica> {
    let own = Holder {
        pod: pod.to_owned(),
        address: address.parse()?,
    };
    let metrics = Metrics::new(&Registry::new())?;
    let election = Election::new(namespace.api(), "llmcache-operator", own, Timing::default(), metrics);
    let leadership = election.leadership();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(election.run(async {
        let _ = stopped.await;
    }));
    Ok(Replica { leadership, stop, task })
}

#[tokio::test]
async fn of_two_replicas_one_leads_and_the_other_follows_at_once_when_it_leaves() -> anyhow::Result<()> {
    let Some(namespace) = namespace("lease").await? else {
        return Ok(());
    };
    let first = stand(&namespace, "a", "10.0.0.1")?;
    first.leadership.gained().await;
    let second = stand(&namespace, "b", "fd00::2")?;
    eventually("the follower knows the leader", async || {
        second.leadership.leader_address().map(|it| it.to_string()).as_deref() == Some("10.0.0.1")
    })
    .await?;
    let leases = namespace.api::<Lease>();
    let label = Patch::Merge(json!({"metadata": {"labels": {"team": "shop"}}}));
    leases
        .patch("llmcache-operator", &PatchParams::default(), &label)
        .await?;
    let renewed = async || leases.get("llmcache-operator").await.ok()?.spec?.renew_time;
    let before = renewed().await;
    eventually("the leader renews over another's write", async || {
        renewed().await > before
    })
    .await?;
    assert!(first.leadership.is_leader() && !second.leadership.is_leader());

    let _ = first.stop.send(());
    first.task.await?;
    let left = std::time::Instant::now();
    second.leadership.gained().await;
    // Unreleased it would take fifteen seconds.
    assert!(left.elapsed() < Duration::from_secs(12), "the Lease was handed back");
    let lease = leases.get("llmcache-operator").await?;
    let spec = lease.spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("b_fd00::2"));
    assert_eq!(spec.lease_transitions, Some(1));
    assert_eq!(lease.metadata.labels.unwrap()["team"], "shop", "labels of others stay");
    Ok(())
}
