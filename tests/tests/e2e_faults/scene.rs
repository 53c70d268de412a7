//! The install and the app that faults happen to, and the moves that every fault makes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use llmcache_crds::LLMCachePolicy;
use llmcache_tests::kit::{Cluster, Process, eventually, example};
use serde_json::{Value, json};

use crate::lookout::Lookout;

pub(crate) const POLICY: &str = "support-bot";
pub(crate) const SHOP: &str = "shop";
pub(crate) const INSTALL: &str = "llmcache-system";
pub(crate) const OPERATOR: &str = "/llmcache-operator";
pub(crate) const PROXY: &str = "/llmcache proxy";

/// Values of the install: images of the run, a Redis, and a namespace whose ConfigMaps a policy may watch.
const VALUES: &str = "
operator: {image: {repository: localhost/llmcache-operator, tag: e2e}}
sidecar: {image: {repository: localhost/llmcache-sidecar, tag: e2e}}
redis: {enabled: true, image: {repository: localhost/redis, tag: e2e}}
invalidation: {watchNamespaces: [shop]}
";

/// A cluster with an install and an app under traffic.
pub(crate) struct Scene<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) client: Client,
    /// The app's pods, each by its supervisor, which outlives its proxy.
    pub(crate) pods: BTreeMap<String, Process>,
    pub(crate) lookout: Lookout,
    policies: Api<LLMCachePolicy>,
    changes: AtomicU32,
}

/// How many calls of the app went well, and how many did not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) last: String,
}

impl<'a> Scene<'a> {
    pub(crate) async fn set(cluster: &'a Cluster) -> anyhow::Result<Self> {
        for image in [
            "llmcache-operator",
            "llmcache-sidecar",
            "fake-provider",
            "redis",
            "python",
        ] {
            cluster.load_image(image).await?;
        }
        install(cluster).await?;
        let client = cluster.client().await?;
        let pods = app(cluster, &client).await?;
        let policies: Api<LLMCachePolicy> = Api::namespaced(client.clone(), SHOP);
        let lookout = Lookout::begin(&pods, policies.clone())?;
        let scene = Self {
            cluster,
            client,
            pods,
            lookout,
            policies,
            changes: AtomicU32::new(0),
        };
        for process in scene.pods.values() {
            process.get(8000, "/start").await?;
        }
        scene.change().await?;
        scene.settle().await?;
        Ok(scene)
    }

    /// Changes the policy to what it never was; gives the generation.
    pub(crate) async fn change(&self) -> anyhow::Result<i64> {
        let minutes = 6_000 + self.changes.fetch_add(1, Ordering::Relaxed);
        let patch = json!({"spec": {"resultCache": {"maxAge": format!("{minutes}m")}}});
        let patched = self
            .policies
            .patch(POLICY, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        patched.metadata.generation.context("the policy has no generation")
    }

    /// So many changes, as fast as the API server takes them.
    pub(crate) async fn burst(&self, changes: usize) -> anyhow::Result<i64> {
        let mut generation = 0;
        for _ in 0..changes {
            generation = self.change().await?;
        }
        Ok(generation)
    }

    /// Waits until these pods execute the generation; gives the time.
    pub(crate) async fn executed(&self, generation: i64, pods: &[&str]) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let what = format!("{pods:?} execute generation {generation}");
        eventually(&what, async || {
            pods.iter().all(|pod| self.lookout.generation(pod) >= Some(generation))
        })
        .await?;
        Ok(began.elapsed())
    }

    /// Waits until every pod executes the generation that is written, and the status says so; gives the time.
    pub(crate) async fn settle(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let policy = self.policies.get(POLICY).await?;
        let generation = policy.metadata.generation.context("the policy has no generation")?;
        let all: Vec<&str> = self.pods.keys().map(String::as_str).collect();
        self.executed(generation, &all).await?;
        let number = i32::try_from(all.len())?;
        let is_said = || {
            let said = self.lookout.said().unwrap_or_default();
            said.generation == generation && said.is_programmed && (said.serving, said.matched) == (number, number)
        };
        let what = format!("the status says that generation {generation} is programmed");
        eventually(&what, async || is_said())
            .await
            .with_context(|| format!("it says {:?}", self.lookout.said()))?;
        Ok(began.elapsed())
    }

    /// Names of the pods by what their lease says: the leader, and the replica that follows.
    pub(crate) async fn replicas(&self) -> anyhow::Result<(String, String)> {
        let mut both = None;
        eventually("one of two replicas leads", async || {
            both = self.ask_replicas().await.ok().flatten();
            both.is_some()
        })
        .await?;
        both.context("nobody leads")
    }

    async fn ask_replicas(&self) -> anyhow::Result<Option<(String, String)>> {
        let leader = self.leader().await?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), INSTALL);
        let selected = ListParams::default().labels("app.kubernetes.io/component=operator");
        let names = pods.list(&selected).await?.items.into_iter();
        let living = names.filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let names: Vec<String> = living.filter_map(|pod| pod.metadata.name).collect();
        let follower = names.iter().find(|name| **name != leader).cloned();
        let both = follower.filter(|_| names.len() == 2 && names.contains(&leader));
        Ok(both.map(|follower| (leader, follower)))
    }

    /// Name of the pod that holds the lease; empty when nobody does.
    pub(crate) async fn leader(&self) -> anyhow::Result<String> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), INSTALL);
        let lease = leases.get("llmcache-operator").await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        Ok(holder
            .rsplit_once('_')
            .map(|(pod, _)| pod.to_owned())
            .unwrap_or_default())
    }

    /// Waits until another than this one leads; gives the time.
    pub(crate) async fn handed_over(&self, from: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        eventually("another replica leads", async || {
            let leader = self.leader().await.unwrap_or_default();
            !leader.is_empty() && leader != from
        })
        .await?;
        Ok(began.elapsed())
    }

    /// What the app's pods count together.
    pub(crate) async fn traffic(&self) -> anyhow::Result<Traffic> {
        let mut all = Traffic::default();
        for process in self.pods.values() {
            let counted: Value = serde_json::from_str(&process.get(8000, "/traffic").await?)?;
            let number = |name: &str| counted[name].as_u64().context("the app does not count");
            all.ok += number("ok")?;
            all.failed += number("failed")?;
            let last = counted["last"].as_str().unwrap_or_default();
            all.last.push_str(last);
        }
        Ok(all)
    }

    /// Fails unless the app went on since then, every call answered.
    pub(crate) async fn ensure_answered(&self, before: &Traffic) -> anyhow::Result<u64> {
        let now = self.traffic().await?;
        ensure!(now.failed == 0, "{} calls of the app failed: {}", now.failed, now.last);
        ensure!(now.ok > before.ok, "no call of the app was answered");
        Ok(now.ok - before.ok)
    }

    /// How often a pod's container was started anew.
    pub(crate) async fn restarts(&self, pod: &str) -> anyhow::Result<i32> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), INSTALL);
        let status = pods.get(pod).await?.status.unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        Ok(containers.iter().map(|container| container.restart_count).sum())
    }
}

async fn install(cluster: &Cluster) -> anyhow::Result<()> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/llmcache");
    let chart = chart.to_str().context("the chart's path is no UTF-8")?;
    cluster.kubectl(&["create", "namespace", SHOP]).await?.ok()?;
    let install = [
        "install",
        "llmcache",
        chart,
        "--namespace",
        INSTALL,
        "--create-namespace",
        "--values",
        "-",
        "--wait",
        "--timeout",
        "90s",
    ];
    cluster.run("helm", &install, VALUES).await?.ok()?;
    Ok(())
}

/// Starts the app of the acceptance with a sidecar in each of its pods, and its policy.
async fn app(cluster: &Cluster, client: &Client) -> anyhow::Result<BTreeMap<String, Process>> {
    let bot = include_str!("../e2e/manifests/bot.py");
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bot", "namespace": SHOP}, "data": {"bot.py": bot},
    });
    let apply = ["apply", "-f", "-"];
    cluster.kubectl_with(&apply, &config.to_string()).await?.ok()?;
    cluster
        .kubectl_with(&apply, include_str!("../e2e/manifests/shop.yaml"))
        .await?
        .ok()?;
    cluster.kubectl_with(&apply, &example("support-bot.yaml")).await?.ok()?;
    let annotate = [
        "annotate",
        "deployment",
        "chat",
        "-n",
        SHOP,
        "llmcache.dev/inject=enabled",
    ];
    cluster.kubectl(&annotate).await?.ok()?;
    let rolled = ["rollout", "status", "deployment/chat", "-n", SHOP, "--timeout=60s"];
    cluster.kubectl(&rolled).await?.ok()?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), SHOP);
    let selected = ListParams::default().labels("app=support-bot,llmcache.dev/injected=true");
    let mut found = BTreeMap::new();
    eventually("two pods of the app run with a sidecar", async || {
        let listed = pods.list(&selected).await.map(|list| list.items).unwrap_or_default();
        let living = listed
            .into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let names = living.filter_map(|pod| pod.metadata.name);
        found = names
            .filter_map(|name| Some((name.clone(), cluster.process(&name, "/llmcache").ok()?)))
            .collect();
        found.len() == 2
    })
    .await?;
    for process in found.values() {
        eventually("the app answers", async || process.get(8000, "/traffic").await.is_ok()).await?;
    }
    Ok(found)
}
