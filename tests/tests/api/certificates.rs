//! The operator's certificates as a real API server sees them: through a whole rotation, no admission fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use llmcache_operator::ca_bundle;
use llmcache_operator::certificates::{
    Keeper, Leaf, LeafTerms, Metrics, Mode, Rotation, ServingCertificate, Step, Stored,
};
use llmcache_operator::lease::{self, Election, Holder, Timing};
use llmcache_tests::kit::{Namespace, eventually};
use prometheus::Registry;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ResolvesServerCert, ResolvesServerCertUsingSni};
use serde_json::{Value, json};

mod webhook;

use super::namespace;

const SECRET: &str = "llmcache-operator-tls";

/// The replica that leads, and a webhook that shows its certificates.
struct Setup<'a> {
    namespace: Namespace<'a>,
    configurations: Api<MutatingWebhookConfiguration>,
    name: String,
    serving: Arc<ServingCertificate>,
    rotation: Rotation,
    port: u16,
}

impl<'a> Setup<'a> {
    async fn start(namespace: Namespace<'a>) -> anyhow::Result<Self> {
        let own = Holder {
            pod: "a".to_owned(),
            address: "10.0.0.1".parse()?,
        };
        let registry = Registry::new();
        let metrics = lease::Metrics::new(&registry)?;
        let election = Election::new(namespace.api(), "llmcache-operator", own, Timing::default(), metrics);
        let mut rotation = Rotation::of_service("llmcache-operator", &namespace.name);
        rotation.names.push("localhost".to_owned());
        let serving = ServingCertificate::new(&rotation.called, Metrics::new(&registry)?);
        let keeper = Keeper {
            api: namespace.api(),
            name: SECRET.to_owned(),
            mode: Mode::Own,
            rotation: rotation.clone(),
            leadership: election.leadership(),
            serving: serving.clone(),
        };
        let configurations = Api::all(namespace.client());
        let setup = Self {
            name: format!("trust-{}", namespace.name),
            port: webhook::listen(serving.clone()).await?,
            configurations: configurations.clone(),
            namespace,
            serving: serving.clone(),
            rotation,
        };
        let (name, leadership, bundle) = (setup.name.clone(), election.leadership(), serving.bundle());
        tokio::spawn(async move { ca_bundle::run(configurations, &name, leadership, bundle).await });
        tokio::spawn(keeper.run());
        tokio::spawn(election.run(std::future::pending()));
        Ok(setup)
    }

    /// What the chart would render: every entry without `caBundle`.
    fn configuration(&self, entries: &[(&str, u16)]) -> Value {
        let entries = entries.iter().map(|(resource, port)| {
            json!({
                "name": format!("{resource}.trust.test"),
                "clientConfig": {"url": format!("https://localhost:{port}/")},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace.name}},
                "objectSelector": {"matchLabels": {"trust": "test"}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            })
        });
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": self.name},
            "webhooks": entries.collect::<Vec<_>>(),
        })
    }

    async fn apply(&self, configuration: &Value) -> anyhow::Result<()> {
        let params = PatchParams::apply("chart").force();
        self.configurations
            .patch(&self.name, &params, &Patch::Apply(configuration))
            .await?;
        Ok(())
    }

    async fn until_published(&self) -> anyhow::Result<()> {
        eventually("every entry holds the bundle", async || {
            let Ok(found) = self.configurations.get(&self.name).await else {
                return false;
            };
            let bundle = self.serving.bundle_pem().unwrap_or_default();
            let entries: Vec<_> = found.webhooks.unwrap_or_default();
            let holds = |bytes: &[u8]| !bundle.is_empty() && bytes == bundle.as_bytes();
            entries
                .iter()
                .all(|it| it.client_config.ca_bundle.as_ref().is_some_and(|it| holds(&it.0)))
        })
        .await
    }

    /// Whether the webhook of this kind admits; the objects are not kept.
    async fn admits(&self, kind: Admitted) -> Result<(), kube::Error> {
        let metadata = ObjectMeta {
            generate_name: Some("trust-".to_owned()),
            labels: Some([("trust".to_owned(), "test".to_owned())].into()),
            ..ObjectMeta::default()
        };
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        match kind {
            Admitted::ConfigMap => {
                let object = ConfigMap {
                    metadata,
                    ..ConfigMap::default()
                };
                self.namespace.api().create(&params, &object).await.map(drop)
            }
            Admitted::Secret => {
                let object = Secret {
                    metadata,
                    ..Secret::default()
                };
                self.namespace.api().create(&params, &object).await.map(drop)
            }
        }
    }

    /// Takes a step as the leader would weeks later, and waits until this replica uses what it left.
    async fn step(&self, step: Step, at: SystemTime) -> anyhow::Result<Stored> {
        let secrets = self.namespace.api::<Secret>();
        let mut secret = secrets.get(SECRET).await?;
        let data = secret.data.get_or_insert_default();
        let after = step.apply(at, &Stored::read(data), &self.rotation)?;
        after.write_to(data);
        secrets.replace(SECRET, &PostParams::default(), &secret).await?;
        let bundle = after.bundle_pem();
        eventually("the replica uses the new certificates", async || {
            self.serving.bundle_pem().as_deref() == Some(bundle.as_str())
        })
        .await?;
        self.until_published().await?;
        Ok(after)
    }
}

#[derive(Clone, Copy)]
enum Admitted {
    ConfigMap,
    Secret,
}

/// A server that shows nothing but this leaf.
fn showing(leaf: &Leaf) -> anyhow::Result<Arc<dyn ResolvesServerCert>> {
    let chain = CertificateDer::pem_slice_iter(leaf.certificate_pem().as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem().as_bytes())?;
    let provider = rustls::crypto::ring::default_provider();
    let key = rustls::sign::CertifiedKey::from_der(chain, key, &provider)?;
    let mut resolver = ResolvesServerCertUsingSni::new();
    resolver.add("localhost", key)?;
    Ok(Arc::new(resolver))
}

#[tokio::test]
async fn an_authority_is_replaced_and_no_admission_fails() -> anyhow::Result<()> {
    let Some(namespace) = namespace("rotation").await? else {
        return Ok(());
    };
    let setup = Setup::start(namespace).await?;
    setup.apply(&setup.configuration(&[("configmaps", setup.port)])).await?;
    setup.until_published().await?;
    eventually("the API server trusts the webhook", async || {
        setup.admits(Admitted::ConfigMap).await.is_ok()
    })
    .await?;

    let (is_over, admitted) = (AtomicBool::new(false), AtomicU32::new(0));
    let load = async {
        while !is_over.load(Ordering::Relaxed) {
            setup.admits(Admitted::ConfigMap).await?;
            admitted.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    };
    let rotate = async {
        let outcome = rotate(&setup).await;
        is_over.store(true, Ordering::Relaxed);
        outcome
    };
    let (load, rotated) = tokio::join!(load, rotate);
    rotated?;
    load?;
    assert!(admitted.load(Ordering::Relaxed) > 10, "there was a load");
    setup
        .configurations
        .delete(&setup.name, &DeleteParams::default())
        .await?;
    Ok(())
}

async fn rotate(setup: &Setup<'_>) -> anyhow::Result<()> {
    let now = SystemTime::now();
    let announced = setup.step(Step::Announce, now).await?;
    // In its weeks of overlap the API server hears of the new bundle; here, when it trusts a server of the successor.
    let terms = LeafTerms {
        names: vec!["localhost".to_owned()],
        lifetime: Duration::from_hours(1),
    };
    let leaf = announced.next.unwrap().issue(now, &terms)?;
    let port = webhook::listen(showing(&leaf)?).await?;
    setup
        .apply(&setup.configuration(&[("configmaps", setup.port), ("secrets", port)]))
        .await?;
    setup.until_published().await?;
    eventually("the API server trusts the successor", async || {
        setup.admits(Admitted::Secret).await.is_ok()
    })
    .await?;
    let promoted = setup.step(Step::Promote, now).await?;
    assert_ne!(promoted.authority, announced.authority);
    setup.step(Step::Sign, now).await?;
    let withdrawn = setup.step(Step::Withdraw, now + Duration::from_hours(29 * 24)).await?;
    assert_eq!(withdrawn.bundle.len(), 1);
    setup.admits(Admitted::Secret).await?;
    Ok(())
}

#[tokio::test]
async fn the_bundle_survives_the_chart_and_comes_back_after_a_replace() -> anyhow::Result<()> {
    let Some(namespace) = namespace("bundle").await? else {
        return Ok(());
    };
    let setup = Setup::start(namespace).await?;
    let both = setup.configuration(&[("configmaps", setup.port), ("secrets", setup.port)]);
    setup.apply(&both).await?;
    setup.until_published().await?;
    let before = setup.configurations.get(&setup.name).await?;
    setup.apply(&both).await?;
    let after = setup.configurations.get(&setup.name).await?;
    assert_eq!(
        before.metadata.resource_version, after.metadata.resource_version,
        "the chart takes nothing away"
    );

    let mut bare: MutatingWebhookConfiguration = serde_json::from_value(both)?;
    bare.metadata
        .resource_version
        .clone_from(&after.metadata.resource_version);
    let replaced = setup
        .configurations
        .replace(&setup.name, &PostParams::default(), &bare)
        .await?;
    let entries = replaced.webhooks.unwrap();
    assert!(
        entries.iter().all(|it| it.client_config.ca_bundle.is_none()),
        "a replace does"
    );
    setup.until_published().await?;

    setup.apply(&setup.configuration(&[("secrets", setup.port)])).await?;
    setup.until_published().await?;
    setup
        .configurations
        .delete(&setup.name, &DeleteParams::default())
        .await?;
    Ok(())
}
