//! Which part is given what: every channel between the tasks, and the tasks themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use llmcache_policy::names;
use prometheus::Registry;
use rustls::pki_types::ServerName;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::feeds::{Books, Feeds};
use super::{Ended, Pod, Ports, Stage, server, told};
use crate::certificates::{self, Keeper, LeafTerms, Rotation, ServingCertificate};
use crate::credentials;
use crate::events::{self, Notices};
use crate::identity::{self, Identity};
use crate::inject;
use crate::install_secret;
use crate::invalidation::{self, BanBook};
use crate::lease::{self, Election, Holder, Leadership, Timing};
use crate::metrics::{Pushing, Reporting, Watching, counters, int_gauge};
use crate::push;
use crate::settings::{CertificateMode, Settings};
use crate::sidecars::Sidecars;
use crate::status;
use crate::stores::{self, StoreBook, acl, chart_redis};
use crate::watch::{self as watches, Progress};
use crate::webhook::{self, Webhook};
use crate::world::{self, World, Worlds};
use crate::{admin, ca_bundle, on_change, watchdog};

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
pub(super) fn start(place: &Place, ports: Ports, tasks: &mut Tasks) -> Result<(), Ended> {
    let lead = leadership(place, tasks)?;
    let worlds = worlds(place, tasks)?;
    let trust = trust(place, &lead, tasks)?;
    let secret = install_secret(place, &lead, tasks);
    let (stores, credentials) = credentials(place, &worlds.feed, &secret, tasks);
    let (bans_tell, bans) = watch::channel(Arc::new(BanBook::default()));
    spawn(
        tasks,
        "ban book",
        invalidation::keep_book(worlds.feed.clone(), bans_tell),
    );
    let (notices, waiting) = events::queue();
    spawn(
        tasks,
        "events",
        events::run(waiting, place.client.clone(), place.pod.pod_name.clone()),
    );
    let sidecars = Sidecars::default();
    let service = Feeds {
        worlds: worlds.feed.clone(),
        credentials,
        bans,
        trust: trust.serving.bundle(),
    };
    serve_push(place, &trust, &lead, service, &sidecars, ports.push, tasks)?;
    serve_webhook(place, &trust, &worlds.feed, &notices, ports.webhook, tasks)?;
    duties(
        place,
        &worlds.feed,
        &lead,
        &trust,
        (&stores, &secret),
        &sidecars,
        &notices,
        tasks,
    )?;
    serve_admin(place, worlds, trust.serving, secret, ports.admin, tasks);
    Ok(())
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

fn serve_push(
    place: &Place,
    trust: &Trust,
    lead: &Leadership,
    feeds: Feeds,
    sidecars: &Sidecars,
    listener: tokio::net::TcpListener,
    tasks: &mut Tasks,
) -> Result<(), Ended> {
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

fn serve_webhook(
    place: &Place,
    trust: &Trust,
    worlds: &Worlds,
    notices: &Notices,
    listener: tokio::net::TcpListener,
    tasks: &mut Tasks,
) -> Result<(), Ended> {
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

#[expect(
    clippy::too_many_arguments,
    reason = "the leader's duties need what everything else made"
)]
fn duties(
    place: &Place,
    worlds: &Worlds,
    lead: &Leadership,
    trust: &Trust,
    (stores, secret): (&Stores, &Secrets),
    sidecars: &Sidecars,
    notices: &Notices,
    tasks: &mut Tasks,
) -> Result<(), Ended> {
    let (registry, leads, client) = (&place.registry, lead, &place.client);
    let writer = status::Writer {
        client: client.clone(),
        worlds: worlds.clone(),
        sidecars: sidecars.clone(),
        leads: leads.clone(),
        metrics: Reporting::new(registry)?,
        version: env!("CARGO_PKG_VERSION"),
        watched: Arc::new(|world, judged| on_change::seen(&judged.policy, &world.index)),
    };
    spawn(tasks, "status", writer.run());
    let duty = invalidation::Duty {
        client: client.clone(),
        sidecars: sidecars.clone(),
        leads: leads.clone(),
        notices: notices.clone(),
        results: counters(
            registry,
            "invalidations_total",
            "Invalidations by what came of them.",
            "result",
        )?,
    };
    spawn(tasks, "invalidations", invalidation::run(worlds.clone(), duty));
    let changes = on_change::run(worlds.clone(), leads.clone(), client.clone(), notices.clone());
    spawn(tasks, "onChange", changes);
    let sources = acl::Sources {
        worlds: worlds.clone(),
        stores: stores.clone(),
        secret: secret.clone(),
        leads: leads.clone(),
    };
    let counted = counters(registry, "acl_writes_total", "Redis users written.", "result")?;
    spawn(tasks, "Redis users", acl::run(sources, counted));
    if place.settings.redis.enabled {
        spawn(
            tasks,
            "chart's Redis",
            chart_redis::run(chart_redis_duty(place, lead, trust)),
        );
    }
    let duty = watchdog::Duty {
        sidecars: sidecars.clone(),
        leads: leads.clone(),
        notices: notices.clone(),
        uninjected: int_gauge(
            registry,
            "uninjected_pods",
            "Pods that ask for a sidecar and have none after 60 s.",
        )?,
        without_traffic: int_gauge(registry, "injected_without_traffic", "Sidecars that nobody calls.")?,
    };
    spawn(tasks, "watchdog", watchdog::run(worlds.clone(), duty));
    let refused = watchdog::watch_refused(client.clone(), worlds.clone(), leads.clone(), notices.clone());
    spawn(tasks, "refused pods", refused);
    Ok(())
}

fn chart_redis_duty(place: &Place, lead: &Leadership, trust: &Trust) -> chart_redis::Duty {
    let (serving, lifetime) = (trust.serving.clone(), trust.rotation.leaf);
    chart_redis::Duty {
        client: place.client.clone(),
        namespace: place.pod.pod_namespace.clone(),
        issue: Arc::new(move |names| {
            let terms = LeafTerms {
                names: names.to_vec(),
                lifetime,
            };
            let issued = serving
                .issue_leaf(SystemTime::now(), &terms)
                .map_err(|error| error.to_string())?;
            Ok(chart_redis::Leaf {
                certificate: issued.certificate_pem(),
                key: issued.key_pem().to_owned().into(),
                ca: serving.bundle_pem().as_deref().unwrap_or_default().to_owned(),
            })
        }),
        ca: trust.serving.bundle(),
        leads: lead.clone(),
    }
}

fn serve_admin(
    place: &Place,
    known: Known,
    serving: Arc<ServingCertificate>,
    secret: Secrets,
    listener: tokio::net::TcpListener,
    tasks: &mut Tasks,
) {
    let (worlds, stopping) = (known.feed, place.stopping.clone());
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
    let (progress, metrics) = (known.progress, known.metrics);
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
