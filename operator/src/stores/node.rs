//! Connections to the servers of a Redis, one at a time and for a moment: a user has to be made on each of them.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue as _, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, TlsCertificates, Value, from_redis_value_ref,
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
        match slots(admin, seed).await {
            Ok(slots) => {
                let nodes = servers(&slots, seed);
                if !nodes.is_empty() {
                    return Ok(nodes);
                }
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn slots(admin: &Admin, seed: &Address) -> Result<Value, Unreachable> {
    let mut connection = connect(admin, seed).await?;
    let mut slots = redis::cmd("CLUSTER");
    Ok(slots.arg("SLOTS").query_async(&mut connection).await?)
}

/// The masters and replicas that a `CLUSTER SLOTS` answer names; one named without a host is the one that answered.
fn servers(slots: &Value, answered: &Address) -> Vec<Address> {
    let ranges: Vec<Vec<Value>> = from_redis_value_ref(slots).unwrap_or_default();
    let mut servers = Vec::new();
    for node in ranges.iter().flat_map(|range| range.iter().skip(2)) {
        let Ok(parts) = from_redis_value_ref::<Vec<Value>>(node) else {
            continue;
        };
        let [host, port, ..] = parts.as_slice() else { continue };
        let (host, port) = (String::from_redis_value_ref(host), u16::from_redis_value_ref(port));
        let Ok(port) = port else { continue };
        let host = host.ok().filter(|host| !matches!(host.as_str(), "" | "?"));
        let server = (host.unwrap_or_else(|| answered.0.clone()), port);
        if servers.len() < MAX_NODES && !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

fn split(address: &str) -> Result<Address, Unreachable> {
    let parts = address.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.ok_or_else(|| Unreachable::Address(address.to_owned()))?;
    Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
}
