//! The content of the Secret, read with suspicion: whatever is torn or does not belong together counts as absent.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use k8s_openapi::ByteString;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};

use super::authority::{Authority, Leaf};
use super::pem;
use super::x509::Certificate;

/// Keys of the Secret.
const BUNDLE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const NEXT: &str = "next-ca.crt";
const NEXT_KEY: &str = "next-ca.key";
const SERVING: &str = "tls.crt";
const SERVING_KEY: &str = "tls.key";

/// What the Secret holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The authority that signs; its certificate is in the bundle.
    pub authority: Option<Authority>,
    /// The authority that will sign; its certificate is in the bundle too.
    pub next: Option<Authority>,
    /// What clients trust: the authority first.
    pub bundle: Vec<Certificate>,
    /// What the servers show.
    pub serving: Option<Leaf>,
}

impl Stored {
    /// Reads a Secret's data.
    pub fn read(data: &BTreeMap<String, ByteString>) -> Self {
        let bytes = |key: &str| data.get(key).map(|value| value.0.as_slice()).unwrap_or_default();
        let text = |key: &str| std::str::from_utf8(bytes(key)).unwrap_or_default();
        let certificates = |key: &str| -> Vec<Certificate> {
            let read = pem::read(bytes(key)).into_iter();
            read.filter_map(|der| Certificate::read(&der).ok()).collect()
        };
        let bundle = certificates(BUNDLE);
        let next = Authority::find(text(NEXT_KEY), &certificates(NEXT));
        Self {
            authority: Authority::find(text(CA_KEY), &bundle),
            next: next.filter(|next| bundle.contains(&next.certificate)),
            serving: Leaf::read(bytes(SERVING), text(SERVING_KEY)),
            bundle,
        }
    }

    /// Writes it over a Secret's data; keys that are not ours stay.
    pub fn write_to(&self, data: &mut BTreeMap<String, ByteString>) {
        let mut put = |key: &str, value: Option<String>| match value {
            Some(value) => drop(data.insert(key.to_owned(), ByteString(value.into_bytes()))),
            None => drop(data.remove(key)),
        };
        let of = |authority: &Authority| pem::write([&authority.certificate.der]);
        put(BUNDLE, Some(self.bundle_pem()));
        put(CA_KEY, self.authority.as_ref().map(|it| it.key.0.clone()));
        put(NEXT, self.next.as_ref().map(of));
        put(NEXT_KEY, self.next.as_ref().map(|it| it.key.0.clone()));
        put(SERVING, self.serving.as_ref().map(Leaf::certificate_pem));
        put(SERVING_KEY, self.serving.as_ref().map(|it| it.key.0.clone()));
    }

    /// Fills from what was in use what this lacks, so that a torn or deleted Secret ends nobody's trust.
    pub(super) fn mend(&self, memory: &Self) -> Self {
        if self.authority.is_some() && self.serving.is_some() {
            return self.clone();
        }
        let mut mended = self.clone();
        let kept = [&memory.authority, &memory.next].into_iter().flatten();
        let kept = kept.map(|it| &it.certificate).chain(&memory.bundle);
        for certificate in kept {
            if !mended.bundle.contains(certificate) {
                mended.bundle.push(certificate.clone());
            }
        }
        if mended.authority.is_none() {
            mended.authority.clone_from(&memory.authority);
            mended.next = mended.next.or_else(|| memory.next.clone());
        }
        mended.serving = mended.serving.or_else(|| memory.serving.clone());
        mended
    }

    /// What clients trust, as PEM.
    pub fn bundle_pem(&self) -> String {
        pem::write(self.bundle.iter().map(|it| &it.der))
    }

    /// Whether a client that trusts the bundle takes the serving certificate for this name now.
    pub fn verify(&self, name: &str, now: SystemTime) -> Result<(), rustls::Error> {
        let serving = self.serving.as_ref().ok_or(rustls::Error::NoCertificatesPresented)?;
        serving.verify(self.bundle.iter(), name, now)
    }

    /// The authority of the bundle by which the serving certificate is taken.
    pub(super) fn anchor(&self, name: &str, now: SystemTime) -> Option<&Certificate> {
        let serving = self.serving.as_ref()?;
        self.bundle.iter().find(|it| serving.verify([*it], name, now).is_ok())
    }
}

impl Leaf {
    /// What a TLS server shows.
    pub(super) fn certified_key(&self) -> Result<CertifiedKey, rustls::Error> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem().as_bytes());
        let key = key.map_err(|error| rustls::Error::General(format!("the private key cannot be read: {error}")))?;
        let chain = std::iter::once(&self.certificate.der).chain(&self.intermediates);
        CertifiedKey::from_der(chain.cloned().collect(), key, &provider())
    }

    /// Whether a client that trusts these authorities takes it for this name now.
    pub fn verify<'a>(
        &self,
        trusted: impl IntoIterator<Item = &'a Certificate>,
        name: &str,
        now: SystemTime,
    ) -> Result<(), rustls::Error> {
        // An expired authority would still vouch: verifiers look at no dates of what they trust.
        let valid = trusted.into_iter().filter(|it| it.is_valid_at(now));
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(valid.map(|it| it.der.clone()));
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|_| CertificateError::UnknownIssuer)?;
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| rustls::Error::General(format!("{name:?} is no DNS name")))?;
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(now);
        let intermediates: &[CertificateDer<'_>] = &self.intermediates;
        verifier.verify_server_cert(&self.certificate.der, intermediates, &name, &[], now)?;
        Ok(())
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
    PROVIDER.clone()
}
