//! Which part is given what: every channel between the tasks, and the tasks themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use llmcache_policy::names;
use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::feeds::{Books, Feeds};
use super::{Ended, Pod, Ports, Stage};
use crate::ca_bundle;
use crate::certificates::{self, Keeper, Rotation, ServingCertificate};
use crate::credentials;
use crate::events::{self, Notices};
use crate::install_secret;
use crate::invalidation::{self, BanBook};
use crate::lease::{self, Election, Holder, Leadership, Timing};
use crate::metrics::Watching;
use crate::settings::{CertificateMode, Settings};
use crate::sidecars::Sidecars;
use crate::stores::{self, StoreBook};
use crate::watch::{self as watches, Progress};
use crate::world::{self, World, Worlds};

mod duties;
mod servers;

/// Where this replica is, and what it may use.
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) settings: Arc<Settings>,
    pub(super) pod: Pod,
    pub(super) registry: Registry,
    pub(super) stopping: watch::Receiver<Stage>,
}

type Tasks = JoinSet<&'static str>;

/// Starts every task.
pub(super) fn start(place: &Place, listeners: Ports, tasks: &mut Tasks) -> Result<(), Ended> {
    let lead = leadership(place, tasks)?;
    let known = worlds(place, tasks)?;
    let trust = trust(place, &lead, tasks)?;
    let secret = install_secret(place, &lead, tasks);
    let (stores, credentials) = credentials(place, &known.feed, &secret, tasks);
    let (bans_tell, bans) = watch::channel(Arc::new(BanBook::default()));
    spawn(
        tasks,
        "ban book",
        invalidation::keep_book(known.feed.clone(), bans_tell),
    );
    let (notices, waiting) = events::queue();
    spawn(
        tasks,
        "events",
        events::run(waiting, place.client.clone(), place.pod.pod_name.clone()),
    );
    let feeds = Feeds {
        worlds: known.feed.clone(),
        credentials,
        bans,
        trust: trust.serving.bundle(),
    };
    let parts = Parts {
        place,
        lead,
        known,
        trust,
        secret,
        stores,
        sidecars: Sidecars::default(),
        notices,
    };
    servers::push(&parts, feeds, listeners.push, tasks)?;
    servers::webhook(&parts, listeners.webhook, tasks)?;
    duties::start(&parts, tasks)?;
    servers::admin(&parts, listeners.admin, tasks);
    Ok(())
}

/// What the servers and duties are made of.
struct Parts<'a> {
    place: &'a Place,
    lead: Leadership,
    known: Known,
    trust: Trust,
    secret: Secrets,
    stores: Stores,
    sidecars: Sidecars,
    notices: Notices,
}

/// Adds a task that must not end.
fn spawn<T>(tasks: &mut Tasks, name: &'static str, task: impl Future<Output = T> + Send + 'static) {
    tasks.spawn(async move {
        task.await;
        name
    });
}

fn leadership(place: &Place, tasks: &mut Tasks) -> Result<Leadership, Ended> {
    let own = Holder {
        pod: place.pod.pod_name.clone(),
        address: place
            .pod
            .pod_ip
            .ok_or_else(|| Ended::Environment("POD_IP is not set: give it by a fieldRef, as the chart does".into()))?,
    };
    let api: Api<Lease> = Api::namespaced(place.client.clone(), &place.pod.pod_namespace);
    let metrics = lease::Metrics::new(&place.registry)?;
    let election = Election::new(api, names::SERVICE, own, Timing::default(), metrics);
    let leadership = election.leadership();
    let stop = reached(place.stopping.clone(), Stage::Gone);
    spawn(tasks, "lease", election.run(stop));
    Ok(leadership)
}

/// The cluster as it is known.
struct Known {
    feed: Worlds,
    progress: Progress,
    metrics: Watching,
}

fn worlds(place: &Place, tasks: &mut Tasks) -> Result<Known, Ended> {
    let metrics = Watching::new(&place.registry)?;
    let progress = Progress::default();
    let (changes, waiting) = mpsc::channel(world::QUEUE);
    let namespaces = &place.settings.invalidation.watch_namespaces;
    let number = watches::start(&place.client, tasks, &changes, namespaces, &progress, &metrics);
    let (tell, feed) = watch::channel(Arc::new(World::default()));
    spawn(
        tasks,
        "world",
        world::run(waiting, tell, place.settings.clone(), number),
    );
    Ok(Known {
        feed,
        progress,
        metrics,
    })
}

/// What is shown and trusted.
struct Trust {
    serving: Arc<ServingCertificate>,
    rotation: Rotation,
    server_name: String,
}

fn trust(place: &Place, lead: &Leadership, tasks: &mut Tasks) -> Result<Trust, Ended> {
    let namespace = &place.pod.pod_namespace;
    let rotation = Rotation::of_service(&place.settings.service, namespace);
    let server_name = rotation.called.clone();
    let serving = ServingCertificate::new(&server_name, certificates::Metrics::new(&place.registry)?);
    let keeper = Keeper {
        api: Api::<Secret>::namespaced(place.client.clone(), namespace),
        name: names::SECRET_TLS.into(),
        mode: match place.settings.certificates.mode {
            CertificateMode::Own => certificates::Mode::Own,
            CertificateMode::Provided => certificates::Mode::Provided,
        },
        rotation: rotation.clone(),
        leadership: lead.clone(),
        serving: serving.clone(),
    };
    spawn(tasks, "certificates", keeper.run());
    let api: Api<MutatingWebhookConfiguration> = Api::all(place.client.clone());
    let (leadership, bundle) = (lead.clone(), serving.bundle());
    spawn(tasks, "caBundle", async move {
        ca_bundle::run(api, names::SERVICE, leadership, bundle).await
    });
    Ok(Trust {
        serving,
        rotation,
        server_name,
    })
}

type Secrets = watch::Receiver<install_secret::State>;

fn install_secret(place: &Place, lead: &Leadership, tasks: &mut Tasks) -> Secrets {
    let api: Api<Secret> = Api::namespaced(place.client.clone(), &place.pod.pod_namespace);
    let (tell, state) = watch::channel(install_secret::State::default());
    let leadership = lead.clone();
    spawn(tasks, "install secret", async move {
        install_secret::run(api, names::SECRET_INSTALL, leadership, tell).await
    });
    state
}

type Stores = watch::Receiver<Arc<StoreBook>>;

fn credentials(place: &Place, worlds: &Worlds, secret: &Secrets, tasks: &mut Tasks) -> (Stores, Books) {
    let (client, namespace) = (place.client.clone(), place.pod.pod_namespace.clone());
    let empty = StoreBook::new(place.settings.clone(), &namespace, BTreeMap::new());
    let (tell, stores) = watch::channel(Arc::new(empty));
    spawn(
        tasks,
        "stores",
        stores::run(client, namespace, place.settings.clone(), tell),
    );
    let (tell, books) = watch::channel(None);
    let sources = credentials::Sources {
        secret: secret.clone(),
        stores: stores.clone(),
        worlds: worlds.clone(),
    };
    let now = || Timestamp::now().as_millisecond();
    spawn(
        tasks,
        "credentials",
        credentials::run(place.settings.clone(), sources, tell, now),
    );
    (stores, books)
}

/// Ends when this replica has come so far.
async fn reached(mut stopping: watch::Receiver<Stage>, stage: Stage) {
    // Without a sender the process is ending too.
    let _ = stopping.wait_for(|now| *now >= stage).await;
}

/// The same as a flag.
fn flag(stopping: watch::Receiver<Stage>, stage: Stage, tasks: &mut Tasks) -> watch::Receiver<bool> {
    let (tell, flag) = watch::channel(false);
    tasks.spawn(async move {
        reached(stopping, stage).await;
        tell.send_replace(true);
        // Whoever watches the flag must find its end told, not its sender gone.
        std::future::pending::<()>().await;
        "flag"
    });
    flag
}
