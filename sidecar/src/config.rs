//! Everything a sidecar is told before it binds. Whoever builds it (the command line today) has checked it:
//! nothing here is read from files or the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use llmcache_cache::redis::{FORMS as REDIS_FORMS, Server};
use llmcache_policy::Snapshot;
pub use llmcache_semantic::qdrant;

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
    /// The shared index of the semantic cache; none = in-process only. Used beside a shared tier alone.
    pub qdrant: Option<qdrant::Server>,
    /// The install secret, at least 32 bytes; the namespace's key is derived from it.
    pub secret: Vec<u8>,
    /// The install secret before it, whose answers and bans are still read; none = it never changed.
    pub previous_secret: Option<Vec<u8>>,
    /// Prices the ledger counts with.
    pub prices: PriceTable,
    /// Folder of the semantic cache's model; none = that layer is off.
    pub model: Option<PathBuf>,
    /// Folder of what outlives the process; none = nothing does.
    pub state: Option<PathBuf>,
    /// How long open requests may finish after SIGTERM.
    pub grace: Duration,
}
