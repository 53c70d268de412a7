use super::*;

fn parse(url: &str) -> Server {
    Server::parse(url).unwrap()
}

fn addresses(server: &Server) -> Vec<String> {
    server.addresses.iter().map(Address::to_string).collect()
}

fn login(user: Option<&str>, password: &str) -> Login {
    let (user, password) = (user.map(str::to_owned), Zeroizing::new(password.to_owned()));
    Login { user, password }
}

#[test]
fn one_server_has_defaults_and_every_part() {
    let plain = parse("redis://localhost");
    assert_eq!(
        (plain.mode.clone(), plain.is_tls, plain.database),
        (Mode::Single, false, 0)
    );
    assert_eq!((addresses(&plain), plain.login), (vec!["localhost:6379".into()], None));
    let full = parse("rediss://al%3Ace:p%40ss%2F%23w%C3%B6rd@cache.example:7000/3");
    assert_eq!((full.is_tls, full.database), (true, 3));
    assert_eq!(addresses(&full), ["cache.example:7000"]);
    assert_eq!(full.login, Some(login(Some("al:ce"), "p@ss/#wörd")));
    assert_eq!(parse("redis://:only@h").login, Some(login(None, "only")));
    assert_eq!(parse("redis://u:a:b@h").login, Some(login(Some("u"), "a:b")));
    for (url, expected) in [
        ("redis://[::1]", "[::1]:6379"),
        ("redis://[fe80::1]:7000/", "[fe80::1]:7000"),
        ("redis://10.0.0.1:1", "10.0.0.1:1"),
    ] {
        assert_eq!(addresses(&parse(url)), [expected]);
    }
    assert_eq!(parse("redis://[::1]").addresses[0].host, "::1");
}

#[test]
fn sentinels_name_their_master_and_may_have_their_own_login() {
    let server = parse("redis+sentinel://u:p@s1,s2:7000,[::1]/my%20master/4");
    assert_eq!(addresses(&server), ["s1:26379", "s2:7000", "[::1]:26379"]);
    let master = "my master".to_owned();
    assert_eq!((server.mode, server.database), (Mode::Sentinel { master }, 4));
    assert_eq!(
        (server.login, server.sentinel_login),
        (Some(login(Some("u"), "p")), None)
    );
    let server = parse("rediss+sentinel://:p@s1/m?sentinel_user=w&sentinel_password=%26x");
    assert!(server.is_tls);
    assert_eq!(server.sentinel_login, Some(login(Some("w"), "&x")));
    let server = parse("redis+sentinel://s1/m?sentinel_password=x");
    assert_eq!((server.login, server.sentinel_login), (None, Some(login(None, "x"))));
}

#[test]
fn a_cluster_is_known_by_some_of_its_nodes() {
    let server = parse("rediss+cluster://u:p@n1,n2:7001");
    assert_eq!(
        (server.mode.clone(), server.is_tls, server.database),
        (Mode::Cluster, true, 0)
    );
    assert_eq!(addresses(&server), ["n1:6379", "n2:7001"]);
    assert_eq!(parse("redis+cluster://n1/0").mode, Mode::Cluster);
}

const WRONG: [(&str, &str); 29] = [
    ("", "not a URL"),
    ("hunter2:6379", "not a URL"),
    ("redis://:hunter2@ho st", "holds a space or a control character"),
    (
        "redis://:hun#ter2@host",
        "has a fragment; a # in a password is written %23",
    ),
    ("http://:hunter2@host", "the scheme is unknown"),
    ("redis+://:hunter2@host", "the scheme is unknown"),
    ("redis+hunter2://host", "the scheme is unknown"),
    ("redis://", "no host"),
    ("redis://:hunter2@", "no host"),
    ("redis+cluster://hunter2,,b", "no host"),
    ("redis://hunter2!", "a host is malformed"),
    ("redis://[::1", "an IPv6 address is not closed"),
    ("redis://[hunter2]", "an IPv6 address is malformed"),
    ("redis://[::1]hunter2", "something stands between ] and the port"),
    ("redis://:hunter2@host:", "a port is not a number from 1 to 65535"),
    ("redis://:hunter2@host:0", "a port is not a number from 1 to 65535"),
    ("redis://:hunter2@host:70000", "a port is not a number from 1 to 65535"),
    (
        "redis://:hunter2@host/first",
        "the database is not a number up to 1048576",
    ),
    ("redis://:hunter2@host/-1", "the database is not a number up to 1048576"),
    ("redis://:hunter2@host?x=1", "has a query"),
    (
        "redis://hunter2@host",
        "a : is missing between user and password; without a user write :password@",
    ),
    ("redis://hunter2:@host", "the password is empty"),
    ("redis://:%ff@host", "a percent-encoded part is no UTF-8"),
    (
        "redis://hunter2,b",
        "more than one host needs +sentinel or +cluster after the scheme",
    ),
    ("redis+cluster://:hunter2@host/1", "a cluster has database 0 alone"),
    (
        "redis+sentinel://:hunter2@host",
        "the master's name is missing after the sentinels",
    ),
    (
        "redis+sentinel://host//3",
        "the master's name is missing after the sentinels",
    ),
    (
        "redis+sentinel://h/m?sentinel_user=u",
        "sentinel_password is missing or empty",
    ),
    (
        "redis+sentinel://h/m?hunter2=u",
        "the query holds more than sentinel_user and sentinel_password",
    ),
];

#[test]
fn what_cannot_be_used_is_named_and_never_repeated() {
    let many = format!("redis+cluster://{}", vec!["hunter2"; 33].join(","));
    let long = format!("redis://{}", "hunter2".repeat(600));
    let large = [(many.as_str(), "names more than 32 hosts"), (&long, "over 4096 bytes")];
    for (url, what) in WRONG.into_iter().chain(large) {
        let error = Server::parse(url).unwrap_err().to_string();
        assert_eq!(error, format!("{what}; write {FORMS}"), "{url}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn certificates_are_for_tls_and_must_be_some() {
    let refused = |url: &str, pem: &[u8]| parse(url).with_ca(pem).unwrap_err().to_string();
    let plain = refused("redis://h", b"");
    assert_eq!(
        plain,
        "certificates are for TLS alone; write an address that begins with rediss"
    );
    let key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for pem in [b"".as_slice(), b"none here", key] {
        assert!(refused("rediss://h", pem).starts_with("holds no certificate"));
    }
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(refused("rediss://h", broken).starts_with("holds a certificate that cannot be read"));
    let authority = rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap();
    let server = parse("rediss+cluster://h")
        .with_ca(authority.cert.pem().as_bytes())
        .unwrap();
    assert!(server.ca.is_some());
}

#[test]
fn neither_login_nor_certificates_are_printed() {
    let server = parse("redis+sentinel://hunter1:hunter2@h/m?sentinel_user=hunter3&sentinel_password=hunter4");
    let text = format!("{server:?} {:?}", server.login);
    assert!(!text.contains("hunter"), "{text}");
}
