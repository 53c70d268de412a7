//! How each mode of a store is reached: one server, the master that sentinels name, or every master of a cluster.
//!
//! A store that answers is not enough: writes must be possible, and reads must be of masters, since a replica that lags
//! would miss a ban.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, FromRedisValue as _, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode, Value, from_redis_value_ref,
};
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::server::{Address, Login, Mode, Server};

mod sentinels;

use sentinels::Sentinels;

/// How long reaching one node and its first answer may take.
const NODE_TIMEOUT: Duration = Duration::from_millis(800);
/// The same for a whole cluster, whose dead nodes are waited for one `NODE_TIMEOUT` at most.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the sentinels are asked whether the master is still the same.
const WATCH: Duration = Duration::from_secs(1);

/// Two, so that what a request waits for never waits behind a large write, or behind a ban that waits for a replica.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) reader: Connection,
    pub(super) writer: Connection,
}

/// Why a store cannot be used now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("no answer in time")]
    Silent,
    #[error("no sentinel answers: {0}")]
    NoSentinel(String),
    #[error("the sentinels know no master of that name")]
    NoMaster,
    #[error("{0} is a replica, not the master")]
    Replica(Address),
}

/// The one who connects to a store.
#[derive(Debug)]
pub(super) struct Dialer {
    server: Server,
    sentinels: Option<Sentinels>,
    master: Option<Address>,
}

impl Dialer {
    pub(super) fn new(server: &Server) -> Self {
        if server.is_tls {
            // An error means that one is installed already: fine, ring or not.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let sentinels = match &server.mode {
            Mode::Sentinel { master } => Some(Sentinels::new(server, master)),
            Mode::Single | Mode::Cluster => None,
        };
        Self {
            server: server.clone(),
            sentinels,
            master: None,
        }
    }

    /// Connects and hears from every node that counts.
    pub(super) async fn connect(&mut self) -> Result<Connections, Unreachable> {
        let pair = |reader, writer| Connections { reader, writer };
        if let Some(sentinels) = &mut self.sentinels {
            let master = sentinels.master().await?;
            let (reader, writer) = tokio::try_join!(self.master(&master), self.master(&master))?;
            self.master = Some(master);
            return Ok(pair(Connection::Node(reader), Connection::Node(writer)));
        }
        if self.server.mode == Mode::Cluster {
            let (reader, writer) = tokio::try_join!(self.cluster(), self.cluster())?;
            return Ok(pair(Connection::Cluster(reader), Connection::Cluster(writer)));
        }
        let (reader, writer) = tokio::try_join!(self.single(), self.single())?;
        Ok(pair(Connection::Node(reader), Connection::Node(writer)))
    }

    /// Returns when the sentinels name another master than the one connected to; else never.
    pub(super) async fn moved(&mut self) {
        let Some(sentinels) = &mut self.sentinels else {
            return std::future::pending().await;
        };
        loop {
            sleep(WATCH).await;
            // Silent sentinels say nothing about the master.
            if let Ok(master) = sentinels.master().await
                && self.master.as_ref() != Some(&master)
            {
                return;
            }
        }
    }

    async fn single(&self) -> Result<MultiplexedConnection, Unreachable> {
        in_time(NODE_TIMEOUT, async {
            let mut connection = self.node(&self.server.addresses[0]).await?;
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            Ok(connection)
        })
        .await
    }

    async fn master(&self, address: &Address) -> Result<MultiplexedConnection, Unreachable> {
        in_time(NODE_TIMEOUT, async {
            let mut connection = self.node(address).await?;
            // Not ROLE: a login needs no permission for HELLO, which says the role too.
            let hello: HashMap<String, Value> = redis::cmd("HELLO").query_async(&mut connection).await?;
            match hello.get("role").map(String::from_redis_value_ref) {
                Some(Ok(role)) if role == "master" => Ok(connection),
                _ => Err(Unreachable::Replica(address.clone())),
            }
        })
        .await
    }

    async fn node(&self, address: &Address) -> RedisResult<MultiplexedConnection> {
        connect(&self.server, address, self.server.login.as_ref(), self.server.database).await
    }

    async fn cluster(&self) -> Result<ClusterConnection, Unreachable> {
        in_time(CLUSTER_TIMEOUT, async {
            let mut connection = cluster_client(&self.server)?.get_async_connection().await?;
            let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
            let mut slots = redis::cmd("CLUSTER");
            slots.arg("SLOTS");
            let slots = connection.route_command(slots, any).await?;
            // All of them, as the store itself wants by default: a master that is away would cost request after request
            // the whole budget.
            for Address { host, port } in masters(&slots) {
                let master = RoutingInfo::SingleNode(SingleNodeRoutingInfo::ByAddress { host, port });
                connection.route_command(redis::cmd("PING"), master).await?;
            }
            Ok(connection)
        })
        .await
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connections")
    }
}

/// The masters that a `CLUSTER SLOTS` answer names; one named without a host is the node that answered.
fn masters(slots: &Value) -> Vec<Address> {
    let Ok(ranges) = from_redis_value_ref::<Vec<Vec<Value>>>(slots) else {
        return Vec::new();
    };
    let mut masters = Vec::new();
    for range in ranges {
        let master = range.get(2).map(from_redis_value_ref::<Vec<Value>>);
        let Some(Ok([host, port, ..])) = master.as_ref().map(|master| master.as_deref()) else {
            continue;
        };
        if let (Ok(host), Ok(port)) = (from_redis_value_ref::<String>(host), from_redis_value_ref(port)) {
            let master = Address { host, port };
            if !matches!(master.host.as_str(), "" | "?") && !masters.contains(&master) {
                masters.push(master);
            }
        }
    }
    masters
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T, Unreachable>>) -> Result<T, Unreachable> {
    timeout(limit, work).await.unwrap_or(Err(Unreachable::Silent))
}

async fn connect(
    server: &Server,
    address: &Address,
    login: Option<&Login>,
    database: u32,
) -> RedisResult<MultiplexedConnection> {
    let info = info(server, address, login, database)?;
    let client = match &server.ca {
        Some(ca) => Client::build_with_tls(info, certificates(ca))?,
        None => Client::open(info)?,
    };
    // The callers bound each call themselves.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn cluster_client(server: &Server) -> RedisResult<ClusterClient> {
    let nodes = server.addresses.iter();
    let nodes = nodes.map(|address| info(server, address, server.login.as_ref(), 0));
    let mut client = ClusterClientBuilder::new(nodes.collect::<RedisResult<Vec<_>>>()?)
        .tcp_settings(tcp())
        .connection_timeout(NODE_TIMEOUT / 2)
        .response_timeout(NODE_TIMEOUT)
        .overall_response_timeout(None)
        // Enough to follow a moved slot; short, since the caller's budget runs meanwhile.
        .retries(2)
        .min_retry_wait(2)
        .max_retry_wait(4);
    if let Some(ca) = &server.ca {
        client = client.tls(TlsMode::Secure).certs(certificates(ca));
    }
    client.build()
}

fn info(server: &Server, address: &Address, login: Option<&Login>, database: u32) -> RedisResult<ConnectionInfo> {
    let Address { host, port } = address.clone();
    let address = if server.is_tls {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut settings = RedisConnectionInfo::default().set_db(database.into());
    if let Some(Login { user, password }) = login {
        settings = settings.set_password(password.as_str());
        if let Some(user) = user {
            settings = settings.set_username(user);
        }
    }
    let info = address.into_connection_info()?;
    Ok(info.set_tcp_settings(tcp()).set_redis_settings(settings))
}

fn certificates(ca: &[u8]) -> TlsCertificates {
    TlsCertificates {
        client_tls: None,
        root_cert: Some(ca.to_vec()),
    }
}

/// Small commands must not wait for the acknowledgement of earlier ones.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}
