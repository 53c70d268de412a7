//! The three servers: push for sidecars, the webhook for the API server, and what the kubelet asks.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use llmcache_policy::names;
use rustls::pki_types::ServerName;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::{Ended, Parts, Stage, Tasks, flag, spawn};
use crate::identity::{self, Identity};
use crate::metrics::Pushing;
use crate::run::feeds::Feeds;
use crate::run::{server, told};
use crate::webhook::{self, Webhook};
use crate::{admin, events, inject, push};

/// Serves push, and shares what sidecars say with the leader.
pub(super) fn push(parts: &Parts<'_>, feeds: Feeds, listener: TcpListener, tasks: &mut Tasks) -> Result<(), Ended> {
    let Parts {
        place,
        lead,
        trust,
        sidecars,
        ..
    } = parts;
    let (news, told) = watch::channel(0);
    spawn(tasks, "news", feeds.clone().tell(news));
    let reviewer = identity::reviewer(place.client.clone(), identity::Metrics::new(&place.registry)?);
    let service = push::Service::new(
        Arc::new(reviewer),
        Arc::new(move |identity: &Identity| feeds.wanted(identity)),
        told,
        sidecars.clone(),
        Pushing::new(&place.registry)?,
        (place.pod.pod_namespace.clone(), names::SERVICE.into()),
        flag(place.stopping.clone(), Stage::Gone, tasks),
    );
    let acceptor = server::acceptor(trust.serving.clone()).map_err(|error| Ended::Environment(error.to_string()))?;
    spawn(tasks, "push", service.serve(listener, acceptor));
    let (tell, leader) = watch::channel(None);
    let leadership = lead.clone();
    spawn(tasks, "leader's address", async move {
        let mut state = leadership.subscribe();
        loop {
            let is_own = leadership.is_leader();
            let address = leadership
                .leader_address()
                .filter(|_| !is_own)
                .map(|address| address.to_string());
            tell.send_if_modified(|known| {
                let is_new = *known != address;
                *known = address;
                is_new
            });
            let _ = tokio::time::timeout(Duration::from_secs(1), state.changed()).await;
        }
    });
    let trusting = trusted(trust.serving.bundle(), tasks)?;
    let name = ServerName::try_from(trust.server_name.clone())
        .map_err(|error| Ended::Settings(format!("service: {error}; write a Service's name")))?;
    let replica = place.pod.pod_name.clone();
    spawn(
        tasks,
        "sharing",
        push::share(replica, sidecars.clone(), leader, trusting, name),
    );
    Ok(())
}

/// How to trust the other replicas, as the bundle changes.
fn trusted(
    mut bundle: watch::Receiver<Option<Arc<str>>>,
    tasks: &mut Tasks,
) -> Result<watch::Receiver<Arc<rustls::ClientConfig>>, Ended> {
    let nothing = server::trusting("").map_err(|error| Ended::Environment(error.to_string()))?;
    let (tell, configs) = watch::channel(nothing);
    spawn(tasks, "trust", async move {
        loop {
            let pem = bundle.borrow_and_update().clone();
            match pem.map(|pem| server::trusting(&pem)) {
                Some(Ok(config)) => {
                    tell.send_replace(config);
                }
                Some(Err(error)) => tracing::warn!(%error, "the certificates of other replicas cannot be trusted"),
                None => {}
            }
            if bundle.changed().await.is_err() {
                return;
            }
        }
    });
    Ok(configs)
}

/// Serves admission, with facts that follow the cluster.
pub(super) fn webhook(parts: &Parts<'_>, listener: TcpListener, tasks: &mut Tasks) -> Result<(), Ended> {
    let Parts {
        place,
        known,
        trust,
        notices,
        ..
    } = parts;
    let worlds = &known.feed;
    let resources = inject::Resources::parse(&place.settings.sidecar.resources)
        .map_err(|error| Ended::Settings(format!("sidecar.resources: {error}")))?;
    let sidecar = &place.settings.sidecar;
    let settings = inject::Settings {
        image: sidecar.image.clone(),
        image_pull_policy: sidecar.image_pull_policy.clone(),
        log_level: sidecar.log_level.clone(),
        resources,
        operator: format!("https://{}:{}", trust.server_name, names::PUSH_PORT),
        ca_bundle: String::new(),
        prices: place.settings.price_file(),
    };
    let facts = Arc::new(ArcSwap::from_pointee(webhook::Facts::default()));
    let bundle = trust.serving.bundle();
    let keep = webhook::keep_facts(facts.clone(), settings, worlds.clone(), bundle, place.client.clone());
    spawn(tasks, "webhook's facts", keep);
    let (tell, told) = mpsc::channel(events::QUEUE);
    spawn(
        tasks,
        "webhook's notices",
        told::pass_on(told, worlds.clone(), notices.clone()),
    );
    let webhook = Webhook::new(facts, tell, webhook::Metrics::register(&place.registry)?);
    let stop = flag(place.stopping.clone(), Stage::Gone, tasks);
    let certificates = trust.serving.clone();
    spawn(
        tasks,
        "webhook",
        webhook::serve(listener, certificates, Arc::new(webhook), stop, Duration::from_secs(2)),
    );
    Ok(())
}

/// Serves health and metrics.
pub(super) fn admin(parts: &Parts<'_>, listener: TcpListener, tasks: &mut Tasks) {
    let Parts {
        place,
        known,
        trust,
        secret,
        ..
    } = parts;
    let (worlds, stopping) = (known.feed.clone(), place.stopping.clone());
    let (serving, secret) = (trust.serving.clone(), secret.clone());
    let readiness = move || {
        let mut missing = Vec::new();
        if *stopping.borrow() != Stage::Serving {
            missing.push("this replica ends".to_owned());
        }
        if !worlds.borrow().is_complete {
            missing.push("some watch has not told all there is yet".into());
        }
        if !serving.is_ready() {
            missing.push(format!(
                "there is no certificate yet: the leader makes the Secret {}",
                names::SECRET_TLS
            ));
        }
        if secret.borrow().ready().is_none() {
            missing.push(format!(
                "there is no install secret yet: the leader makes the Secret {}",
                names::SECRET_INSTALL
            ));
        }
        missing
    };
    let (progress, metrics) = (known.progress.clone(), known.metrics.clone());
    let refresh = move || {
        for (kind, age) in progress.ages() {
            metrics.age(&kind, age);
        }
    };
    let registry = place.registry.clone();
    spawn(
        tasks,
        "admin",
        admin::serve(listener, registry, Arc::new(readiness), Arc::new(refresh)),
    );
}
