//! Three masters that share the slots, each with a replica, and a second to find one dead.

use anyhow::{Context, bail};

use super::{Authority, Node, field, obey};
use crate::kit::eventually;

const SLOTS: u16 = 16_384;

/// All six nodes; they end with their owner.
pub struct RedisCluster {
    /// At the start the first three are masters of a third of the slots each, and each of the others the replica of
    /// the master three before it.
    pub nodes: Vec<Node>,
}

impl RedisCluster {
    /// Starts them, joins them and waits until every node calls the cluster sound.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(None).await
    }

    /// The same with TLS, beside clear text, under this authority.
    pub async fn start_tls(authority: &Authority) -> anyhow::Result<Self> {
        Self::start_with(Some(authority)).await
    }

    async fn start_with(authority: Option<&Authority>) -> anyhow::Result<Self> {
        let mut nodes = Vec::new();
        for _ in 0..6 {
            nodes.push(Self::node(authority).await?);
        }
        let cluster = Self { nodes };
        cluster.join(authority.is_some()).await?;
        Ok(cluster)
    }

    async fn node(authority: Option<&Authority>) -> anyhow::Result<Node> {
        // A bus port of its own: the usual one, ten thousand up, may be none.
        let bus = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let lines = [
            "cluster-enabled yes",
            "cluster-node-timeout 1000",
            "cluster-announce-ip 127.0.0.1",
            "repl-diskless-sync-delay 0",
        ];
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        lines.push(format!("cluster-port {bus}"));
        lines.extend(authority.map(|_| "tls-cluster yes".to_owned()));
        lines.extend(authority.map(|_| "tls-replication yes".to_owned()));
        Node::start_as(false, lines, authority).await
    }

    async fn join(&self, is_tls: bool) -> anyhow::Result<()> {
        let (masters, replicas) = self.nodes.split_at(3);
        let bounds = [0, SLOTS / 3, SLOTS / 3 * 2, SLOTS];
        for (index, node) in self.nodes.iter().enumerate() {
            obey(node, &format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1)).await?;
            if index < 3 {
                let (first, last) = (bounds[index], bounds[index + 1] - 1);
                obey(node, &format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await?;
            }
        }
        for node in &self.nodes[1..] {
            let bus = node.command("CONFIG GET cluster-port").await?;
            let bus = bus.lines().nth(4).context("no cluster-port")?;
            let port = if is_tls { node.tls_port() } else { node.port() };
            obey(&self.nodes[0], &format!("CLUSTER MEET 127.0.0.1 {port} {bus}")).await?;
        }
        self.each("all know all", |info| field(info, "cluster_known_nodes") == 6)
            .await?;
        for (master, replica) in masters.iter().zip(replicas) {
            let id = master.command("CLUSTER MYID").await?;
            let id = id.lines().nth(1).context("no id")?;
            obey(replica, &format!("CLUSTER REPLICATE {id}")).await?;
        }
        self.each("the cluster is sound", |info| info.contains("cluster_state:ok"))
            .await?;
        for master in masters {
            eventually("the replica follows", async || {
                let info = master.command("INFO replication").await;
                info.is_ok_and(|info| info.contains("state=online"))
            })
            .await?;
        }
        Ok(())
    }

    async fn each(&self, what: &str, holds: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        for node in &self.nodes {
            eventually(what, async || {
                node.command("CLUSTER INFO").await.is_ok_and(|info| holds(&info))
            })
            .await?;
        }
        Ok(())
    }

    /// `redis+cluster://` with the addresses of two of the nodes: the others are found.
    pub fn url(&self) -> String {
        format!(
            "redis+cluster://{},{}",
            self.nodes[0].address(),
            self.nodes[4].address()
        )
    }

    /// The same with TLS.
    pub fn tls_url(&self) -> String {
        format!(
            "rediss+cluster://{},{}",
            self.nodes[0].tls_address(),
            self.nodes[4].tls_address()
        )
    }

    /// The master that holds a key.
    pub async fn master_of(&self, key: &str) -> anyhow::Result<&Node> {
        for node in &self.nodes {
            let Ok(reply) = node.command(&format!("EXISTS {key}")).await else {
                continue;
            };
            if reply.starts_with(':') {
                return Ok(node);
            }
        }
        bail!("no node holds {key}")
    }

    /// The keys of all masters that answer.
    pub async fn keys(&self) -> anyhow::Result<Vec<String>> {
        let mut keys = Vec::new();
        for node in &self.nodes {
            let role = node.command("ROLE").await.unwrap_or_default();
            if role.lines().any(|line| line == "master") {
                let reply = node.command("KEYS *").await?;
                keys.extend(
                    reply
                        .lines()
                        .filter(|line| line.starts_with("llmcache:"))
                        .map(str::to_owned),
                );
            }
        }
        Ok(keys)
    }
}
