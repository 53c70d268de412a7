use std::collections::BTreeMap;

use llmcache_policy::NamespaceKey;
use zeroize::Zeroizing;

use super::*;
use crate::index::{Change, Delta};

const CLASSES: &str = "sidecar: {image: \"s:1\"}\nstoreClasses: {gold: {namespaces: {matchLabels: {tier: gold}}, \
                       redis: {addresses: ['a.b:1'], secretName: login, credentials: perNamespace}}}\n";

fn secret(current: &str, previous: Option<&str>) -> Arc<InstallSecret> {
    let bytes = |text: &str| Zeroizing::new(text.as_bytes().try_into().unwrap());
    Arc::new(InstallSecret {
        current: bytes(current),
        previous: previous.map(bytes),
    })
}

fn world(labels: &[(&str, &str)]) -> Arc<World> {
    let mut world = World::default();
    let labels = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    world.index.apply(Change::Namespaces(Delta::All(vec![Namespace {
        key: Key {
            namespace: String::new(),
            name: "shop".into(),
        },
        uid: "uid-shop".into(),
        labels: labels.collect(),
    }])));
    Arc::new(world)
}

fn book(secret: Option<Arc<InstallSecret>>, labels: &[(&str, &str)]) -> CredentialBook {
    let settings = Arc::new(Settings::parse(CLASSES).unwrap());
    let login = BTreeMap::from([("password".to_owned(), Zeroizing::new(b"operators".to_vec()))]);
    let stores = StoreBook::new(
        settings.clone(),
        "system",
        BTreeMap::from([("login".to_owned(), login)]),
    );
    CredentialBook::new(settings, secret, Arc::new(stores), world(labels), 7)
}

const SECRET: &str = "an install secret of some length";

#[test]
fn a_pod_gets_its_namespaces_key_and_the_login_of_its_class() {
    let book = book(
        Some(secret(SECRET, Some("the secret that was before it..."))),
        &[("tier", "gold")],
    );
    let given = book.for_pod("shop", Some("gold")).unwrap();
    let key = NamespaceKey::derive(SECRET.as_bytes(), "uid-shop").unwrap();
    let before = NamespaceKey::derive(b"the secret that was before it...", "uid-shop").unwrap();
    assert_eq!((given.epoch, &given.namespace_key[..]), (7, &key.bytes()[..]));
    assert_eq!(&given.previous_namespace_key[..], before.bytes());
    assert!(given.redis.unwrap().url.contains(&*key.redis_password()));
    assert_eq!(book.for_pod("shop", None).unwrap().redis, None);
    assert_eq!(book.for_pod("bank", None), None, "an unknown namespace");
}

#[test]
fn a_namespace_that_a_class_does_not_serve_is_not_let_in() {
    let given = book(Some(secret(SECRET, None)), &[])
        .for_pod("shop", Some("gold"))
        .unwrap();
    assert_eq!(given.redis, None);
    assert!(given.previous_namespace_key.is_empty());
    assert_eq!(given.namespace_key.len(), 32);
}

#[test]
fn nothing_is_given_before_there_is_an_install_secret() {
    assert_eq!(book(None, &[]).for_pod("shop", None), None);
}

#[test]
fn nothing_here_prints_a_secret() {
    let secret = Some(secret(SECRET, None));
    let keys = secret.as_ref().unwrap().keys("uid").unwrap();
    let book = book(secret.clone(), &[]);
    for text in [format!("{secret:?}"), format!("{keys:?}"), format!("{book:?}")] {
        assert!(text.contains("redacted") && !text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn the_epoch_rises_with_a_secret_or_a_store_and_with_nothing_else() {
    let settings = Arc::new(Settings::parse(CLASSES).unwrap());
    let (secrets, secret_now) = watch::channel(install_secret::State::Absent);
    let (stores, stores_now) = watch::channel(Arc::new(StoreBook::default()));
    let (worlds, worlds_now) = watch::channel(world(&[]));
    let sources = Sources {
        secret: secret_now,
        stores: stores_now,
        worlds: worlds_now,
    };
    let (books, mut made) = watch::channel(None);
    let task = tokio::spawn(run(settings.clone(), sources, books, || 100));
    let mut epoch = async || {
        made.changed().await.unwrap();
        let book: Option<Arc<CredentialBook>> = made.borrow_and_update().clone();
        book.unwrap().epoch
    };
    assert_eq!(epoch().await, 100);
    secrets.send_replace(install_secret::State::Ready(secret(SECRET, None)));
    assert_eq!(epoch().await, 101);
    worlds.send_replace(world(&[("tier", "gold")]));
    assert_eq!(epoch().await, 101);
    stores.send_replace(Arc::new(StoreBook::new(settings, "system", BTreeMap::new())));
    assert_eq!(epoch().await, 102);
    drop(worlds);
    task.await.unwrap();
}
