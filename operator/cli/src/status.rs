//! `status`: policies with their conditions, sidecars by state, and what the caches save, from the sidecars themselves.

use futures_util::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use llmcache_operator::facts::Key;
use llmcache_operator::policy::names;

use crate::cluster::{Cluster, Connection, block_on};
use crate::failure::Failure;
use crate::output::{Output, say, say_json};
use crate::scene::Scene;

pub(crate) mod policies;
mod report;
pub(crate) mod tally;
mod text;

use report::Report;
use tally::Tally;

/// Show policies, sidecars, hit rates and dollars of a namespace.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Hit rates and dollars are sums since each sidecar's process started, read through the API server \
    (verb get on pods/portforward, from Kubernetes 1.35 create too), 16 pods at once, 3 s each.\n\
    Exit codes: 0 ok, 1 a policy is not accepted, rejected, stale or unhealthy, or a pod lacks its sidecar, 2 usage, \
    3 the API server is unreachable."
)]
pub(crate) struct Args {
    /// Every namespace.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Form of the result.
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Pods that are asked at once.
const AT_ONCE: usize = 16;

/// Reads and shows.
pub(crate) fn run(args: &Args, before: &Connection) -> Result<(), Failure> {
    let report = block_on(async {
        let cluster = Cluster::connect(&args.connection.or(before)).await?;
        let namespace = (!args.all_namespaces).then_some(cluster.namespace.as_str());
        let scene = Scene::read(&cluster, namespace).await?;
        let pages = metrics(&cluster, &scene).await;
        let now_ms = Timestamp::now().as_millisecond();
        Ok(Report::new(namespace, &scene, pages, now_ms))
    })?;
    match args.output {
        Output::Json => say_json(&serde_json::json!(report)),
        Output::Text => say(&text::lines(&report)),
    }
    match report.problems() {
        0 => Ok(()),
        1 => Err(Failure::Problems(vec!["1 problem found".into()])),
        problems => Err(Failure::Problems(vec![format!("{problems} problems found")])),
    }
}

/// The metrics of every injected pod, or why there are none, in the order of their names.
async fn metrics(cluster: &Cluster, scene: &Scene) -> Vec<(Key, Result<Tally, String>)> {
    let injected = scene.index.pods.values().filter(|pod| pod.is_injected());
    let pages = injected.map(|fact| {
        let (key, pod) = (fact.key.clone(), scene.pods.get(&fact.key));
        async move {
            let tally = match pod {
                Some(pod) => tally_of(cluster, &key, pod).await,
                None => Err("it is gone".into()),
            };
            (key, tally)
        }
    });
    let mut pages: Vec<_> = futures_util::stream::iter(pages)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    pages.sort_by(|(one, _), (other, _)| one.cmp(other));
    pages
}

async fn tally_of(cluster: &Cluster, key: &Key, pod: &Pod) -> Result<Tally, String> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if let Some(phase) = phase.filter(|phase| *phase != "Running") {
        return Err(format!("the pod is {phase}"));
    }
    let port = admin_port(pod);
    Tally::of(&cluster.page(&key.namespace, &key.name, port, "/metrics").await?)
}

/// The port of `/metrics`; an annotation that is no port has no effect.
pub(crate) fn admin_port(pod: &Pod) -> u16 {
    port(pod, names::ANNOTATION_ADMIN_PORT, names::ADMIN_PORT)
}

/// A port of the sidecar, which an annotation may change.
pub(crate) fn port(pod: &Pod, annotation: &str, default: u16) -> u16 {
    let annotations = pod.metadata.annotations.as_ref();
    let written = annotations.and_then(|all| all.get(annotation)?.parse().ok());
    written.filter(|port| *port >= 1_024).unwrap_or(default)
}
