//! The Secret of the chart's Redis, as a real server takes it.

use std::net::TcpListener;
use std::path::Path;

use k8s_openapi::api::core::v1::Secret;
use llmcache_operator::stores::chart_redis::{FOLDER, Leaf, Reload, certificate, reload, renewed};
use llmcache_tests::kit::Redis;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority that signs as the operator's does.
struct Authority {
    ca: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let ca = params.self_signed(&key).unwrap().pem();
        Self {
            ca,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for loopback, with this bundle to trust.
    fn leaf(&self, ca: &str) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        Leaf {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem().into(),
            ca: ca.into(),
        }
    }
}

fn text(secret: &Secret, key: &str) -> String {
    String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap()
}

/// As the kubelet brings a Secret's files.
fn mount(secret: &Secret, folder: &Path) {
    for (key, value) in secret.data.as_ref().unwrap() {
        std::fs::write(folder.join(key), &value.0).unwrap();
    }
}

/// Starts a server with the Secret's configuration, but for the folder and the port; gives it with its port.
async fn start(secret: &Secret, folder: &Path) -> (Redis, u16) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let conf = text(secret, "redis.conf").replace(FOLDER, &folder.display().to_string());
    let conf = conf.replace("tls-port 6379", &format!("tls-port {free}"));
    let lines: Vec<&str> = conf.lines().collect();
    (Redis::start_with(&lines).await.unwrap(), free)
}

fn server(secret: &Secret, ca: &str, folder: &Path, port: u16) -> Reload {
    Reload {
        address: ("127.0.0.1".into(), port),
        folder: folder.display().to_string(),
        ca: ca.as_bytes().to_vec(),
        password: text(secret, "password").into(),
        certificate: certificate(secret).unwrap(),
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_served_once_its_files_are_there() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let first = renewed(None, &authority.leaf(&authority.ca)).unwrap();
    mount(&first, folder.path());
    let (_redis, port) = start(&first, folder.path()).await;
    let at = |secret: &Secret| server(secret, &authority.ca, folder.path(), port);
    assert_eq!(reload(&at(&first)).await, Ok(true));

    let second = renewed(Some(first), &authority.leaf(&authority.ca)).unwrap();
    assert_eq!(
        reload(&at(&second)).await,
        Ok(false),
        "the kubelet has not brought them"
    );
    mount(&second, folder.path());
    assert_eq!(reload(&at(&second)).await, Ok(true));
}

#[tokio::test]
async fn a_server_goes_over_to_the_next_authority() {
    let (old, next) = (Authority::new(), Authority::new());
    let both = format!("{}{}", old.ca, next.ca);
    let folder = tempfile::tempdir().unwrap();
    let first = renewed(None, &old.leaf(&old.ca)).unwrap();
    mount(&first, folder.path());
    let (_redis, port) = start(&first, folder.path()).await;
    let second = renewed(Some(first), &next.leaf(&both)).unwrap();
    mount(&second, folder.path());
    assert_eq!(reload(&server(&second, &both, folder.path(), port)).await, Ok(true));
    let alone = server(&second, &next.ca, folder.path(), port);
    assert_eq!(
        reload(&alone).await,
        Ok(true),
        "the old authority is not needed any more"
    );
    let wrong = reload(&server(&second, &old.ca, folder.path(), port)).await;
    assert!(wrong.unwrap_err().contains("certificate"));
}

#[tokio::test]
async fn nobody_enters_without_the_password() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let secret = renewed(None, &authority.leaf(&authority.ca)).unwrap();
    mount(&secret, folder.path());
    let (_redis, port) = start(&secret, folder.path()).await;
    let mut stranger = server(&secret, &authority.ca, folder.path(), port);
    stranger.password = "guess".to_owned().into();
    stranger.certificate.clear();
    let refused = reload(&stranger).await.unwrap_err().to_lowercase();
    assert!(refused.contains("authentication failed"), "{refused}");
}
