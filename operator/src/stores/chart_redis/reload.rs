//! A running Redis made to serve the certificate that its files hold.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::settings::Mode;
use crate::stores::{Admin, node};

const TIMEOUT: Duration = Duration::from_secs(5);

/// A Redis and the certificate that it is to serve.
pub struct Reload {
    /// Host and port.
    pub address: (String, u16),
    /// Folder of its files, in its own file system.
    pub folder: String,
    /// PEM certificates by which it is known.
    pub ca: Vec<u8>,
    /// Password of its default user.
    pub password: Zeroizing<String>,
    /// DER of the certificate that it is to serve.
    pub certificate: Vec<u8>,
}

/// Whether it serves the certificate, after it was told to read its files where it did not.
pub async fn reload(server: &Reload) -> Result<bool, String> {
    if served(server).await? == server.certificate {
        return Ok(true);
    }
    let admin = Admin {
        mode: Mode::Single,
        addresses: vec![format!("{}:{}", server.address.0, server.address.1)],
        master: None,
        is_tls: true,
        ca: Some(server.ca.clone()),
        user: None,
        password: Some(server.password.clone()),
    };
    let connection = node::connect(&admin, &server.address).await;
    let mut connection = connection.map_err(|error| error.to_string())?;
    let mut set = redis::cmd("CONFIG");
    set.arg("SET");
    // All at once: between two of them certificate and key would not belong together.
    for (setting, file) in [("cert", "tls.crt"), ("key", "tls.key"), ("ca-cert", "ca.crt")] {
        set.arg(format!("tls-{setting}-file"))
            .arg(format!("{}/{file}", server.folder));
    }
    let done: redis::RedisResult<()> = set.query_async(&mut connection).await;
    done.map_err(|error| error.to_string())?;
    Ok(served(server).await? == server.certificate)
}

/// DER of the certificate that it serves now.
async fn served(server: &Reload) -> Result<Vec<u8>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&server.ca).flatten() {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(server.address.0.clone()).map_err(|error| error.to_string())?;
    let dial = async {
        let stream = TcpStream::connect((server.address.0.as_str(), server.address.1)).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    let stream = timeout(TIMEOUT, dial)
        .await
        .map_err(|_| "no answer within 5 s".to_owned())?;
    let stream = stream.map_err(|error| error.to_string())?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(certificates.first().map(|leaf| leaf.to_vec()).unwrap_or_default())
}
