//! A real server on loopback, with a certificate of its own.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SingleCertAndKey;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;

pub(super) struct Stage {
    pub(super) port: u16,
    pub(super) root: CertificateDer<'static>,
    pub(super) notices: mpsc::Receiver<Notice>,
    pub(super) facts: Arc<ArcSwap<Facts>>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) serving: JoinHandle<Result<(), rustls::Error>>,
    registry: Registry,
}

impl Stage {
    pub(super) async fn start() -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let root = cert.der().clone();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let certificate = rustls::sign::CertifiedKey::new(vec![root.clone()], key);

        let registry = Registry::new();
        let (sender, notices) = mpsc::channel(2);
        let facts = Arc::new(ArcSwap::from_pointee(facts()));
        let webhook = Webhook::new(Arc::clone(&facts), sender, Metrics::register(&registry).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(
            listener,
            Arc::new(SingleCertAndKey::from(certificate)),
            Arc::new(webhook),
            stopped,
            Duration::from_secs(30),
        ));
        Self {
            port,
            root,
            notices,
            facts,
            stop,
            serving,
            registry,
        }
    }

    /// The value of one series, as `/metrics` shows it.
    pub(super) fn metric(&self, series: &str) -> u64 {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let series = format!("llmcache_operator_{series} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.unwrap_or_else(|| panic!("no {series}in {text}")).parse().unwrap()
    }
}
