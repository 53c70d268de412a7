//! The namespace key: everything that names or fills a shared store passes through it.
//!
//! A holder of another key can destroy or fill, never read or forge.

use std::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, Payload};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// First byte of every sealed value; another version opens as a miss.
pub const FORMAT: u8 = 1;

/// Bytes that sealing adds: version, nonce and tag.
pub const OVERHEAD: usize = 1 + NONCE + 16;

const NONCE: usize = 12;

/// Why a key could not be made or a value not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// The cipher refused the length of its input.
    #[error("a value of this length cannot be sealed")]
    Length,
}

/// The secret of one namespace: seals values and names keys, never printed, wiped when dropped.
#[derive(Clone)]
pub struct NamespaceKey {
    mac: Zeroizing<[u8; 64]>,
    seal: Zeroizing<[u8; 64]>,
    prefix: String,
}

/// A running HMAC-SHA-256 under a namespace key and a domain.
#[derive(Clone)]
pub struct Mac(Hmac<Sha256>);

/// The keys of one namespace that may be read: values are written under the newest alone.
///
/// A change of keys takes two steps, so that no process meets a name it cannot read: first every process reads both,
/// then every process writes the newer one.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// Writes and reads.
    pub newest: NamespaceKey,
    /// Reads what was written before the change; none when there was no change.
    pub previous: Option<NamespaceKey>,
}

/// The names of one answer, under each key of a [`Keyring`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Keys {
    /// Under the newest key.
    pub newest: Digest,
    /// Under the previous key.
    pub previous: Option<Digest>,
}

/// A 32-byte keyed digest: the name of an answer, a prefix or a scope.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl NamespaceKey {
    /// The key made of 32 secret bytes of a namespace; in a shared Redis every key's name begins with `prefix`.
    pub fn new(secret: &[u8; 32], prefix: String) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, secret);
        let mut key = Self {
            mac: Zeroizing::new([0; 64]),
            seal: Zeroizing::new([0; 64]),
            prefix,
        };
        for (part, info) in [(&mut key.mac, &b"mac"[..]), (&mut key.seal, b"seal")] {
            // Only lengths over 255 blocks fail; these are two.
            let _ = hkdf.expand(info, &mut **part);
        }
        key
    }

    /// Makes a key that no other process has, or fails without randomness.
    pub fn random() -> Result<Self, Error> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).map_err(|_| Error::NoRandomness)?;
        Ok(Self::new(&secret, "llmcache:".into()))
    }

    /// How every key's name begins in a shared Redis.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Starts a digest; equal input under another domain gives an unrelated digest.
    pub fn mac(&self, domain: &'static str) -> Mac {
        let mut mac = Mac(keyed(&self.mac));
        mac.field(domain.as_bytes());
        mac
    }

    /// Encrypts `plain` so that it opens only under this key, the same `name` and the same `aad`, or fails without
    /// randomness.
    pub fn seal(&self, name: &[u8], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| Error::NoRandomness)?;
        let payload = Payload { msg: plain, aad };
        let sealed = self
            .cipher(name)
            .encrypt(&nonce.into(), payload)
            .map_err(|_| Error::Length)?;
        let mut out = Vec::with_capacity(OVERHEAD + plain.len());
        out.push(FORMAT);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Decrypts what `seal` made; another key, `name`, `aad`, version or any changed byte is `None`.
    pub fn open(&self, name: &[u8], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (&version, rest) = sealed.split_first()?;
        let (nonce, msg) = rest.split_first_chunk::<NONCE>()?;
        if version != FORMAT {
            return None;
        }
        self.cipher(name).decrypt(&(*nonce).into(), Payload { msg, aad }).ok()
    }

    // One AES key per `name`: random nonces then collide only among values of one store key,
    // so the 2³² limit of NIST SP 800-38D is never near for a whole namespace.
    fn cipher(&self, name: &[u8]) -> Aes256Gcm {
        let mut mac = keyed(&self.seal);
        mac.update(name);
        Aes256Gcm::new(&mac.finalize().into_bytes())
    }
}

impl From<NamespaceKey> for Keyring {
    fn from(newest: NamespaceKey) -> Self {
        Self { newest, previous: None }
    }
}

impl From<Digest> for Keys {
    fn from(newest: Digest) -> Self {
        Self { newest, previous: None }
    }
}

impl fmt::Debug for NamespaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamespaceKey(redacted)")
    }
}

impl Mac {
    /// Adds bytes as they are; two updates equal one of their concatenation.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// Adds bytes behind their length, so that no two different lists of fields collide.
    pub fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.update(&(bytes.len() as u64).to_be_bytes()).update(bytes)
    }

    /// Ends the digest.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(redacted)")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn keyed(key: &[u8; 64]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new(&(*key).into())
}
