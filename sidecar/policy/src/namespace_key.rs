//! What the operator derives for a namespace from the install secret: the key under which its sidecars name and seal
//! what they store, and their login to a shared Redis. The install secret itself stays where it is.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Fewest bytes of an install secret.
pub const SECRET_MIN: usize = 16;

/// 32 bytes that belong to one namespace alone; never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct NamespaceKey(Zeroizing<[u8; 32]>);

/// The install secret is too short to resist guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the install secret has {0} bytes, give at least {SECRET_MIN}")]
pub struct ShortSecret(pub usize);

impl NamespaceKey {
    /// The key of a namespace (its uid in a cluster, its name elsewhere), or why the install secret gives none.
    pub fn derive(install_secret: &[u8], namespace: &str) -> Result<Self, ShortSecret> {
        if install_secret.len() < SECRET_MIN {
            return Err(ShortSecret(install_secret.len()));
        }
        let hkdf = Hkdf::<Sha256>::new(Some(b"llmcache install secret"), install_secret);
        Ok(Self(expand(&hkdf, namespace.as_bytes())))
    }

    /// A key received from whoever derived it.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key itself.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// How the name of every key of this namespace begins in a shared Redis: `llmcache:<32 hex digits>:`.
    pub fn redis_prefix(&self) -> String {
        format!("llmcache:{}:", self.hex("redis prefix"))
    }

    /// How the namespace is called in the names of Qdrant collections: it tells nothing but that it is ours.
    pub fn qdrant_name(&self) -> String {
        self.hex("qdrant name")
    }

    /// Name of the namespace's user in a shared Redis: it tells nothing but that it is ours.
    pub fn redis_user(&self) -> String {
        format!("llmcache-{}", self.hex("redis user"))
    }

    /// Password of that user.
    pub fn redis_password(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(*self.part("redis password")))
    }

    fn hex(&self, part: &str) -> String {
        hex::encode(&self.part(part)[..16])
    }

    fn part(&self, name: &str) -> Zeroizing<[u8; 32]> {
        expand(&Hkdf::<Sha256>::new(None, &*self.0), name.as_bytes())
    }
}

impl fmt::Debug for NamespaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamespaceKey(redacted)")
    }
}

fn expand(hkdf: &Hkdf<Sha256>, info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    // Only lengths over 255 blocks fail; this is one block.
    let _ = hkdf.expand(info, &mut *out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"an install secret of some length";

    #[test]
    fn every_namespace_and_install_has_its_own_of_everything() {
        let derive = |secret, namespace| NamespaceKey::derive(secret, namespace).unwrap();
        let (shop, bank) = (derive(SECRET, "shop"), derive(SECRET, "bank"));
        let other = derive(b"another install's secret", "shop");
        for (a, b) in [(&shop, &bank), (&shop, &other)] {
            assert_ne!(a.bytes(), b.bytes());
            assert_ne!(a.redis_prefix(), b.redis_prefix());
            assert_ne!(a.redis_user(), b.redis_user());
            assert_ne!(*a.redis_password(), *b.redis_password());
        }
        assert_eq!(shop, derive(SECRET, "shop"));
        assert_eq!(NamespaceKey::new(*shop.bytes()).redis_prefix(), shop.redis_prefix());
        assert_ne!(&shop.redis_prefix()[9..41], &shop.redis_user()[9..]);
        assert!(shop.redis_prefix().starts_with("llmcache:") && shop.redis_prefix().ends_with(':'));
    }

    #[test]
    fn a_short_secret_gives_no_key_and_a_key_does_not_print() {
        assert_eq!(NamespaceKey::derive(b"short", "a"), Err(ShortSecret(5)));
        assert_eq!(format!("{:?}", NamespaceKey::new([1; 32])), "NamespaceKey(redacted)");
    }
}
