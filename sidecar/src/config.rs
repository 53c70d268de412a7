//! Everything a sidecar is told before it binds. Whoever builds it (the command line today) has checked it:
//! nothing here is read from files or the environment.

use std::net::SocketAddr;
use std::time::Duration;

pub use llmcache_cache::redis::{FORMS as REDIS_FORMS, Server};
use llmcache_policy::Snapshot;

use crate::account::prices::PriceTable;

/// What to run and where.
pub struct Config {
    /// The policy to execute.
    pub snapshot: Snapshot,
    /// Namespace whose key seals and partitions everything stored.
    pub namespace: String,
    /// Address of the proxy; loopback. Port 0 = any free one.
    pub listen: SocketAddr,
    /// Address of `/livez`, `/readyz` and `/metrics`. Port 0 = any free one.
    pub admin: SocketAddr,
    /// The store of the shared tier; none = in-process only.
    pub redis: Option<Server>,
    /// The install secret, at least 32 bytes; the namespace's key is derived from it.
    pub secret: Vec<u8>,
    /// The install secret before it, whose answers and bans are still read; none = it never changed.
    pub previous_secret: Option<Vec<u8>>,
    /// Prices the ledger counts with.
    pub prices: PriceTable,
    /// How long open requests may finish after SIGTERM.
    pub grace: Duration,
}
