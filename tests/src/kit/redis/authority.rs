//! A certificate authority of the test's own, with one server certificate for loopback.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The authority and the certificate it gave.
pub struct Authority {
    ca: String,
    certificate: String,
    key: String,
}

impl Authority {
    /// A new one; its server is called `127.0.0.1` and `localhost`.
    pub fn new() -> anyhow::Result<Self> {
        Self::naming(&["127.0.0.1", "localhost"])
    }

    /// A new one whose server has these names.
    pub fn naming(names: &[&str]) -> anyhow::Result<Self> {
        let ca_key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Issuer and server must not be called the same: OpenSSL would take the second for the first.
        params.distinguished_name.push(DnType::CommonName, "authority");
        let ca = params.self_signed(&ca_key)?;
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        Ok(Self {
            ca: ca.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// The authority's own certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.ca
    }

    /// How a server of ours shows its certificate; it speaks HTTP/2 alone.
    pub fn server(&self) -> anyhow::Result<ServerConfig> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// Writes `ca.pem`, `server.pem` and `server.key` into a folder.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::write(folder.join("ca.pem"), &self.ca)?;
        std::fs::write(folder.join("server.pem"), &self.certificate)?;
        std::fs::write(folder.join("server.key"), &self.key)
    }
}
