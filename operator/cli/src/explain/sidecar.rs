//! What one sidecar says of itself: the revision that it runs, its traffic, whether the operator reaches it.

use k8s_openapi::api::core::v1::Pod;
use llmcache_operator::facts::Key;
use llmcache_operator::policy::names;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::status::tally::Tally;
use crate::status::{admin_port, port};
use crate::{container, exposition};

/// One sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sidecar {
    /// Whether its container runs.
    pub(super) is_running: bool,
    pub(super) restarts: i32,
    /// Why its container does not run.
    pub(super) trouble: Option<String>,
    /// Revision in force; empty = no policy, null = unknown.
    pub(super) revision: Option<String>,
    /// Whether it is connected to the operator; null = unknown.
    pub(super) is_connected: Option<bool>,
    /// Requests since its process started, known endpoints or not; null = unknown.
    pub(super) requests: Option<u64>,
    /// Age of what is in force, seconds; null = unknown.
    pub(super) snapshot_age_seconds: Option<String>,
    /// Why some of this is unknown.
    pub(super) unreachable: Option<String>,
}

impl Sidecar {
    /// Asks one.
    pub(super) async fn ask(cluster: &Cluster, key: &Key, pod: &Pod) -> Self {
        let mut sidecar = Self {
            is_running: container::is_running(pod),
            restarts: container::restarts(pod),
            trouble: container::trouble(pod),
            ..Self::default()
        };
        if !sidecar.is_running {
            return sidecar;
        }
        let proxy = port(pod, names::ANNOTATION_PROXY_PORT, names::PROXY_PORT);
        let path = format!("{}/snapshot", names::LOCAL_PREFIX);
        let (snapshot, metrics) = tokio::join!(
            cluster.page(&key.namespace, &key.name, proxy, &path),
            cluster.page(&key.namespace, &key.name, admin_port(pod), "/metrics")
        );
        let read = metrics.and_then(|metrics| sidecar.read_metrics(&metrics));
        let found = snapshot.and_then(|snapshot| sidecar.read_snapshot(&snapshot));
        sidecar.unreachable = read.and(found).err();
        sidecar
    }

    fn read_metrics(&mut self, text: &str) -> Result<(), String> {
        let tally = Tally::of(text)?;
        self.requests = Some(tally.requests + tally.opaque);
        self.is_connected = tally.connected.map(|connected| connected > 0);
        let age = exposition::samples(text)?;
        let age = age.iter().find(|sample| sample.name == "llmcache_snapshot_age_seconds");
        self.snapshot_age_seconds = age.map(|sample| sample.value.to_owned());
        Ok(())
    }

    fn read_snapshot(&mut self, text: &str) -> Result<(), String> {
        let page: Value = serde_json::from_str(text).map_err(|error| format!("its snapshot is no JSON: {error}"))?;
        self.revision = Some(page["revision"].as_str().unwrap_or_default().to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_and_snapshot_say_what_runs() {
        let mut sidecar = Sidecar::default();
        let metrics = "llmcache_requests_total{endpoint=\"other\",outcome=\"bypass\"} 2\nllmcache_push_connected 0\n\
            llmcache_snapshot_age_seconds 12.5\n";
        sidecar.read_metrics(metrics).unwrap();
        sidecar
            .read_snapshot("{\"revision\":\"9f2c31\",\"snapshot\":{}}")
            .unwrap();
        assert_eq!((sidecar.requests, sidecar.is_connected), (Some(2), Some(false)));
        assert_eq!(sidecar.snapshot_age_seconds.as_deref(), Some("12.5"));
        assert_eq!(sidecar.revision.as_deref(), Some("9f2c31"));
        sidecar.read_snapshot("{\"revision\":null}").unwrap();
        assert_eq!(sidecar.revision.as_deref(), Some(""));
        assert!(
            sidecar
                .read_snapshot("<html>")
                .unwrap_err()
                .starts_with("its snapshot is no JSON")
        );
    }
}
