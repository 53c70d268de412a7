//! One master, two replicas and three sentinels that take a second to find the master dead.

use anyhow::Context;

use super::{Node, field};
use crate::kit::eventually;

const NAME: &str = "cache";

/// All six processes; they end with their owner.
pub struct RedisSentinel {
    /// Servers; the first was the master at the start.
    pub servers: Vec<Node>,
    /// Sentinels.
    pub sentinels: Vec<Node>,
}

impl RedisSentinel {
    /// Starts them and waits until every sentinel knows everybody.
    pub async fn start() -> anyhow::Result<Self> {
        let master = Node::start(vec!["repl-diskless-sync-delay 0".into()]).await?;
        let port = master.port();
        let mut servers = vec![master];
        for _ in 0..2 {
            let lines = vec![
                format!("replicaof 127.0.0.1 {port}"),
                "repl-diskless-sync-delay 0".into(),
            ];
            servers.push(Node::start(lines).await?);
        }
        eventually("the replicas follow", async || {
            let info = servers[0].command("INFO replication").await;
            info.is_ok_and(|info| field(&info, "connected_slaves") == 2 && info.matches("state=online").count() == 2)
        })
        .await?;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let lines = [
                format!("monitor {NAME} 127.0.0.1 {port} 2"),
                format!("down-after-milliseconds {NAME} 1000"),
                format!("failover-timeout {NAME} 3000"),
            ];
            let lines = lines.iter().map(|line| format!("sentinel {line}")).collect();
            sentinels.push(Node::start_sentinel(lines).await?);
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

    /// `redis+sentinel://…/cache`.
    pub fn url(&self) -> String {
        let addresses: Vec<String> = self.sentinels.iter().map(Node::address).collect();
        format!("redis+sentinel://{}/{NAME}", addresses.join(","))
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
