//! `kubectl-llmcache local` as a child process.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::Client;

/// Longest time from start to the ready line; generous, since tests share two cores.
const READY: Duration = Duration::from_mins(1);

/// What a sidecar is started with.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// The policy, YAML.
    pub policy: String,
    /// Base URL of the fake provider, used for both upstreams.
    pub upstream: String,
    /// Further arguments of `local`.
    pub args: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// Bytes of the secret file; none = a random one of its own.
    pub secret: Option<Vec<u8>>,
}

/// A running sidecar; killed by its pid when dropped.
pub struct Sidecar {
    child: Child,
    /// Origin of the proxy, `http://127.0.0.1:PORT`.
    pub proxy: String,
    /// Origin of the admin port.
    pub admin: String,
    folder: TempDir,
    // Held open: a process that finds its output closed may end.
    _stdout: BufReader<ChildStdout>,
}

impl Launch {
    /// A sidecar with this policy in front of this provider.
    pub fn new(policy: impl Into<String>, upstream: impl Into<String>) -> Self {
        Self {
            policy: policy.into(),
            upstream: upstream.into(),
            ..Self::default()
        }
    }

    /// With further arguments.
    #[must_use]
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// Starts it and waits until it says that it serves.
    pub async fn start(self) -> anyhow::Result<Sidecar> {
        let folder = tempfile::tempdir()?;
        let mut child = self.command(folder.path())?.spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("the child has no stdout")?);
        let mut line = String::new();
        let read = timeout(READY, stdout.read_line(&mut line)).await;
        let Some((proxy, admin)) = read.ok().and_then(Result::ok).and_then(|_| ready_line(&line)) else {
            bail!(
                "the sidecar said {line:?} instead of its ready line; its log:\n{}",
                log(folder.path())
            );
        };
        Ok(Sidecar {
            child,
            proxy,
            admin,
            folder,
            _stdout: stdout,
        })
    }

    /// Runs it to its end, which is expected to come by itself; gives its status and its log.
    pub async fn refuse(self) -> anyhow::Result<(ExitStatus, String)> {
        let folder = tempfile::tempdir()?;
        let mut child = self.command(folder.path())?.spawn()?;
        let status = timeout(READY, child.wait())
            .await
            .context("the sidecar did not end")??;
        Ok((status, log(folder.path())))
    }

    fn command(&self, folder: &Path) -> anyhow::Result<Command> {
        let policy = folder.join("policy.yaml");
        std::fs::write(&policy, &self.policy)?;
        let secret = folder.join("secret");
        if let Some(bytes) = &self.secret {
            std::fs::write(&secret, bytes)?;
            std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        }
        let mut command = Command::new(super::binary("kubectl-llmcache")?);
        command
            .arg("local")
            .arg("-f")
            .arg(&policy)
            .arg("--secret-file")
            .arg(&secret);
        for flag in ["--listen", "--admin"] {
            if !self.args.iter().any(|arg| arg == flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        if !self.upstream.is_empty() {
            command.args(["--anthropic-upstream", &self.upstream]);
            command.args(["--openai-upstream", &format!("{}/v1", self.upstream)]);
        }
        // A proxy of whoever runs the tests is not part of them.
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log"))?)
            .kill_on_drop(true);
        Ok(command)
    }
}

impl Sidecar {
    /// A client of the proxy.
    pub fn client(&self) -> Client {
        Client::new(&self.proxy)
    }

    /// A client of the admin port.
    pub fn admin(&self) -> Client {
        Client::new(&self.admin)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        log(self.folder.path())
    }

    /// Process id.
    pub fn pid(&self) -> Option<Pid> {
        self.child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(self.pid().context("the sidecar has ended")?, signal).context("cannot signal the sidecar")
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        timeout(READY, self.child.wait())
            .await
            .context("the sidecar did not end")?
            .context("cannot wait")
    }
}

/// `llmcache ready proxy=http://… admin=http://…` → both origins.
pub(super) fn ready_line(line: &str) -> Option<(String, String)> {
    let mut words = line.strip_prefix("llmcache ready ")?.split_whitespace();
    let proxy = words.next()?.strip_prefix("proxy=")?;
    let admin = words.next()?.strip_prefix("admin=")?;
    Some((proxy.to_owned(), admin.to_owned()))
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}
