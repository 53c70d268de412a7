//! One `redis-server` process: a server, a replica, a cluster's node or a sentinel.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::Authority;
use crate::kit::eventually;

const FIRST_PORT: u32 = 10_000;
const PORTS: u32 = 10_000;
/// Ports tried: between the look at one and its use, tests of another process may take it.
const TRIES: usize = 5;

/// A process on a free loopback port, its folder and its configuration; killed by its pid when dropped.
pub struct Node {
    child: Mutex<Option<Child>>,
    port: u16,
    tls_port: u16,
    folder: TempDir,
    is_sentinel: bool,
    password: Option<String>,
}

impl Node {
    /// Starts a server with these lines of configuration and waits until it answers.
    pub async fn start(lines: Vec<String>) -> anyhow::Result<Self> {
        Self::new(lines, false, None).await
    }

    /// The same, or a sentinel, that speaks TLS on [`Self::tls_port`] too where there is an authority.
    pub async fn start_as(
        is_sentinel: bool,
        lines: Vec<String>,
        authority: Option<&Authority>,
    ) -> anyhow::Result<Self> {
        Self::new(lines, is_sentinel, authority).await
    }

    async fn new(lines: Vec<String>, is_sentinel: bool, authority: Option<&Authority>) -> anyhow::Result<Self> {
        for _ in 1..TRIES {
            if let Ok(node) = Self::on_a_port(lines.clone(), is_sentinel, authority).await {
                return Ok(node);
            }
        }
        Self::on_a_port(lines, is_sentinel, authority).await
    }

    async fn on_a_port(
        mut lines: Vec<String>,
        is_sentinel: bool,
        authority: Option<&Authority>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, tls_port) = (free_port()?, free_port()?);
        lines.push(format!("port {port}"));
        lines.push("bind 127.0.0.1".to_owned());
        lines.push(format!("dir {}", folder.path().display()));
        if !is_sentinel {
            lines.extend(["save \"\"".to_owned(), "appendonly no".to_owned()]);
        }
        if let Some(authority) = authority {
            authority.write(folder.path())?;
            lines.push(format!("tls-port {tls_port}"));
            for (word, file) in [("cert", "server.pem"), ("key", "server.key"), ("ca-cert", "ca.pem")] {
                lines.push(format!("tls-{word}-file {}", folder.path().join(file).display()));
            }
            lines.push("tls-auth-clients no".to_owned());
        }
        let password = lines.iter().find_map(|line| line.strip_prefix("requirepass "));
        let password = password.map(str::to_owned);
        std::fs::write(folder.path().join("redis.conf"), lines.join("\n"))?;
        let node = Self {
            child: Mutex::default(),
            port,
            tls_port,
            folder,
            is_sentinel,
            password,
        };
        node.run().await?;
        Ok(node)
    }

    /// Starts the process anew, killing it before where it still runs; what it held is gone.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.kill().await?;
        self.run().await
    }

    /// Starts the process and waits until it answers.
    async fn run(&self) -> anyhow::Result<()> {
        let child = Command::new("redis-server")
            .arg(self.folder.path().join("redis.conf"))
            .args(self.is_sentinel.then_some("--sentinel"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start redis-server; is it installed?")?;
        *self.child.lock() = Some(child);
        let mut has_ended = false;
        eventually("redis-server answers", async || {
            has_ended = self.has_ended();
            has_ended || self.answers().await
        })
        .await?;
        ensure!(!has_ended, "redis-server ended as it started");
        Ok(())
    }

    fn has_ended(&self) -> bool {
        let mut child = self.child.lock();
        child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Whether this very process answers: another one on the port would until this one has seen it and ended.
    async fn answers(&self) -> bool {
        let own = self.child.lock().as_ref().and_then(Child::id).unwrap_or_default();
        let reply = self.command("INFO server").await.unwrap_or_default();
        // Where its default user is off it asks for a login, which is an answer too.
        reply.starts_with("-NOAUTH") || reply.lines().any(|line| line == format!("process_id:{own}"))
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `127.0.0.1:PORT` with TLS.
    pub fn tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.tls_port)
    }

    /// Port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Port with TLS, of a node started with an authority.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// Sends one inline command, after the password of its `requirepass`; gives the raw reply of at most 1 MiB.
    pub async fn command(&self, command: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        // A sentinel knows no QUIT, but answers before it sees the end; a server might cut a long answer there.
        let end = if self.is_sentinel { "\r\n" } else { "\r\nQUIT\r\n" };
        let login = self.password.as_ref().map(|password| format!("AUTH {password}\r\n"));
        let login = login.unwrap_or_default();
        stream.write_all(format!("{login}{command}{end}").as_bytes()).await?;
        if self.is_sentinel {
            stream.shutdown().await?;
        }
        let mut reply = Vec::new();
        stream.take(1 << 20).read_to_end(&mut reply).await?;
        let reply = String::from_utf8_lossy(&reply);
        Ok(match &self.password {
            Some(_) => reply.strip_prefix("+OK\r\n").unwrap_or(&reply).to_owned(),
            None => reply.into_owned(),
        })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.child.lock().as_ref().and_then(Child::id);
        let Some(pid) = id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else {
            bail!("redis-server has ended");
        };
        kill_process(pid, signal).context("cannot signal redis-server")
    }

    /// Kills it, where it runs, and waits for its end.
    pub async fn kill(&self) -> anyhow::Result<()> {
        let child = self.child.lock().take();
        if let Some(mut child) = child {
            child.kill().await?;
            ensure!(child.id().is_none(), "redis-server did not end");
        }
        Ok(())
    }
}

/// A port that nobody listens on, below those that the system gives to outgoing connections: one of those may be taken
/// again before the server binds it. A cluster's node uses the port 10 000 above it too.
fn free_port() -> anyhow::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(61);
    (0..PORTS)
        .map(|_| first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS + FIRST_PORT)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no port is free")
}
