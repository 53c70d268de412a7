//! The HTTP client towards providers: pooled HTTP/1.1 and h2, rustls with the system's roots or the policy's own,
//! through the environment's proxy where one is set. It has no deadline on answers: models may think for minutes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

use crate::body::Body;
use crate::client::connector::Connector;
use crate::client::watched::{Watch, Watched};

mod connector;
mod watched;

/// Providers close idle connections after minutes; 90 s keeps most reuse and few dead ones.
const IDLE: Duration = Duration::from_secs(90);
/// Idle connections kept per provider.
const MAX_IDLE: usize = 64;

/// Over h2 a silent peer is asked after this time whether it lives, so that one dead connection does not swallow every
/// request; a peer that is only thinking answers.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// A client with its pools; cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    any: Pool,
    /// Protocol upgrades exist in HTTP/1.1 alone, so they need connections that never became h2.
    http1: Pool,
    connector: Connector,
}

/// Where Debian, Fedora and Alpine keep the certificates of authorities.
const USUAL_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

type Pool = legacy::Client<Watched<HttpsConnector<Connector>>, Body>;

/// Why no response came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The path makes no address below the upstream's URL.
    #[error("the request's path makes no address below the upstream's URL")]
    Address,
    /// The connection could not be made.
    #[error("cannot connect: {0}")]
    Connect(#[source] legacy::Error),
    /// A pooled connection was closed before any response byte: the provider had hung up before it read us.
    #[error("pooled connection closed: {0}")]
    Stale(#[source] legacy::Error),
    /// Anything else: the provider may have seen the request.
    #[error("no response: {0}")]
    Broken(#[source] legacy::Error),
}

/// A certificate bundle or root store that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

impl TlsError {
    pub(crate) fn new(problem: &str) -> Self {
        Self(problem.to_owned())
    }
}

impl Client {
    /// A client that trusts `ca_bundle` (PEM), or the system's roots (`SSL_CERT_FILE` is honoured) without one.
    pub(crate) fn new(ca_bundle: Option<&str>) -> Result<Self, TlsError> {
        let roots = match ca_bundle {
            Some(pem) => bundle_roots(pem)?,
            None => system_roots(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = Connector::from_env();
        let https = || {
            HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_or_http()
        };
        Ok(Self {
            any: pool(https().enable_all_versions().wrap_connector(connector.clone())),
            http1: pool(https().enable_http1().wrap_connector(connector.clone())),
            connector,
        })
    }

    /// Sends one request for another protocol, over HTTP/1.1, and waits for the response's head.
    pub(crate) async fn upgrade(
        &self,
        request: http::Request<Body>,
    ) -> Result<http::Response<hyper::body::Incoming>, Error> {
        self.send_through(&self.http1, request).await
    }

    /// Sends one request and waits for the response's head.
    pub(crate) async fn send(
        &self,
        request: http::Request<Body>,
    ) -> Result<http::Response<hyper::body::Incoming>, Error> {
        self.send_through(&self.any, request).await
    }

    async fn send_through(
        &self,
        pool: &Pool,
        mut request: http::Request<Body>,
    ) -> Result<http::Response<hyper::body::Incoming>, Error> {
        if let Some(login) = self.connector.proxy_login(request.uri()) {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, login);
        }
        let connection = capture_connection(&mut request);
        let sent = pool.request(request).await;
        let is_unanswered = match connection.connection_metadata().as_ref() {
            Some(connected) => {
                let mut extras = http::Extensions::new();
                connected.get_extras(&mut extras);
                extras
                    .get::<Watch>()
                    .is_some_and(|watch| watch.count() && !watch.is_answered())
            }
            None => false,
        };
        sent.map_err(|error| match error {
            error if error.is_connect() => Error::Connect(error),
            error if is_unanswered && is_closed(&error) => Error::Stale(error),
            error => Error::Broken(error),
        })
    }
}

fn pool(connector: HttpsConnector<Connector>) -> Pool {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(Watched(connector))
}

fn is_closed(error: &legacy::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && (hyper.is_incomplete_message() || hyper.is_canceled())
        {
            return true;
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
            );
        }
        source = cause.source();
    }
    false
}

/// An app's `SSL_CERT_FILE` may name a file that only its own image has: then the usual places are looked at, since
/// without any certificate no provider could be reached.
fn system_roots() -> RootCertStore {
    let mut found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let usual = USUAL_ROOTS.iter().map(Path::new).find(|file| file.exists());
        found.certs = rustls_native_certs::load_certs_from_paths(usual, None).certs;
    }
    for error in &found.errors {
        tracing::warn!(%error, "cannot read some of the system's certificates");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

fn bundle_roots(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate =
            certificate.map_err(|error| TlsError(format!("caBundle: not PEM certificates: {error:?}")))?;
        roots
            .add(certificate)
            .map_err(|error| TlsError(format!("caBundle: not a usable certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(TlsError(
            "caBundle: holds no certificate; give at least one PEM block".into(),
        ));
    }
    Ok(roots)
}
