//! A real Kubernetes of the test's own: an API server, or a whole node that runs pods.
//!
//! `tests/setup/cluster` starts it; it ends with the process that asked for it, however that ends. Tests share one of
//! each kind and take a namespace each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::OnceCell;

mod component;
mod namespace;
mod process;
mod program;
mod wanted;

pub use namespace::Namespace;
pub use process::{Process, get};
pub use program::Done;

/// Longest wait for the end of a cluster that is dropped.
const END: Duration = Duration::from_secs(30);

/// How much of Kubernetes there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// API server, etcd and controllers on loopback; no pod ever runs. Needs no root.
    Api,
    /// All of it, with one node that runs real pods. Needs root and containerd.
    Node,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    level: Level,
    folder: PathBuf,
    /// What `up.sh` printed: the environment in which kubectl, helm and ctr talk to it.
    settings: BTreeMap<String, String>,
    /// The cluster ends when this is closed.
    leash: Option<ChildStdin>,
    namespaces: AtomicU32,
}

type Shared = OnceCell<Result<Option<Cluster>, String>>;

impl Cluster {
    /// Starts a cluster and waits until it is ready; none where the environment says that tests against one are off
    /// (`LLMCACHE_API=off`, `LLMCACHE_E2E=off`, or `auto` where no node can run).
    pub async fn start(level: Level) -> anyhow::Result<Option<Self>> {
        if !wanted::is_wanted(level)? {
            return Ok(None);
        }
        tokio::task::spawn_blocking(move || launch(level)).await?.map(Some)
    }

    /// The cluster that all tests of this process share, started by the first that asks.
    pub async fn shared(level: Level) -> anyhow::Result<Option<&'static Self>> {
        static API: Shared = OnceCell::const_new();
        static NODE: Shared = OnceCell::const_new();
        let cell = match level {
            Level::Api => &API,
            Level::Node => &NODE,
        };
        let started = cell.get_or_init(async || Self::start(level).await.map_err(|error| format!("{error:#}")));
        match started.await {
            Ok(cluster) => Ok(cluster.as_ref()),
            Err(error) => bail!("{error}"),
        }
    }

    /// A client with all rights, of the runtime that calls: it dies with that.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// A new namespace of its own for one test, named after it.
    pub async fn namespace(&self, test: &str) -> anyhow::Result<Namespace<'_>> {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        Namespace::create(self, format!("{test}-{number}")).await
    }

    /// How much of Kubernetes it is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The file that kubectl and helm read.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Who asked the API server for what: a JSON object each line.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("logs/audit.log")
    }

    /// Address of the test's machine as pods see it.
    pub fn host(&self) -> String {
        format!("10.200.{}.1", self.setting("CLUSTER_INDEX"))
    }

    /// Whether there are controllers: not with a foreign `KUBEBUILDER_ASSETS` that has none.
    pub fn has_controllers(&self) -> bool {
        self.folder.join("logs/kube-controller-manager.log").exists()
    }

    fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.leash.take());
        let deadline = Instant::now() + END;
        while self.folder.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A script of `tests/setup/cluster`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("setup/cluster").join(name)
}

fn launch(level: Level) -> anyhow::Result<Cluster> {
    let mode = match level {
        Level::Api => "api",
        Level::Node => "node",
    };
    let mut child = Command::new(script("up.sh"))
        .arg(mode)
        .env("CLUSTER_ENDS_WITH_STDIN", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run tests/setup/cluster/up.sh")?;
    let leash = child.stdin.take();
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the cluster did not start: see what up.sh said"
    );
    let settings: BTreeMap<String, String> = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let setting = |name: &str| settings.get(name).with_context(|| format!("up.sh named no {name}"));
    let folder = PathBuf::from(setting("CLUSTER_DIR")?);
    let logs = logs_folder(setting("CLUSTER_INDEX")?)?;
    std::fs::write(folder.join("keep-logs"), logs.display().to_string())?;
    program::say(&format!(
        "a cluster has started; when it ends, its logs are in {}",
        logs.display()
    ));
    Ok(Cluster {
        level,
        folder,
        settings,
        leash,
        namespaces: AtomicU32::new(0),
    })
}

/// Where the logs of a cluster of this test go: into the target folder, in place of those of the run before.
fn logs_folder(index: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let name = test.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Cargo adds a hash to the name.
    let name = name.rsplit_once('-').map_or(name.as_str(), |(name, _)| name).to_owned();
    let target = test
        .ancestors()
        .nth(3)
        .context("the test runs outside a target folder")?;
    Ok(target.join("cluster-logs").join(format!("{name}-{index}")))
}
