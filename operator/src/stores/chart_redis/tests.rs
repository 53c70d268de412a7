use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

const DAY_S: i64 = 86_400;
/// 2026-01-01.
const FROM_S: i64 = 1_767_225_600;

/// A certificate for the 90 days from 2026-01-01.
fn leaf(ca: &str) -> Leaf {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names("system")).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2026, 4, 1);
    Leaf {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: Zeroizing::new(key.serialize_pem()),
        ca: ca.into(),
    }
}

fn text(secret: &Secret, key: &str) -> String {
    secret::text(secret, key).unwrap()
}

#[test]
fn a_new_secret_is_whole_and_stays_for_two_thirds_of_the_certificates_life() {
    let secret = renewed(None, &leaf("CA")).unwrap();
    assert_eq!(secret.metadata.name.as_deref(), Some("llmcache-redis"));
    let keys: Vec<&String> = secret.data.as_ref().unwrap().keys().collect();
    assert_eq!(keys, ["ca.crt", "password", "redis.conf", "tls.crt", "tls.key"]);
    let password = text(&secret, "password");
    assert_eq!(password.len(), 64);
    let conf = text(&secret, "redis.conf");
    for line in [
        "port 0",
        "tls-port 6379",
        &format!("requirepass {password}"),
        "tls-cert-file /etc/llmcache/redis/tls.crt",
    ] {
        assert!(conf.lines().any(|known| known == line), "{line}");
    }
    for (day, expected) in [
        (-1, Some("an old certificate")),
        (0, None),
        (59, None),
        (60, Some("an old certificate")),
    ] {
        assert_eq!(need(&secret, "CA", FROM_S + day * DAY_S), expected, "day {day}");
    }
}

#[test]
fn a_secret_is_written_again_for_what_is_wrong_with_it_and_keeps_its_password() {
    let whole = renewed(None, &leaf("CA")).unwrap();
    assert_eq!(need(&whole, "NEXT CA", FROM_S), Some("other authorities"));
    for (key, expected) in [
        ("ca.crt", "other authorities"),
        ("password", "no password"),
        ("redis.conf", "another configuration"),
        ("tls.crt", "no certificate"),
        ("tls.key", "no certificate"),
    ] {
        let mut broken = whole.clone();
        broken.data.as_mut().unwrap().remove(key);
        broken.metadata.resource_version = Some("7".into());
        assert_eq!(need(&broken, "CA", FROM_S), Some(expected), "{key}");
        let mended = renewed(Some(broken), &leaf("CA")).unwrap();
        assert_eq!(need(&mended, "CA", FROM_S), None, "{key}");
        assert_eq!(mended.metadata.resource_version.as_deref(), Some("7"));
        let is_kept = text(&mended, "password") == text(&whole, "password");
        assert_eq!(is_kept, key != "password");
    }
}

#[test]
fn every_install_has_a_password_of_its_own() {
    let [one, other] = [(); 2].map(|()| renewed(None, &leaf("CA")).unwrap());
    assert_ne!(text(&one, "password"), text(&other, "password"));
}

#[test]
fn the_certificate_is_read_as_it_is_served() {
    let leaf = leaf("CA");
    let secret = renewed(None, &leaf).unwrap();
    let der = certificate(&secret).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    let names: Vec<String> = parsed
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        names.iter().any(|name| name.contains("llmcache-redis.system.svc)")),
        "{names:?}"
    );
}
