use super::*;

fn key(uid: &str) -> NamespaceKey {
    NamespaceKey::new(&[uid.as_bytes()[0]; 32], uid.into())
}

fn digest(key: &NamespaceKey, domain: &'static str, fields: &[&[u8]]) -> Digest {
    let mut mac = key.mac(domain);
    for field in fields {
        mac.field(field);
    }
    mac.finish()
}

#[test]
fn a_sealed_value_opens_under_the_same_key_name_and_aad() {
    let sealed = key("a").seal(b"k", b"a", b"plain").unwrap();
    assert_eq!(sealed.len(), OVERHEAD + 5);
    assert_eq!(key("a").open(b"k", b"a", &sealed).as_deref(), Some(&b"plain"[..]));
}

#[test]
fn another_key_name_aad_version_or_byte_opens_as_none() {
    let sealed = key("a").seal(b"k", b"a", b"plain").unwrap();
    assert_eq!(key("b").open(b"k", b"a", &sealed), None);
    assert_eq!(key("a").open(b"l", b"a", &sealed), None);
    assert_eq!(key("a").open(b"k", b"b", &sealed), None);
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(key("a").open(b"k", b"a", &changed), None, "byte {at}");
        assert_eq!(key("a").open(b"k", b"a", &sealed[..at]), None, "cut at {at}");
    }
}

#[test]
fn sealing_twice_gives_different_bytes() {
    let key = key("a");
    assert_ne!(
        key.seal(b"k", b"a", b"plain").unwrap(),
        key.seal(b"k", b"a", b"plain").unwrap()
    );
}

#[test]
fn digests_differ_by_namespace_domain_and_field_border() {
    let base = digest(&key("a"), "d", &[b"ab", b"c"]);
    assert_eq!(base, digest(&key("a"), "d", &[b"ab", b"c"]));
    assert_ne!(base, digest(&key("b"), "d", &[b"ab", b"c"]));
    assert_ne!(base, digest(&key("a"), "e", &[b"ab", b"c"]));
    assert_ne!(base, digest(&key("a"), "d", &[b"a", b"bc"]));
}

#[test]
fn updates_are_the_concatenation() {
    let mut split = key("a").mac("d");
    split.update(b"ab").update(b"c");
    let mut whole = key("a").mac("d");
    whole.update(b"abc");
    assert_eq!(split.finish(), whole.finish());
}

#[test]
fn random_keys_differ_and_never_print() {
    let (a, b) = (NamespaceKey::random().unwrap(), NamespaceKey::random().unwrap());
    assert_ne!(digest(&a, "d", &[]), digest(&b, "d", &[]));
    assert_eq!(
        format!("{a:?} {:?}", a.mac("d")),
        "NamespaceKey(redacted) Mac(redacted)"
    );
}

#[test]
fn a_digest_displays_as_hex() {
    let mut bytes = [0; 32];
    bytes[31] = 0xaf;
    assert_eq!(Digest(bytes).to_string(), format!("{}af", "00".repeat(31)));
}
