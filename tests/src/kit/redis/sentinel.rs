//! One master, two replicas and three sentinels that take a second to find the master dead.

use anyhow::Context;

use super::{Authority, Node, field};
use crate::kit::eventually;

const NAME: &str = "cache";

/// All six processes; they end with their owner.
pub struct RedisSentinel {
    /// Servers; the first was the master at the start.
    pub servers: Vec<Node>,
    /// Sentinels.
    pub sentinels: Vec<Node>,
}

/// What guards a group.
#[derive(Clone, Copy, Default)]
pub struct Guards<'a> {
    /// Password of the servers.
    pub password: Option<&'a str>,
    /// Password of the sentinels.
    pub sentinel_password: Option<&'a str>,
    /// TLS, beside clear text, everywhere.
    pub authority: Option<&'a Authority>,
}

impl RedisSentinel {
    /// Starts them and waits until every sentinel knows everybody.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Guards::default()).await
    }

    /// The same under guards.
    pub async fn start_with(guards: Guards<'_>) -> anyhow::Result<Self> {
        let master = guards.server(None).await?;
        let port = guards.port(&master);
        let mut servers = vec![master];
        for _ in 0..2 {
            servers.push(guards.server(Some(port)).await?);
        }
        eventually("the replicas follow", async || {
            let info = servers[0].command("INFO replication").await;
            info.is_ok_and(|info| field(&info, "connected_slaves") == 2 && info.matches("state=online").count() == 2)
        })
        .await?;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(guards.sentinel(port).await?);
        }
        for sentinel in &sentinels {
            eventually("a sentinel knows everybody", async || {
                let info = sentinel.command("INFO sentinel").await;
                info.is_ok_and(|info| info.contains("slaves=2,sentinels=3"))
            })
            .await?;
        }
        Ok(Self { servers, sentinels })
    }

    /// `127.0.0.1:PORT,…/cache` of the sentinels without TLS.
    pub fn address(&self) -> String {
        let addresses: Vec<String> = self.sentinels.iter().map(Node::address).collect();
        format!("{}/{NAME}", addresses.join(","))
    }

    /// The same with TLS.
    pub fn tls_address(&self) -> String {
        let addresses: Vec<String> = self.sentinels.iter().map(Node::tls_address).collect();
        format!("{}/{NAME}", addresses.join(","))
    }

    /// `redis+sentinel://…/cache`.
    pub fn url(&self) -> String {
        format!("redis+sentinel://{}", self.address())
    }

    /// The server that most sentinels name the master.
    pub async fn master(&self) -> anyhow::Result<&Node> {
        let mut named = vec![0; self.servers.len()];
        for sentinel in &self.sentinels {
            let command = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}");
            let reply = sentinel.command(&command).await.unwrap_or_default();
            for (server, count) in self.servers.iter().zip(&mut named) {
                *count += usize::from(reply.lines().any(|line| line == server.port().to_string()));
            }
        }
        let most = named.iter().position(|count| *count * 2 > self.sentinels.len());
        most.map(|index| &self.servers[index]).context("the sentinels disagree")
    }
}

impl Guards<'_> {
    async fn server(&self, master: Option<u16>) -> anyhow::Result<Node> {
        let mut lines = vec!["repl-diskless-sync-delay 0".to_owned()];
        lines.extend(master.map(|port| format!("replicaof 127.0.0.1 {port}")));
        if let Some(password) = self.password {
            lines.extend(["requirepass", "masterauth"].map(|word| format!("{word} {password}")));
        }
        lines.extend(self.authority.map(|_| "tls-replication yes".to_owned()));
        Node::start_as(false, lines, self.authority).await
    }

    async fn sentinel(&self, port: u16) -> anyhow::Result<Node> {
        let mut lines = vec![
            format!("sentinel monitor {NAME} 127.0.0.1 {port} 2"),
            format!("sentinel down-after-milliseconds {NAME} 1000"),
            format!("sentinel failover-timeout {NAME} 3000"),
        ];
        lines.extend(
            self.password
                .map(|password| format!("sentinel auth-pass {NAME} {password}")),
        );
        if let Some(password) = self.sentinel_password {
            lines.extend(["requirepass", "sentinel sentinel-pass"].map(|word| format!("{word} {password}")));
        }
        lines.extend(self.authority.map(|_| "tls-replication yes".to_owned()));
        Node::start_as(true, lines, self.authority).await
    }

    fn port(&self, node: &Node) -> u16 {
        self.authority.map_or_else(|| node.port(), |_| node.tls_port())
    }
}
