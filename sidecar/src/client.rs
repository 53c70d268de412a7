//! The HTTP client towards providers: pooled HTTP/1.1 and h2, rustls with the system's roots or the policy's own,
//! through the environment's proxy where one is set. It has no deadline on answers: models may think for minutes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

use crate::body::Body;
use crate::client::connector::{Connector, Uses};

mod connector;

/// Providers close idle connections after minutes; 90 s keeps most reuse and few dead ones.
const IDLE: Duration = Duration::from_secs(90);
/// Idle connections kept per provider.
const MAX_IDLE: usize = 64;

/// A client with its pool; cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(legacy::Client<HttpsConnector<Connector>, Body>);

/// Why no response came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
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
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(Connector::from_env());
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(https);
        Ok(Self(client))
    }

    /// Sends one request and waits for the response's head.
    pub(crate) async fn send(
        &self,
        mut request: http::Request<Body>,
    ) -> Result<http::Response<hyper::body::Incoming>, Error> {
        let connection = capture_connection(&mut request);
        let sent = self.0.request(request).await;
        let reused = match connection.connection_metadata().as_ref() {
            Some(connected) => {
                let mut extras = http::Extensions::new();
                connected.get_extras(&mut extras);
                extras
                    .get::<Uses>()
                    .is_some_and(|uses| uses.0.fetch_add(1, Ordering::Relaxed) > 0)
            }
            None => false,
        };
        sent.map_err(|error| match error {
            error if error.is_connect() => Error::Connect(error),
            error if reused && closed_before_response(&error) => Error::Stale(error),
            error => Error::Broken(error),
        })
    }
}

fn closed_before_response(error: &legacy::Error) -> bool {
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

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
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
