use llmcache_policy::NamespaceKey;

use super::*;

fn settings(classes: &str) -> Arc<Settings> {
    let text = format!("sidecar: {{image: \"s:1\"}}\nstoreClasses: {classes}\n");
    Arc::new(Settings::parse(&text).unwrap())
}

fn values(pairs: &[(&str, &str)]) -> Values {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), Zeroizing::new(value.as_bytes().to_vec())))
        .collect()
}

fn book(classes: &str, secrets: &[(&str, &[(&str, &str)])]) -> StoreBook {
    let secrets = secrets.iter().map(|(name, pairs)| ((*name).to_owned(), values(pairs)));
    StoreBook::new(settings(classes), "llmcache-system", secrets.collect())
}

fn key() -> NamespaceKey {
    NamespaceKey::new([7; 32])
}

#[test]
fn each_mode_has_the_address_that_sidecars_take() {
    let login: &[(&str, &[(&str, &str)])] = &[("login", &[("username", "ops"), ("password", "a:b/c@d?é#\n")])];
    for (redis, expected) in [
        ("{addresses: ['redis.shop:6379']}", "redis://redis.shop:6379"),
        ("{addresses: ['cache:6379']}", "redis://cache.llmcache-system.svc:6379"),
        ("{addresses: ['127.0.0.1:1']}", "redis://127.0.0.1:1"),
        ("{addresses: ['[::1]:1']}", "redis://[::1]:1"),
        (
            "{addresses: ['a.b:1'], secretName: login, tls: {enabled: true}}",
            "rediss://ops:a%3Ab%2Fc%40d%3F%C3%A9%23@a.b:1",
        ),
        (
            "{mode: Sentinel, master: 'm y', addresses: ['a.b:1', 'c:2'], secretName: login}",
            "redis+sentinel://ops:a%3Ab%2Fc%40d%3F%C3%A9%23@a.b:1,c.llmcache-system.svc:2/m%20y",
        ),
        (
            "{mode: Cluster, addresses: ['a.b:1', 'a.b:2'], tls: {enabled: true}}",
            "rediss+cluster://a.b:1,a.b:2",
        ),
    ] {
        let redis = book(&format!("{{fast: {{redis: {redis}}}}}"), login)
            .redis_for("fast", &key())
            .unwrap();
        assert_eq!(redis.url, expected);
        assert!(redis.ca.is_empty());
    }
}

#[test]
fn a_namespace_logs_in_with_what_is_derived_from_its_key() {
    let classes = "{fast: {redis: {addresses: ['a.b:1'], secretName: login, credentials: perNamespace, \
                   tls: {enabled: true, caSecret: ca}}}}";
    let secrets: &[(&str, &[(&str, &str)])] = &[("login", &[("password", "operators")]), ("ca", &[("ca.crt", "PEM")])];
    let book = book(classes, secrets);
    let redis = book.redis_for("fast", &key()).unwrap();
    let (user, password) = (key().redis_user(), key().redis_password());
    assert_eq!(
        redis.url,
        format!("rediss://{}:{}@a.b:1", user.replace('-', "%2D"), *password)
    );
    assert_eq!(redis.ca, b"PEM");
    assert!(!redis.url.contains("operators"));
    assert!(book.is_per_namespace("fast"));
    let admin = book.admin("fast").unwrap();
    assert_eq!(admin.password.as_deref().map(String::as_str), Some("operators"));
    for text in [format!("{book:?}"), format!("{admin:?}"), format!("{redis:?}")] {
        assert!(!text.contains("operators") && !text.contains(&*password), "{text}");
    }
}

#[test]
fn a_class_whose_secrets_are_missing_opens_nothing_and_says_what_to_create() {
    let classes = "{fast: {redis: {addresses: ['a.b:1'], secretName: login, tls: {enabled: true, caSecret: ca}}}}";
    for (secrets, expected) in [
        (&[][..], "storeClasses.fast.redis.secretName: Secret login"),
        (
            &[("login", &[("password", "")][..])],
            "with key password is not in namespace llmcache-system",
        ),
        (
            &[("login", &[("password", "x")])],
            "storeClasses.fast.redis.tls.caSecret: Secret ca with key ca.crt",
        ),
    ] {
        let book = book(classes, secrets);
        assert_eq!(book.redis_for("fast", &key()), None);
        assert_eq!(book.admin("fast"), None);
        let problems = book.problems();
        assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
    }
}

#[test]
fn in_process_and_unknown_classes_have_no_redis() {
    let book = book("{default: {}}", &[]);
    assert_eq!(book.redis_for("default", &key()), None);
    assert_eq!(book.redis_for("other", &key()), None);
    assert_eq!(book.problems(), Vec::<String>::new());
    assert_eq!(StoreBook::default().redis_for("default", &key()), None);
}

#[test]
fn only_named_secrets_are_read() {
    let classes = "{a: {redis: {addresses: ['a.b:1'], secretName: x, tls: {enabled: true, caSecret: y}}}, b: {}, \
                   c: {redis: {addresses: ['a.b:1'], secretName: x}}}";
    assert_eq!(secrets(&settings(classes)).into_iter().collect::<Vec<_>>(), ["x", "y"]);
    let chart = Settings::parse("sidecar: {image: \"s:1\"}\nredis: {enabled: true}\n").unwrap();
    assert_eq!(secrets(&chart).into_iter().collect::<Vec<_>>(), ["llmcache-redis"]);
}

#[test]
fn an_index_is_opened_by_the_key_of_its_secret() {
    let classes = "{fast: {redis: {addresses: ['a.b:1']}, qdrant: {url: 'http://q.b:6334', secretName: index}}}";
    let opened = book(classes, &[("index", &[("apiKey", "s3cret\n")])])
        .qdrant_for("fast")
        .unwrap();
    assert_eq!(
        (opened.url.as_str(), opened.api_key.as_str()),
        ("http://q.b:6334", "s3cret")
    );
    assert_eq!(format!("{opened:?}"), "Qdrant(redacted)");
    let closed = book(classes, &[]);
    assert_eq!(closed.qdrant_for("fast"), None);
    assert!(closed.redis_for("fast", &key()).is_some(), "the store does without it");
    let problems = closed.problems();
    let expected = "storeClasses.fast.qdrant.secretName: Secret index with key apiKey is not in namespace llmcache-system; fix: create it";
    assert_eq!(problems, [expected]);
    let open = book(
        "{fast: {redis: {addresses: ['a.b:1']}, qdrant: {url: 'http://q.b:6334'}}}",
        &[],
    );
    assert_eq!(open.qdrant_for("fast").unwrap().api_key, "");
    assert_eq!(open.qdrant_for("slow"), None);
}
