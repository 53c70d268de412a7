//! Certificates that end under load: the Secret gets a leaf that is good for seconds, then one that is over. Pods are
//! admitted and handshakes are made with both replicas all the while.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};
use llmcache_operator::certificates::{Leaf, LeafTerms, Stored};
use llmcache_tests::kit::eventually;
use parking_lot::Mutex;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::json;

use crate::scene::{INSTALL, SHOP, Scene};

const CALLED: &str = "llmcache-operator.llmcache-system.svc";
/// What is left of the leaf that ends soon, and how long handshakes go on after that.
const LEFT: Duration = Duration::from_secs(12);
/// Longest part of a handshake.
const PATIENCE: Duration = Duration::from_secs(2);

/// Replaces the leaf twice while pods are admitted and connections made.
pub(super) async fn expires(scene: &Scene<'_>) -> anyhow::Result<String> {
    let open_before = failed_open(scene).await?;
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), INSTALL);
    let stored = read(&secrets.get("llmcache-operator-tls").await?);
    let load = Load::begin(scene, &stored).await?;
    let seen = async {
        let soon = put(&secrets, LEFT).await?;
        let replaced = replaced(&secrets, &soon).await?;
        scene.change().await?;
        scene.settle().await?;
        let ended = SystemTime::now() + LEFT;
        eventually("the short leaf's time is over", async || SystemTime::now() > ended).await?;
        let over = put(&secrets, Duration::ZERO).await?;
        anyhow::Ok((replaced, self::replaced(&secrets, &over).await?))
    }
    .await;
    scene.change().await?;
    scene.settle().await?;
    let (admitted, shaken) = load.end()?;
    let (soon, over) = seen?;
    let opened = failed_open(scene).await? - open_before;
    ensure!(
        opened == 0,
        "the API server admitted {opened} pods without an answer of the webhook"
    );
    Ok(format!(
        "ending leaf replaced in {soon:.1?}, ended leaf in {over:.1?}; {admitted} admissions and {shaken} handshakes, none failed"
    ))
}

fn read(secret: &Secret) -> Stored {
    secret.data.as_ref().map(Stored::read).unwrap_or_default()
}

/// Puts a leaf into the Secret that is good for so long from now.
async fn put(secrets: &Api<Secret>, left: Duration) -> anyhow::Result<Leaf> {
    // The leader may write in between.
    loop {
        let mut secret = secrets.get("llmcache-operator-tls").await?;
        let mut stored = read(&secret);
        let lifetime = Duration::from_hours(2);
        let terms = LeafTerms {
            names: stored
                .serving
                .as_ref()
                .context("there is no leaf")?
                .certificate
                .names
                .clone(),
            lifetime,
        };
        let authority = stored.authority.as_ref().context("there is no authority")?;
        let leaf = authority.issue(SystemTime::now() + left - lifetime, &terms)?;
        stored.serving = Some(leaf.clone());
        stored.write_to(secret.data.get_or_insert_default());
        match secrets
            .replace("llmcache-operator-tls", &PostParams::default(), &secret)
            .await
        {
            Ok(_) => return Ok(leaf),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until the Secret holds another leaf that is good; gives the time.
async fn replaced(secrets: &Api<Secret>, leaf: &Leaf) -> anyhow::Result<Duration> {
    let began = Instant::now();
    eventually("the leader made a new leaf", async || {
        let Ok(secret) = secrets.get("llmcache-operator-tls").await else {
            return false;
        };
        let stored = read(&secret);
        stored.serving.as_ref() != Some(leaf) && stored.verify(CALLED, SystemTime::now() + LEFT).is_ok()
    })
    .await?;
    Ok(began.elapsed())
}

/// How often the API server went on without the webhook.
async fn failed_open(scene: &Scene<'_>) -> anyhow::Result<u64> {
    let metrics = scene.cluster.kubectl(&["get", "--raw", "/metrics"]).await?.ok()?;
    ensure!(
        metrics.contains("apiserver_admission_webhook_request_total"),
        "the API server counts no webhook"
    );
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("apiserver_admission_webhook_fail_open_count{"));
    let numbers = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    Ok(numbers.sum())
}

/// Admissions and handshakes without a pause.
struct Load {
    is_over: Arc<AtomicBool>,
    admitted: Arc<AtomicU64>,
    shaken: Arc<AtomicU64>,
    problems: Arc<Mutex<Vec<String>>>,
}

impl Load {
    async fn begin(scene: &Scene<'_>, stored: &Stored) -> anyhow::Result<Self> {
        let load = Self {
            is_over: Arc::default(),
            admitted: Arc::default(),
            shaken: Arc::default(),
            problems: Arc::default(),
        };
        let replicas: Api<Pod> = Api::namespaced(scene.client.clone(), INSTALL);
        let selected = ListParams::default().labels("app.kubernetes.io/component=operator");
        let listed = replicas.list(&selected).await?.items.into_iter();
        let addresses: Vec<IpAddr> = listed.filter_map(|pod| pod.status?.pod_ip?.parse().ok()).collect();
        ensure!(addresses.len() == 2, "there are {} replicas", addresses.len());
        let config = trusting(&stored.bundle_pem())?;
        let process = scene.pods.values().next().context("the app has no pods")?;
        let (is_over, shaken, problems) = (load.is_over.clone(), load.shaken.clone(), load.problems.clone());
        process.in_network(move || {
            let ports = [15443, 15444];
            let servers = addresses
                .into_iter()
                .flat_map(|address| ports.map(|port| SocketAddr::from((address, port))));
            let mut servers = servers.collect::<Vec<_>>().into_iter().cycle();
            while !is_over.load(Ordering::Relaxed) {
                let Some(server) = servers.next() else { return };
                match shake(server, &config) {
                    Ok(()) => drop(shaken.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => problems.lock().push(format!("handshake with {server}: {error:#}")),
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        })?;
        let pods: Api<Pod> = Api::namespaced(scene.client.clone(), SHOP);
        let (is_over, admitted, problems) = (load.is_over.clone(), load.admitted.clone(), load.problems.clone());
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                match admit(&pods).await {
                    Ok(()) => drop(admitted.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => problems.lock().push(format!("admission: {error:#}")),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Ok(load)
    }

    /// Numbers of admissions and handshakes, or what went wrong.
    fn end(&self) -> anyhow::Result<(u64, u64)> {
        self.is_over.store(true, Ordering::Relaxed);
        let problems = self.problems.lock();
        let number = problems.len();
        ensure!(number == 0, "{number} failed, first {}", problems[0]);
        let (admitted, shaken) = (
            self.admitted.load(Ordering::Relaxed),
            self.shaken.load(Ordering::Relaxed),
        );
        ensure!(admitted > 0 && shaken > 0, "there was no load");
        Ok((admitted, shaken))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Has a pod admitted as a dry run, and looks for its sidecar.
async fn admit(pods: &Api<Pod>) -> anyhow::Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "tried-", "annotations": {"llmcache.dev/inject": "enabled"}},
        "spec": {"containers": [{"name": "app", "image": "localhost/python:e2e"}]},
    }))?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let admitted = pods.create(&dry, &pod).await?;
    let first = admitted.spec.and_then(|spec| spec.init_containers).unwrap_or_default();
    ensure!(
        first.iter().any(|container| container.name == "llmcache"),
        "the pod has no sidecar"
    );
    Ok(())
}

fn trusting(bundle: &str) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// A whole handshake with a server, from nothing.
fn shake(server: SocketAddr, config: &Arc<ClientConfig>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut tls = ClientConnection::new(config.clone(), ServerName::try_from(CALLED)?)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(())
}
