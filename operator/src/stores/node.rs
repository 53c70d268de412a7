//! Connections to the servers of a Redis, one at a time and for a moment: a user has to be made on each of them.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisError,
    TlsCertificates,
};

use super::Admin;
use crate::settings::Mode;

/// How long reaching a server, and each answer of it, may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Most servers of one Redis.
const MAX_NODES: usize = 256;

/// Why the servers of a Redis cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The server, or the way to it.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// A malformed address.
    #[error("the address {0:?} is not host:port")]
    Address(String),
    /// No Sentinel knows the master.
    #[error("no sentinel names the master {0}")]
    NoMaster(String),
    /// No server of a Cluster answers.
    #[error("the cluster names no server")]
    NoServer,
}

/// Host and port.
pub(super) type Address = (String, u16);

/// Every server that is to know the users: the server, the master and its replicas, or all of a Cluster.
pub(super) async fn all(admin: &Admin) -> Result<Vec<Address>, Unreachable> {
    let seeds = admin.addresses.iter().map(|address| split(address));
    let seeds = seeds.collect::<Result<Vec<_>, _>>()?;
    match admin.mode {
        Mode::Single => Ok(seeds),
        Mode::Sentinel => watched(admin, &seeds).await,
        Mode::Cluster => clustered(admin, &seeds).await,
    }
}

/// A connection that is logged in.
pub(super) async fn connect(admin: &Admin, address: &Address) -> Result<MultiplexedConnection, Unreachable> {
    open(admin, address, true).await
}

async fn open(admin: &Admin, address: &Address, is_login: bool) -> Result<MultiplexedConnection, Unreachable> {
    let (host, port) = address.clone();
    let address = if admin.is_tls {
        // An error means that one is installed already: fine, ring or not.
        let _ = rustls::crypto::ring::default_provider().install_default();
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut settings = RedisConnectionInfo::default();
    if let Some(password) = admin.password.as_ref().filter(|_| is_login) {
        settings = settings.set_password(password.as_str());
        if let Some(user) = &admin.user {
            settings = settings.set_username(user);
        }
    }
    let info = address.into_connection_info()?.set_redis_settings(settings);
    let client = match &admin.ca {
        Some(ca) if admin.is_tls => Client::build_with_tls(
            info,
            TlsCertificates {
                client_tls: None,
                root_cert: Some(ca.clone()),
            },
        )?,
        _ => Client::open(info)?,
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

/// The master that the first answering Sentinel names, and its replicas: users are not replicated, and any of them may
/// be master next.
async fn watched(admin: &Admin, sentinels: &[Address]) -> Result<Vec<Address>, Unreachable> {
    let name = admin.master.clone().unwrap_or_default();
    let mut last = Unreachable::NoMaster(name.clone());
    for sentinel in sentinels {
        match ask_sentinel(admin, sentinel, &name).await {
            Ok(nodes) if !nodes.is_empty() => return Ok(nodes),
            Ok(_) => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask_sentinel(admin: &Admin, sentinel: &Address, name: &str) -> Result<Vec<Address>, Unreachable> {
    // Most Sentinels have no login; those that have one take the servers' own.
    let mut connection = open(admin, sentinel, false).await?;
    let master = sentinel_command("GET-MASTER-ADDR-BY-NAME", name);
    let found = match master.query_async(&mut connection).await {
        Err(error) if error.code() == Some("NOAUTH") => {
            connection = open(admin, sentinel, true).await?;
            master.query_async(&mut connection).await
        }
        found => found,
    };
    let found: Option<Address> = found?;
    let Some(found) = found else { return Ok(Vec::new()) };
    let replicas = sentinel_command("REPLICAS", name);
    let replicas: Vec<HashMap<String, String>> = replicas.query_async(&mut connection).await?;
    let replicas = replicas.iter().filter_map(|replica| {
        let flags = replica.get("flags").map_or("", String::as_str);
        let is_there = !flags.contains("down") && !flags.contains("disconnected");
        let port = replica.get("port")?.parse().ok()?;
        is_there.then(|| replica.get("ip").map(|ip| (ip.clone(), port)))?
    });
    Ok([found].into_iter().chain(replicas).take(MAX_NODES).collect())
}

fn sentinel_command(word: &str, name: &str) -> Cmd {
    let mut command = redis::cmd("SENTINEL");
    command.arg(word).arg(name);
    command
}

/// Every server that the first answering one names.
async fn clustered(admin: &Admin, seeds: &[Address]) -> Result<Vec<Address>, Unreachable> {
    let mut last = Unreachable::NoServer;
    for seed in seeds {
        match nodes(admin, seed).await {
            Ok(nodes) => {
                let nodes = servers(&nodes, seed, admin.is_tls);
                if !nodes.is_empty() {
                    return Ok(nodes);
                }
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Not `CLUSTER SLOTS`, which leaves out replicas that have received nothing yet.
async fn nodes(admin: &Admin, seed: &Address) -> Result<String, Unreachable> {
    let mut connection = connect(admin, seed).await?;
    let mut nodes = redis::cmd("CLUSTER");
    Ok(nodes.arg("NODES").query_async(&mut connection).await?)
}

/// The servers that a `CLUSTER NODES` answer names, but for those that are known to have failed; certificates name hosts,
/// so that with TLS a host's name wins over its address.
fn servers(nodes: &str, answered: &Address, is_tls: bool) -> Vec<Address> {
    let servers = nodes.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (address, flags) = (words.next()?, words.next()?);
        let is_away = flags
            .split(',')
            .any(|flag| matches!(flag, "fail" | "handshake" | "noaddr"));
        let (address, rest) = address.split_once('@')?;
        let (ip, port) = address.rsplit_once(':')?;
        let name = rest
            .split(',')
            .nth(1)
            .filter(|name| is_tls && !name.is_empty() && !name.contains('='));
        // One that does not know its own address is the one that answered.
        let host = name.or(Some(ip)).filter(|host| !host.is_empty()).unwrap_or(&answered.0);
        (!is_away).then_some((host.to_owned(), port.parse().ok()?))
    });
    servers.take(MAX_NODES).collect()
}

fn split(address: &str) -> Result<Address, Unreachable> {
    let parts = address.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.ok_or_else(|| Unreachable::Address(address.to_owned()))?;
    Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_living_server_of_a_cluster_is_named() {
        let nodes = "a 10.0.0.1:6379@16379,one.example,shard-id=x master - 0 0 1 connected 0-100\n\
                     b :6380@16380 myself,slave a 0 0 1 connected\n\
                     c 10.0.0.3:6379@16379,,shard-id=x slave,fail a 0 0 1 connected\n\
                     d 10.0.0.4:6379@16379,shard-id=x slave,fail? a 0 0 1 connected\n\
                     e :0@0 master,noaddr - 0 0 1 disconnected\n\
                     f ::1:7@8 master - 0 0 1 connected\n";
        let answered = ("seed".to_owned(), 1);
        let hosts = |is_tls| {
            let servers = servers(nodes, &answered, is_tls).into_iter();
            servers.map(|(host, port)| format!("{host} {port}")).collect::<Vec<_>>()
        };
        assert_eq!(hosts(false), ["10.0.0.1 6379", "seed 6380", "10.0.0.4 6379", "::1 7"]);
        assert_eq!(hosts(true)[0], "one.example 6379");
    }

    #[test]
    fn an_address_is_host_and_port() {
        for (text, expected) in [
            ("a.b:1", Some(("a.b", 1))),
            ("[::1]:2", Some(("::1", 2))),
            ("a.b", None),
            ("a:x", None),
        ] {
            let read = split(text).ok();
            assert_eq!(read, expected.map(|(host, port)| (host.to_owned(), port)));
        }
    }
}
