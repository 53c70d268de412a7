//! `llmcache`, the program of a sidecar's container, as a child process with a pod's environment.

use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Call, Client, binary, eventually};

const PATIENCE: Duration = Duration::from_mins(1);

/// Folder of a pod's volumes; outlives the processes in it.
pub struct Volumes(TempDir);

/// A running sidecar; killed by its pid when dropped.
pub struct Pod {
    child: Child,
    ready: watch::Receiver<Vec<(String, String)>>,
    /// Its volumes.
    pub volumes: Volumes,
}

impl Volumes {
    /// Empty ones with this token.
    pub fn new(token: &str) -> anyhow::Result<Self> {
        let volumes = Self(tempfile::tempdir()?);
        std::fs::create_dir(volumes.state())?;
        volumes.set_token(token)?;
        Ok(volumes)
    }

    /// The folder of the last-good policy.
    pub fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    /// Puts another token in place.
    pub fn set_token(&self, token: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.token(), token)?)
    }

    /// The file of the token.
    pub fn token(&self) -> PathBuf {
        self.0.path().join("token")
    }

    /// A pod's command with these volumes and nothing else of the environment of whoever runs the tests.
    pub fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Command> {
        let mut command = Command::new(binary("llmcache")?);
        command
            .args(arguments)
            .env_clear()
            .env("LLMCACHE_PROXY_PORT", "0")
            .env("LLMCACHE_ADMIN_PORT", "0")
            .env("LLMCACHE_STATE_DIR", self.state())
            .env("LLMCACHE_TOKEN_FILE", self.token())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }
}

impl Pod {
    /// Starts a supervised proxy.
    pub fn start(volumes: Volumes, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = volumes.command(&[], environment)?;
        let log = File::create(volumes.0.path().join("log"))?;
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = child.stdout.take().context("the child has no stdout")?;
        let (told, ready) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(origins) = super::sidecar::ready_line(&line) {
                    told.send_modify(|known: &mut Vec<_>| known.push(origins));
                }
            }
        });
        Ok(Self { child, ready, volumes })
    }

    /// Waits until its proxies have said so often that they serve.
    pub async fn ready(&self, times: usize) -> anyhow::Result<()> {
        let mut ready = self.ready.clone();
        let waiting = ready.wait_for(|known| known.len() >= times);
        let is_ready = matches!(timeout(PATIENCE, waiting).await, Ok(Ok(_)));
        ensure!(is_ready, "the sidecar is not ready; its log:\n{}", self.log());
        Ok(())
    }

    /// A client of the latest proxy.
    pub fn client(&self) -> Client {
        Client::new(&self.origins().0)
    }

    /// A client of the latest admin port.
    pub fn admin(&self) -> Client {
        Client::new(&self.origins().1)
    }

    /// Origins of the latest proxy and of its admin port.
    pub fn origins(&self) -> (String, String) {
        self.ready.borrow().last().cloned().unwrap_or_default()
    }

    /// A page of the admin port.
    pub async fn page(&self, path: &str) -> anyhow::Result<String> {
        Ok(self.admin().send(&Call::get(path)).await?.text())
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.volumes.0.path().join("log")).unwrap_or_default()
    }

    /// Sends a signal to process 1.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        kill_process(pid.context("the supervisor has ended")?, signal).context("cannot signal the supervisor")
    }

    /// Sends a signal to the proxy alone.
    pub fn signal_proxy(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(self.proxy()?, signal).context("cannot signal the proxy")
    }

    /// The process of the proxy.
    pub fn proxy(&self) -> anyhow::Result<Pid> {
        let id = self.child.id().context("the supervisor has ended")?;
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let first = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        first.and_then(Pid::from_raw).context("there is no proxy")
    }

    /// Waits for the supervisor's end.
    pub async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.context("the supervisor did not end")?.context("cannot wait")
    }

    /// Kills everything of the pod but its volumes.
    pub async fn kill(mut self) -> anyhow::Result<Volumes> {
        self.child.kill().await?;
        let origin = self.origins().0;
        if !origin.is_empty() {
            eventually("the proxy ends with its supervisor", async || {
                Client::new(&origin).send(&Call::get("/")).await.is_err()
            })
            .await?;
        }
        Ok(self.volumes)
    }
}
