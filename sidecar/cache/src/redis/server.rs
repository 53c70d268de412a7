//! The address of a shared store as people write it, checked once: mode, nodes, login, certificates.
//!
//! It opens nothing, and no message of it repeats what was written, which may hold a password.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use zeroize::Zeroizing;

mod url;

/// The forms that [`Server::parse`] reads; `rediss` instead of `redis` is TLS in each.
pub const FORMS: &str = "redis://[user:password@]host[:port][/database], \
    redis+sentinel://[user:password@]host[:port],.../MASTER[/database] or \
    redis+cluster://[user:password@]host[:port],..., and rediss for TLS";

/// Where a shared store is and how it is entered. Default port 6379, of sentinels 26379; default database 0.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    pub(super) mode: Mode,
    /// Between 1 and 32.
    pub(super) addresses: Vec<Address>,
    pub(super) is_tls: bool,
    /// PEM; none = the system's roots.
    pub(super) ca: Option<Arc<[u8]>>,
    pub(super) login: Option<Login>,
    /// What the sentinels want; none = no login, and the store's own when a sentinel insists on one.
    pub(super) sentinel_login: Option<Login>,
    pub(super) database: u32,
}

/// How a store's nodes stand to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Single,
    /// The addresses are those of sentinels.
    Sentinel {
        master: String,
    },
    /// The addresses are those of some nodes.
    Cluster,
}

/// Host name or IP address without brackets, and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// User and password; without a user, the store's default one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Zeroizing<String>,
}

/// Why an address or its certificates cannot be used: names the part and the fix, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(String);

impl Server {
    /// Reads one of the [`FORMS`]. User, password and master are percent-encoded where they hold `: / ? # @ ,`.
    /// Sentinels with a login of their own take `?sentinel_user=…&sentinel_password=…`.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        url::parse(url).map_err(|what| UrlError(format!("{what}; write {FORMS}")))
    }

    /// With certificates (PEM) that replace the system's roots; refused without TLS and when none is in it.
    pub fn with_ca(self, pem: &[u8]) -> Result<Self, UrlError> {
        let refuse = |what: &str| Err(UrlError(what.to_owned()));
        if !self.is_tls {
            return refuse("certificates are for TLS alone; write an address that begins with rediss");
        }
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let added = certificate.ok().map(|certificate| roots.add(certificate));
            if !matches!(added, Some(Ok(()))) {
                return refuse("holds a certificate that cannot be read; give PEM certificates of authorities");
            }
        }
        if roots.is_empty() {
            return refuse("holds no certificate; give PEM certificates of authorities");
        }
        Ok(Self {
            ca: Some(pem.into()),
            ..self
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("mode", &self.mode)
            .field("addresses", &self.addresses)
            .field("is_tls", &self.is_tls)
            .field("has_ca", &self.ca.is_some())
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests;
