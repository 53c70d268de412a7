//! The operator from start to end. Every long task is supervised: one that ends by itself ends the process, an API server
//! that is away does not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use llmcache_policy::names;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::settings::Settings;

mod feeds;
mod parts;
mod server;
mod told;

/// Time from the signal until streams are closed: whoever routes to this replica must have seen that it ends.
const FAREWELL: Duration = Duration::from_secs(3);
/// The API server ends each watch after 290 s at the latest, and a list takes seconds.
const SILENCE: Duration = Duration::from_mins(5);
/// Longest time from then until the process ends.
const DRAIN: Duration = Duration::from_secs(3);

/// Where this replica runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Pod {
    /// Name of this pod.
    #[arg(long, env = "POD_NAME", default_value = "")]
    pub pod_name: String,
    /// Namespace of this pod: the install's.
    #[arg(long, env = "POD_NAMESPACE", default_value = "")]
    pub pod_namespace: String,
    /// Address of this pod, at which other replicas find it.
    #[arg(long, env = "POD_IP")]
    pub pod_ip: Option<IpAddr>,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The environment cannot be used.
    #[error("{0}")]
    Environment(String),
    /// A port cannot be bound.
    #[error("cannot listen on port {0}: {1}")]
    Port(u16, std::io::Error),
    /// Metric families that contradict each other.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// No API server is configured.
    #[error("{0}")]
    Client(String),
    /// A task that must not end did.
    #[error("the task {0} ended: the process ends with it, to be started anew")]
    Task(String),
    /// The operating system refused something basic.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Runs until SIGTERM or SIGINT, or until a task ends that must not.
pub fn run(settings: &Path, pod: &Pod) -> Result<(), Ended> {
    let name = settings.display();
    let text = std::fs::read_to_string(settings).map_err(|error| Ended::Settings(format!("{name}: {error}")))?;
    let settings = Settings::parse(&text).map_err(|problems| {
        Ended::Settings(
            problems
                .iter()
                .map(|problem| format!("{name}: {problem}"))
                .collect::<Vec<_>>()
                .join("\n"),
        )
    })?;
    for (variable, value) in [("POD_NAME", &pod.pod_name), ("POD_NAMESPACE", &pod.pod_namespace)] {
        if value.is_empty() {
            return Err(Ended::Environment(format!(
                "{variable} is not set: give it by a fieldRef, as the chart does"
            )));
        }
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(serve(Arc::new(settings), pod))
}

async fn serve(settings: Arc<Settings>, pod: &Pod) -> Result<(), Ended> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let client = client().await.map_err(Ended::Client)?;
    let ports = Ports::bind().await?;
    let registry = Registry::new();
    let (stop, stopping) = watch::channel(Stage::Serving);
    let mut tasks = JoinSet::new();
    let place = parts::Place {
        client,
        settings,
        pod: pod.clone(),
        registry,
        stopping,
    };
    parts::start(&place, ports, &mut tasks)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pod = pod.pod_name, "serving");
    let reason = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = tasks.join_next() => Some(ended),
    };
    if let Some(ended) = reason {
        let task = match ended {
            Some(Ok(name)) => name.to_owned(),
            Some(Err(error)) => error.to_string(),
            None => "every".to_owned(),
        };
        return Err(Ended::Task(task));
    }
    tracing::info!("ending");
    stop.send_replace(Stage::Leaving);
    tokio::time::sleep(FAREWELL).await;
    stop.send_replace(Stage::Gone);
    // The lease is handed back and streams are closed; whatever hangs is cut.
    let drained = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    Ok(())
}

/// A client that gives up a connection on which nothing comes for longer than any watch lives: lists have no time limit
/// of their own, and one on a half-open connection would never end.
async fn client() -> Result<Client, String> {
    let config = Config::infer().await;
    let mut config = config.map_err(|error| format!("no API server is configured: {error}"))?;
    config.read_timeout = Some(SILENCE);
    Client::try_from(config).map_err(|error| format!("the API server's settings cannot be used: {error}"))
}

/// How far this replica is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// Not ready any more, and serving still.
    Leaving,
    /// Streams close and the lease is handed back.
    Gone,
}

/// The ports, all bound before anything is started.
struct Ports {
    push: TcpListener,
    webhook: TcpListener,
    admin: TcpListener,
}

impl Ports {
    async fn bind() -> Result<Self, Ended> {
        let bind = async |port| {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            TcpListener::bind(address)
                .await
                .map_err(|error| Ended::Port(port, error))
        };
        Ok(Self {
            push: bind(names::PUSH_PORT).await?,
            webhook: bind(names::WEBHOOK_PORT).await?,
            admin: bind(names::ADMIN_PORT).await?,
        })
    }
}
