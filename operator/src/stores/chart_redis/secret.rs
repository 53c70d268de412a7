//! What the Secret holds and when it must be written again. Pure but for the random password.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::FOLDER;
use crate::settings::store_class::CHART_REDIS;

/// A certificate that was issued.
#[derive(Clone)]
pub struct Leaf {
    /// PEM certificate.
    pub certificate: String,
    /// PEM private key.
    pub key: Zeroizing<String>,
    /// PEM bundle of the authorities to trust.
    pub ca: String,
}

/// Why a Secret must be written again, if it must; `ca` is the bundle in force, `now_s` seconds since 1970.
pub fn need(secret: &Secret, ca: &str, now_s: i64) -> Option<&'static str> {
    let password = text(secret, "password").unwrap_or_default();
    if password.is_empty() {
        return Some("no password");
    }
    if text(secret, "redis.conf").as_deref() != Some(&*configuration(&password)) {
        return Some("another configuration");
    }
    if text(secret, "ca.crt").as_deref() != Some(ca) {
        return Some("other authorities");
    }
    let certificate = certificate(secret).filter(|_| text(secret, "tls.key").is_some());
    let life = certificate.as_deref().and_then(life);
    match life {
        None => Some("no certificate"),
        Some((from_s, to_s)) if now_s < from_s || now_s - from_s >= (to_s - from_s) / 3 * 2 => {
            Some("an old certificate")
        }
        Some(_) => None,
    }
}

/// A Secret with this certificate; the password stays where there is one.
pub fn renewed(known: Option<Secret>, leaf: &Leaf) -> Result<Secret, String> {
    let known = known.unwrap_or_default();
    let password = match text(&known, "password").filter(|password| !password.is_empty()) {
        Some(password) => Zeroizing::new(password),
        None => password()?,
    };
    let conf = configuration(&password);
    let values = [
        ("ca.crt", leaf.ca.as_str()),
        ("password", &password),
        ("redis.conf", &conf),
        ("tls.crt", &leaf.certificate),
        ("tls.key", &leaf.key),
    ];
    let data = values.map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec())));
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(CHART_REDIS.into()),
            ..known.metadata
        },
        data: Some(BTreeMap::from(data)),
        ..Secret::default()
    })
}

/// The certificate that a Secret holds, as DER.
pub fn certificate(secret: &Secret) -> Option<Vec<u8>> {
    let pem = text(secret, "tls.crt")?;
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    Some(certificate.to_vec())
}

pub(super) fn text(secret: &Secret, key: &str) -> Option<String> {
    let value = secret.data.as_ref()?.get(key)?;
    String::from_utf8(value.0.clone()).ok()
}

/// First and last second of a certificate's life.
fn life(certificate: &[u8]) -> Option<(i64, i64)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// TLS alone, and the default user, the operator's, with a password; what is kept and how much of it is the chart's say.
fn configuration(password: &str) -> Zeroizing<String> {
    let lines = [
        "port 0".to_owned(),
        "tls-port 6379".into(),
        format!("tls-cert-file {FOLDER}/tls.crt"),
        format!("tls-key-file {FOLDER}/tls.key"),
        format!("tls-ca-cert-file {FOLDER}/ca.crt"),
        "tls-auth-clients no".into(),
        format!("requirepass {password}"),
        "save \"\"".into(),
        "appendonly no".into(),
    ];
    Zeroizing::new(lines.join("\n") + "\n")
}

/// 32 random bytes in hexadecimal.
fn password() -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| format!("no randomness: {error}"))?;
    Ok(Zeroizing::new(hex::encode(*bytes)))
}
