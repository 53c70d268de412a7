//! Where the server is, and what opens it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use qdrant_client::{Qdrant, config::QdrantConfig};
use zeroize::Zeroizing;

use super::Refusal;

/// The forms of an address.
pub const FORMS: &str = "http://host[:port] or https://host[:port] (gRPC, port 6334), with a key as https://KEY@host";

const PORT: u16 = 6_334;
const CONNECT: Duration = Duration::from_secs(2);
/// Longer than any caller waits: what it gives up is cancelled.
const CALL: Duration = Duration::from_secs(10);

/// A Qdrant.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    url: String,
    api_key: Option<Zeroizing<String>>,
}

/// What is wrong with an address; never repeats it, since it may hold a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write it as {FORMS}")]
pub struct BadAddress(&'static str);

impl Server {
    /// The same server, opened by this key.
    #[must_use]
    pub fn with_api_key(mut self, key: &str) -> Self {
        self.api_key = Some(key.to_owned().into());
        self
    }

    pub(super) fn client(&self) -> Result<Qdrant, Refusal> {
        let mut config = QdrantConfig::from_url(&self.url)
            .timeout(CALL)
            .connect_timeout(CONNECT)
            .skip_compatibility_check();
        config.api_key = self.api_key.as_ref().map(|key| key.as_str().to_owned());
        Ok(Qdrant::new(config)?)
    }
}

impl FromStr for Server {
    type Err = BadAddress;

    fn from_str(address: &str) -> Result<Self, BadAddress> {
        let (scheme, rest) = address.split_once("://").ok_or(BadAddress("it has no scheme"))?;
        if !["http", "https"].contains(&scheme) {
            return Err(BadAddress("its scheme is neither http nor https"));
        }
        let (key, host) = match rest.rsplit_once('@') {
            Some((key, host)) => (Some(key), host),
            None => (None, rest),
        };
        let host = host.strip_suffix('/').unwrap_or(host);
        if host.is_empty() || host.contains(['/', '?', '#', ' ', ',']) {
            return Err(BadAddress("it names no single host"));
        }
        let (name, port) = match host.rsplit_once(':') {
            // Colons of an address in brackets are its own.
            Some((name, port)) if !port.contains(']') => (name, port.parse().ok().filter(|port| *port > 0)),
            _ => (host, Some(PORT)),
        };
        let port: u16 = port.ok_or(BadAddress("its port is none"))?;
        let is_literal = name.starts_with('[') && name.ends_with(']');
        if name.is_empty() || (name.contains([':', '[', ']']) && !is_literal) {
            return Err(BadAddress("it names no single host"));
        }
        if key.is_some_and(|key| key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(BadAddress("its key is none"));
        }
        Ok(Self {
            url: format!("{scheme}://{name}:{port}"),
            api_key: key.map(|key| key.to_owned().into()),
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
