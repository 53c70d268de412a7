//! The sentinels of a store: they say which server is the master now.

use std::time::Duration;

use futures_util::future::join_all;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use super::{Address, Server, Unreachable, connect};

/// How long one sentinel may take; all are asked at once.
const TIMEOUT: Duration = Duration::from_millis(500);

/// All sentinels, with the connections that last answered.
#[derive(Debug)]
pub(super) struct Sentinels {
    server: Server,
    master: String,
    all: Vec<Sentinel>,
}

#[derive(Debug)]
struct Sentinel {
    address: Address,
    connection: Option<MultiplexedConnection>,
}

impl Sentinels {
    pub(super) fn new(server: &Server, master: &str) -> Self {
        let sentinel = |address: &Address| Sentinel {
            address: address.clone(),
            connection: None,
        };
        Self {
            server: server.clone(),
            master: master.to_owned(),
            all: server.addresses.iter().map(sentinel).collect(),
        }
    }

    /// The master that most of those who answer name: one that is cut off from the others may be behind.
    pub(super) async fn master(&mut self) -> Result<Address, Unreachable> {
        let (server, master) = (&self.server, self.master.as_str());
        let asked = self.all.iter_mut().map(|sentinel| sentinel.ask(server, master));
        let (mut votes, mut failure): (Vec<(Address, usize)>, _) = (Vec::new(), None);
        for answer in join_all(asked).await {
            match answer {
                Ok(Some(named)) => match votes.iter_mut().find(|(address, _)| *address == named) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((named, 1)),
                },
                Ok(None) => failure = Some(Unreachable::NoMaster),
                Err(error) => {
                    failure.get_or_insert(Unreachable::NoSentinel(error));
                }
            }
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count);
        match (most, failure) {
            (Some((address, _)), _) => Ok(address),
            (None, failure) => Err(failure.unwrap_or(Unreachable::NoMaster)),
        }
    }
}

impl Sentinel {
    async fn ask(&mut self, server: &Server, master: &str) -> Result<Option<Address>, String> {
        let kept = self.connection.take();
        let answer = timeout(TIMEOUT, async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => enter(server, &self.address, false).await?,
            };
            match named(&mut connection, master).await {
                Err(error) if error.code() == Some("NOAUTH") && server.login.is_some() => {
                    connection = enter(server, &self.address, true).await?;
                    Ok((named(&mut connection, master).await?, connection))
                }
                answer => answer.map(|named| (named, connection)),
            }
        });
        match answer.await {
            Ok(Ok((named, connection))) => {
                self.connection = Some(connection);
                Ok(named)
            }
            Ok(Err(error)) => Err::<_, RedisError>(error).map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

/// Many sentinels have no password though their store has one, and refuse any login: so the store's is offered only to
/// one that insists.
async fn enter(server: &Server, address: &Address, insists: bool) -> Result<MultiplexedConnection, RedisError> {
    let own = server.sentinel_login.as_ref();
    let login = own.or_else(|| server.login.as_ref().filter(|_| insists));
    connect(server, address, login, 0).await
}

async fn named(connection: &mut MultiplexedConnection, master: &str) -> Result<Option<Address>, RedisError> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let named: Option<(String, u16)> = command.query_async(connection).await?;
    Ok(named.map(|(host, port)| Address { host, port }))
}
