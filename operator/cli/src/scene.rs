//! What the cluster holds, judged by the code by which the operator judges it.
//!
//! What this account may not read is left out and said so; only pods and policies are needed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{LimitRange, Namespace, Pod};
use kube::api::ListParams;
use kube::core::PartialObjectMetaExt as _;
use llmcache_crds::LLMCachePolicy;
use llmcache_operator::facts::{self, Key};
use llmcache_operator::index::{Change, Delta, Index};
use llmcache_operator::plan::{Plan, Planner};

use crate::cluster::{Cluster, Trouble};

mod injection;
mod install;

pub(crate) use injection::Injection;
pub(crate) use install::Install;

/// One moment of one namespace, or of all.
pub(crate) struct Scene {
    /// The install, as far as it can be seen.
    pub(crate) install: Install,
    /// Pods that have not finished, whole.
    pub(crate) pods: BTreeMap<Key, Pod>,
    /// What the operator would know.
    pub(crate) index: Index,
    /// What follows from it.
    pub(crate) plan: Plan,
    /// What could not be read.
    pub(crate) notes: Vec<String>,
}

impl Scene {
    /// Reads a namespace, or all.
    pub(crate) async fn read(cluster: &Cluster, namespace: Option<&str>) -> Result<Self, Trouble> {
        let all = ListParams::default();
        let (policies, pods) = tokio::join!(
            Box::pin(cluster.list::<LLMCachePolicy>(namespace, &all)),
            Box::pin(cluster.list::<Pod>(namespace, &all))
        );
        let (policies, pods) = (policies?, pods?);
        let mut scene = Self {
            install: Install::read(cluster, &pods, &policies).await,
            pods: unfinished(pods),
            index: Index::default(),
            plan: Plan::default(),
            notes: Vec::new(),
        };
        scene.notes.extend(scene.install.note.take());
        scene.read_namespaces(cluster, namespace).await;
        scene.read_owners(cluster, namespace).await;
        let ranges = cluster.list::<LimitRange>(namespace, &all).await;
        let ranges = scene.or_note(ranges, "LimitRanges are not counted");
        scene
            .index
            .apply(Change::LimitRanges(Delta::All(injection::limits(ranges))));
        let pods = scene.pods.values().map(fact).collect();
        scene.index.apply(Change::Pods(Delta::All(pods)));
        scene.index.apply(Change::Policies(Delta::All(policies)));
        let now_ms = Timestamp::now().as_millisecond();
        scene.plan = Planner::default().plan(&scene.index, &scene.install.settings, now_ms);
        Ok(scene)
    }

    async fn read_namespaces(&mut self, cluster: &Cluster, namespace: Option<&str>) {
        let found = match namespace {
            Some(name) => cluster
                .find_wide::<Namespace>(name)
                .await
                .map(|found| found.into_iter().collect()),
            None => cluster.namespaces().await,
        };
        let found = self.or_note(found, "labels of namespaces are not counted");
        let facts = found
            .into_iter()
            .map(|found| found.metadata.into_response_partial::<Namespace>().into());
        self.index.apply(Change::Namespaces(Delta::All(facts.collect())));
    }

    async fn read_owners(&mut self, cluster: &Cluster, namespace: Option<&str>) {
        macro_rules! owners {
            ($($kind:ident),*) => {{
                #[expect(non_snake_case, reason = "one variable for each kind")]
                let ($($kind),*) = tokio::join!($(Box::pin(cluster.list_metadata::<$kind>(namespace))),*);
                $(
                    let what = concat!("annotations of ", stringify!($kind), "s are not counted");
                    let found = self.or_note($kind, what).into_iter().map(Into::into).collect();
                    self.index.apply(Change::Owners(stringify!($kind), Delta::All(found)));
                )*
            }};
        }
        owners!(Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob);
    }

    fn or_note<T>(&mut self, found: Result<Vec<T>, Trouble>, consequence: &str) -> Vec<T> {
        found.unwrap_or_else(|trouble| {
            self.notes.push(format!("{consequence}: {}", trouble.message));
            Vec::new()
        })
    }

    /// Whether and why a pod has a sidecar.
    pub(crate) fn injection(&self, pod: &Pod, fact: &facts::Pod) -> Injection {
        injection::judge(pod, fact, &self.index, &self.install.settings)
    }

    /// Pods that ask for a sidecar and have none, with the reason.
    pub(crate) fn uninjected(&self) -> Vec<(&Key, Injection)> {
        let pods = self
            .index
            .pods
            .iter()
            .filter_map(|(key, fact)| Some((key, self.pods.get(key)?, fact)));
        let judged = pods.map(|(key, pod, fact)| (key, self.injection(pod, fact)));
        judged.filter(|(_, injection)| injection.is_wanted).collect()
    }
}

fn unfinished(pods: Vec<Pod>) -> BTreeMap<Key, Pod> {
    let is_over = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    let running = pods.into_iter().filter(|pod| !is_over(pod));
    running.map(|pod| (Key::of(&pod.metadata), pod)).collect()
}

/// A pod as the operator keeps it.
pub(super) fn fact(pod: &Pod) -> facts::Pod {
    pod.metadata.clone().into_response_partial::<Pod>().into()
}
