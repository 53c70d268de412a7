//! The binary under test as a child process: started, heard to be ready, ended by its own id.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Longest time from start to the ready line.
const READY: Duration = Duration::from_secs(30);
/// Longest time a drain may take before the process is killed.
const DRAIN: Duration = Duration::from_secs(15);

/// A free port of this machine alone.
const ANY_PORT: &str = "127.0.0.1:0";

/// What the sidecar is started with.
pub(crate) struct Launch<'a> {
    /// `kubectl-llmcache`.
    pub(crate) binary: &'a Path,
    /// The policy file.
    pub(crate) policy: &'a Path,
    /// Origin of the Anthropic upstream.
    pub(crate) anthropic: &'a str,
    /// Base URL of the OpenAI upstream, version path included.
    pub(crate) openai: &'a str,
    /// On the ports that the documentation names, where they are free; else on any.
    pub(crate) is_at_usual_ports: bool,
}

/// A running `kubectl-llmcache local`.
pub(crate) struct Sidecar {
    child: Child,
    /// Origin of the proxy.
    pub(crate) proxy: String,
    /// Origin of `/livez`, `/readyz` and `/metrics`.
    pub(crate) admin: String,
    // Holds the secret and the log for as long as the process lives.
    folder: TempDir,
    // Held open: a process that finds its output closed may end.
    _stdout: BufReader<ChildStdout>,
}

impl Sidecar {
    /// Starts the binary and returns once it says that it serves.
    pub(crate) async fn start(launch: Launch<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let log = File::create(log_path(folder.path()))?;
        let (listen, admin) = if launch.is_at_usual_ports {
            let (proxy, admin) = (llmcache_policy::names::PROXY_PORT, llmcache_policy::names::ADMIN_PORT);
            (free_or_any(proxy).await, free_or_any(admin).await)
        } else {
            (ANY_PORT.to_owned(), ANY_PORT.to_owned())
        };
        let mut child = Command::new(launch.binary)
            .arg("local")
            .arg("-f")
            .arg(launch.policy)
            .args(["--listen", &listen, "--admin", &admin])
            .args([
                "--anthropic-upstream",
                launch.anthropic,
                "--openai-upstream",
                launch.openai,
            ])
            .arg("--secret-file")
            .arg(folder.path().join("secret"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C in a terminal goes to a whole group: the sidecar is ended by us, once, after the last word.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", launch.binary.display()))?;
        let mut stdout = BufReader::new(child.stdout.take().context("the child has no stdout")?);
        let mut line = String::new();
        let read = timeout(READY, stdout.read_line(&mut line)).await;
        let Some((proxy, admin)) = read.ok().and_then(Result::ok).and_then(|_| ready_line(&line)) else {
            bail!(
                "{} said {line:?} instead of its ready line; its log:\n{}",
                launch.binary.display(),
                tail(folder.path())
            );
        };
        Ok(Self {
            child,
            proxy,
            admin,
            folder,
            _stdout: stdout,
        })
    }

    /// Resolves when the process ends by itself, with the end of its log.
    pub(crate) async fn ended(&mut self) -> String {
        let status = self
            .child
            .wait()
            .await
            .map_or_else(|error| error.to_string(), |status| status.to_string());
        format!("{status}\n{}", tail(self.folder.path()))
    }

    /// Asks the process to drain and waits; kills it only when it does not end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let Some(pid) = pid else { return Ok(()) };
        kill_process(pid, Signal::TERM).context("cannot end the sidecar")?;
        if timeout(DRAIN, self.child.wait()).await.is_err() {
            self.child.kill().await?;
            bail!("the sidecar did not drain within {DRAIN:?}");
        }
        Ok(())
    }
}

/// `kubectl-llmcache` beside the running program.
pub(crate) fn sibling_binary() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("kubectl-llmcache");
    ensure!(
        path.exists(),
        "{} is missing: build it with `cargo build -p llmcache-cli`, or name it with --binary",
        path.display()
    );
    Ok(path)
}

/// The loopback address with this port, or with port 0 when it is taken.
async fn free_or_any(port: u16) -> String {
    if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
        return format!("127.0.0.1:{port}");
    }
    super::say(&format!("port {port} is taken, using a free one"));
    ANY_PORT.to_owned()
}

/// `llmcache ready proxy=http://… admin=http://…` → both origins.
fn ready_line(line: &str) -> Option<(String, String)> {
    let mut words = line.strip_prefix("llmcache ready ")?.split_whitespace();
    let proxy = words.next()?.strip_prefix("proxy=")?;
    let admin = words.next()?.strip_prefix("admin=")?;
    Some((proxy.to_owned(), admin.to_owned()))
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("sidecar.log")
}

/// The last lines of the log.
fn tail(folder: &Path) -> String {
    let text = std::fs::read_to_string(log_path(folder)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::ready_line;

    #[test]
    fn ready_line_gives_both_origins_and_nothing_else_is_one() {
        let line = "llmcache ready proxy=http://127.0.0.1:15480 admin=http://127.0.0.1:15490\n";
        let expected = ("http://127.0.0.1:15480".to_owned(), "http://127.0.0.1:15490".to_owned());
        assert_eq!(ready_line(line), Some(expected));
        assert_eq!(ready_line("llmcache ready admin=x proxy=y"), None);
        assert_eq!(ready_line(""), None);
    }
}
