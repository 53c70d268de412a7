//! Shared stores that policies choose by name.

use llmcache_crds::policy::Selector;
use serde::Deserialize;

/// One store class.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreClass {
    /// Labels of the namespaces it serves; absent = all.
    pub namespaces: Option<Selector>,
    /// Where answers are kept; absent = in process.
    pub redis: Option<Redis>,
    /// Where vectors are kept.
    pub qdrant: Option<Qdrant>,
}

/// A Redis.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redis {
    /// How its servers are found.
    #[serde(default)]
    pub mode: Mode,
    /// `host:port` of the server, of each Sentinel, or of some servers of the Cluster.
    pub addresses: Vec<String>,
    /// Name of the master that the Sentinels watch.
    pub master: Option<String>,
    /// Encryption.
    #[serde(default)]
    pub tls: Tls,
    /// Secret of the install namespace with `password` and perhaps `username`.
    pub secret_name: Option<String>,
    /// Who logs in.
    #[serde(default)]
    pub credentials: Login,
}

/// How the servers of a Redis are found.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum Mode {
    /// One server.
    #[default]
    Single,
    /// Sentinels name the master.
    Sentinel,
    /// Servers share the keys.
    Cluster,
}

/// Encryption of a store.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// Whether connections are encrypted.
    #[serde(default)]
    pub enabled: bool,
    /// Secret of the install namespace with `ca.crt`; absent = the system's roots.
    pub ca_secret: Option<String>,
}

/// Who logs in to a Redis.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum Login {
    /// One user per namespace, which the leader keeps.
    #[serde(rename = "perNamespace")]
    PerNamespace,
    /// The login of the Secret, for all.
    #[default]
    #[serde(rename = "shared")]
    Shared,
}

/// A Qdrant.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Qdrant {
    /// Its address.
    pub url: String,
    /// Secret of the install namespace with `apiKey`.
    pub secret_name: Option<String>,
}

/// Name of the in-chart Redis' Service and Secret.
pub const CHART_REDIS: &str = "llmcache-redis";

impl StoreClass {
    /// The Redis that the chart runs.
    pub(super) fn of_chart() -> Self {
        Self {
            namespaces: None,
            redis: Some(Redis {
                mode: Mode::Single,
                addresses: vec![format!("{CHART_REDIS}:6379")],
                master: None,
                tls: Tls {
                    enabled: true,
                    ca_secret: Some(CHART_REDIS.into()),
                },
                secret_name: Some(CHART_REDIS.into()),
                credentials: Login::PerNamespace,
            }),
            qdrant: None,
        }
    }
}
