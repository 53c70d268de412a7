//! A certificate with its key: the authority that signs, and the leaf that serves.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use super::x509::Certificate;
use super::{Error, pem};

/// Certificates are good from so long before they were made: clocks differ.
pub(super) const BACKDATED: Duration = Duration::from_hours(1);

/// A certificate authority: its certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The certificate that others trust.
    pub certificate: Certificate,
    pub(super) key: KeyText,
}

/// A serving certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate that is served.
    pub certificate: Certificate,
    /// What is served after it; empty with our own authority.
    pub(super) intermediates: Vec<CertificateDer<'static>>,
    pub(super) key: KeyText,
}

/// What a leaf shall say.
#[derive(Debug, Clone)]
pub struct LeafTerms {
    /// Its DNS names; the first is its common name.
    pub names: Vec<String>,
    /// How long it is good, in so far as its authority is.
    pub lifetime: Duration,
}

/// A private key as PEM; never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct KeyText(pub(super) String);

impl std::fmt::Debug for KeyText {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("KeyText(…)")
    }
}

impl Drop for KeyText {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl Authority {
    /// A new one.
    pub fn generate(now: SystemTime, lifetime: Duration) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        // Old and new must not be called the same, or a client may take the one for the other.
        let made = since_1970(now).as_secs();
        let name = format!("llmcache authority {made}-{}", hex::encode(random()?));
        params.distinguished_name = common_name(&name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.not_before = date_time_ymd(1970, 1, 1) + since_1970(now).saturating_sub(BACKDATED);
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970(now + lifetime);
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate: Certificate::read(certificate.der())?,
            key: KeyText(key.serialize_pem()),
        })
    }

    /// The authority of these certificates whose key this is.
    pub(super) fn find(key: &str, among: &[Certificate]) -> Option<Self> {
        let pair = KeyPair::from_pem(key).ok()?;
        let public_key = pair.subject_public_key_info();
        let certificate = among.iter().find(|it| it.is_authority && it.public_key == public_key)?;
        Some(Self {
            certificate: certificate.clone(),
            key: KeyText(key.to_owned()),
        })
    }

    /// Signs a new leaf; it is never good for longer than the authority.
    pub fn issue(&self, now: SystemTime, terms: &LeafTerms) -> Result<Leaf, Error> {
        let signer = KeyPair::from_pem(&self.key.0)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate.der, signer)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(terms.names.clone())?;
        params.distinguished_name = common_name(terms.names.first().map_or("llmcache", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(1970, 1, 1) + since_1970(now).saturating_sub(BACKDATED);
        params.not_after =
            date_time_ymd(1970, 1, 1) + since_1970((now + terms.lifetime).min(self.certificate.not_after));
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Leaf {
            certificate: Certificate::read(certificate.der())?,
            intermediates: Vec::new(),
            key: KeyText(key.serialize_pem()),
        })
    }
}

impl Leaf {
    /// A leaf from its two texts, the chain after it included; `None` when they are torn or do not belong together.
    pub fn read(certificates: &[u8], key: &str) -> Option<Self> {
        let mut chain = pem::read(certificates).into_iter();
        let certificate = Certificate::read(&chain.next()?).ok()?;
        let leaf = Self {
            certificate,
            intermediates: chain.collect(),
            key: KeyText(key.to_owned()),
        };
        leaf.certified_key().ok()?;
        Some(leaf)
    }

    /// The certificate and what follows it, as PEM.
    pub fn certificate_pem(&self) -> String {
        pem::write(std::iter::once(&self.certificate.der).chain(&self.intermediates))
    }

    /// The key, as PEM.
    pub fn key_pem(&self) -> &str {
        &self.key.0
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    // Longer ones are refused by some readers (RFC 5280: 64); nothing reads this one.
    names.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    names
}

fn random() -> Result<[u8; 4], Error> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|_| rcgen::Error::RingUnspecified)?;
    Ok(bytes)
}

/// Time since 1970, within what a certificate can say.
fn since_1970(time: SystemTime) -> Duration {
    let latest = Duration::from_secs(250_000_000_000);
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .min(latest)
}
