//! Real Redis servers that keep nothing on disk: one, one with TLS and a login, Sentinel, Cluster.

use anyhow::ensure;
use rustix::process::Signal;

mod authority;
mod cluster;
mod node;
mod sentinel;

pub use authority::Authority;
pub use cluster::RedisCluster;
pub use node::Node;
pub use sentinel::{Guards, RedisSentinel};

/// One running server; ends with its owner.
pub struct Redis {
    node: Node,
}

impl Redis {
    /// Starts a server on a free port and waits until it answers.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with further lines of its configuration, such as `maxmemory 2mb`.
    pub async fn start_with(lines: &[&str]) -> anyhow::Result<Self> {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        let node = Node::start(lines).await?;
        Ok(Self { node })
    }

    /// A server that also speaks TLS, on another port, with this authority's certificate.
    pub async fn start_tls(authority: &Authority, lines: &[&str]) -> anyhow::Result<Self> {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        let node = Node::start_as(false, lines, Some(authority)).await?;
        Ok(Self { node })
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.node.address())
    }

    /// `rediss://LOGIN@127.0.0.1:PORT`, the login being `user:password`.
    pub fn tls_url(&self, login: &str) -> String {
        format!("rediss://{login}@127.0.0.1:{}", self.node.tls_port())
    }

    /// Port without TLS.
    pub fn port(&self) -> u16 {
        self.node.port()
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.node.address()
    }

    /// Sends one inline command; gives the raw reply of at most 1 MiB.
    pub async fn command(&self, command: &str) -> anyhow::Result<String> {
        self.node.command(command).await
    }

    /// Sends a signal, such as SIGSTOP to freeze it.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.node.signal(signal)
    }

    /// Kills it and waits for its end.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.node.kill().await
    }

    /// Starts it anew on its port, killing it before where it still runs; what it held is gone.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.node.restart().await
    }
}

/// The integer after a `name:` of an `INFO` or `CLUSTER INFO` reply; 0 without one.
fn field(reply: &str, name: &str) -> u64 {
    let mut lines = reply
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    lines
        .next()
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or_default()
}

/// Fails unless a command was answered with OK.
async fn obey(node: &Node, command: &str) -> anyhow::Result<()> {
    let reply = node.command(command).await?;
    ensure!(reply.starts_with("+OK"), "{command}: {reply}");
    Ok(())
}
