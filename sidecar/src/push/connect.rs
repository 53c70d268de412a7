//! A connection to the operator: TCP, TLS by its own certificates alone, HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use super::Operator;

/// An operator that is far or busy answers in time; one that is gone must not hold up the try of another replica.
const CONNECT: Duration = Duration::from_secs(5);

type Io = TokioIo<TlsStream<TcpStream>>;

/// Connects, trusting these certificates (PEM).
pub(super) async fn dial(operator: &Operator, ca: &str) -> Result<Channel, String> {
    let host = operator
        .url
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|_| format!("{host} is no name that a certificate has"))?;
    let connector = TlsConnector::from(Arc::new(config(ca)?));
    let port = operator.url.port_u16().unwrap_or(443);
    let open = move |_: Uri| {
        let (host, name, connector) = (host.clone(), name.clone(), connector.clone());
        async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            let stream = connector.connect(name, stream).await?;
            Ok::<Io, std::io::Error>(TokioIo::new(stream))
        }
    };
    let authority = operator.url.authority().map(ToString::to_string).unwrap_or_default();
    // The connector encrypts, whatever the scheme says to the library; the operator is told the real one.
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))
        .map_err(|error| error.to_string())?
        .origin(operator.url.clone())
        .http2_keep_alive_interval(operator.ping_after)
        .keep_alive_timeout(operator.ping_timeout)
        .keep_alive_while_idle(true);
    let connecting = endpoint.connect_with_connector(tower::service_fn(open));
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(format!("cannot connect to {authority}: {}", cause(&error))),
        Err(_) => Err(format!("{authority} does not answer")),
    }
}

/// Whether these are certificates that can be trusted; says what is wrong.
pub(super) fn roots(ca: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("the operator's certificates are no PEM: {error:?}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("a certificate of the operator cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("there is no certificate to trust the operator by; LLMCACHE_CA is set at injection".into());
    }
    Ok(roots)
}

fn config(ca: &str) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(ca)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The innermost cause: the outer ones only say that there is one.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
