//! One watch, one task, one backoff per kind. An API server that is away is waited for; a watch that ends is a defect and
//! ends the process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1 as core;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::facts::{Key, Owner};
use crate::index::{Change, Delta};
use crate::metrics::Watching;

/// Time after which the API server ends a watch that it still serves, so that one which is half open is found out.
const LIFE: u32 = 240;
/// Pods that have finished ask for nothing.
const UNFINISHED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// When each watch last heard anything: events, bookmarks, or a list that began again.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<BTreeMap<String, Instant>>>);

/// Where watches bring what they see.
#[derive(Clone, Debug)]
struct Sink {
    changes: mpsc::Sender<Change>,
    progress: Progress,
    metrics: Watching,
}

impl Progress {
    /// Seconds since each watch last heard anything, by kind.
    pub fn ages(&self) -> Vec<(String, f64)> {
        let heard = self.0.lock();
        heard
            .iter()
            .map(|(kind, at)| (kind.clone(), at.elapsed().as_secs_f64()))
            .collect()
    }

    fn heard(&self, kind: &str) {
        let mut heard = self.0.lock();
        match heard.get_mut(kind) {
            Some(at) => *at = Instant::now(),
            None => {
                heard.insert(kind.to_owned(), Instant::now());
            }
        }
    }
}

/// Starts every watch in `tasks`; gives how many there are. ConfigMaps are watched in these namespaces alone, `*` = all.
pub fn start(
    client: &Client,
    tasks: &mut JoinSet<&'static str>,
    changes: &mpsc::Sender<Change>,
    config_maps: &[String],
    progress: &Progress,
    metrics: &Watching,
) -> usize {
    let before = tasks.len();
    let sink = Sink {
        changes: changes.clone(),
        progress: progress.clone(),
        metrics: metrics.clone(),
    };
    let all = Config::default;
    guarded(tasks, &sink, "policies", client, Change::Policies);
    guarded(tasks, &sink, "invalidations", client, Change::Invalidations);
    guarded(tasks, &sink, "limitranges", client, |delta: Delta<core::LimitRange>| {
        Change::LimitRanges(delta.map(Into::into))
    });
    let pods = all().fields(UNFINISHED);
    metadata::<core::Pod>(tasks, &sink, "pods", Api::all(client.clone()), pods, |delta| {
        Change::Pods(delta.map(Into::into))
    });
    metadata::<core::Namespace>(tasks, &sink, "namespaces", Api::all(client.clone()), all(), |delta| {
        Change::Namespaces(delta.map(Into::into))
    });
    owners::<Deployment>(tasks, &sink, "deployments", client);
    owners::<StatefulSet>(tasks, &sink, "statefulsets", client);
    owners::<DaemonSet>(tasks, &sink, "daemonsets", client);
    owners::<ReplicaSet>(tasks, &sink, "replicasets", client);
    owners::<Job>(tasks, &sink, "jobs", client);
    owners::<CronJob>(tasks, &sink, "cronjobs", client);
    for namespace in watched(config_maps) {
        let api = match namespace.as_str() {
            "" => Api::all(client.clone()),
            name => Api::namespaced(client.clone(), name),
        };
        // Empty until it is listed: one whose Role went with its namespace must not keep all else from being told.
        let empty = Change::ConfigMaps(namespace.clone(), Delta::All(Vec::new()));
        if changes.try_send(empty).is_err() {
            tracing::debug!(namespace, "its ConfigMaps are waited for");
        }
        metadata::<core::ConfigMap>(tasks, &sink, "configmaps", api, all(), move |delta| {
            Change::ConfigMaps(namespace.clone(), delta.map(Into::into))
        });
    }
    tasks.len() - before
}

/// The namespaces to watch, each once; empty = all of them.
fn watched(namespaces: &[String]) -> BTreeSet<String> {
    if namespaces.iter().any(|namespace| namespace == "*") {
        return BTreeSet::from([String::new()]);
    }
    namespaces.iter().cloned().collect()
}

fn owners<K>(tasks: &mut JoinSet<&'static str>, sink: &Sink, kind: &'static str, client: &Client)
where
    K: Resource<DynamicType = ()> + k8s_openapi::Resource + Clone + Debug + Send + Sync + 'static,
{
    metadata::<K>(
        tasks,
        sink,
        kind,
        Api::all(client.clone()),
        Config::default(),
        |delta| Change::Owners(K::KIND, delta.map(Owner::from)),
    );
}

/// Follows what the API tells of a kind besides its contents.
fn metadata<K>(
    tasks: &mut JoinSet<&'static str>,
    sink: &Sink,
    kind: &'static str,
    api: Api<PartialObjectMeta<K>>,
    config: Config,
    change: impl Fn(Delta<PartialObjectMeta<K>>) -> Change + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    follow(tasks, sink, kind, api, config, |_, object| Some(object), change);
}

/// Follows whole objects, of which one that is malformed does not break the watch of all others.
fn guarded<K>(
    tasks: &mut JoinSet<&'static str>,
    sink: &Sink,
    kind: &'static str,
    client: &Client,
    change: impl Fn(Delta<K>) -> Change + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let read = move |sink: &Sink, object| sink.sound(kind, object);
    follow(tasks, sink, kind, api, Config::default(), read, change);
}

/// Follows one kind for ever.
fn follow<K, T>(
    tasks: &mut JoinSet<&'static str>,
    sink: &Sink,
    kind: &'static str,
    api: Api<K>,
    config: Config,
    read: impl Fn(&Sink, K) -> Option<T> + Send + 'static,
    change: impl Fn(Delta<T>) -> Change + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    T: Send + 'static,
{
    let events = watcher(api, config.timeout(LIFE)).default_backoff();
    sink.metrics.watched(kind);
    let sink = sink.clone();
    tasks.spawn(async move {
        pump(kind, events.boxed(), read, change, &sink).await;
        kind
    });
}

async fn pump<K, T>(
    kind: &'static str,
    mut events: impl Stream<Item = watcher::Result<Event<K>>> + Unpin,
    read: impl Fn(&Sink, K) -> Option<T>,
    change: impl Fn(Delta<T>) -> Change,
    sink: &Sink,
) where
    K: Resource<DynamicType = ()>,
{
    let (mut listing, mut unreadable) = (Vec::new(), Vec::new());
    loop {
        let event = match events.next().await {
            Some(Ok(event)) => event,
            None => return,
            Some(Err(error)) => {
                sink.metrics.restarted(kind);
                tracing::warn!(kind, %error, "watching again");
                continue;
            }
        };
        sink.progress.heard(kind);
        let delta = match event {
            Event::Init => {
                listing.clear();
                unreadable.clear();
                continue;
            }
            Event::InitApply(object) => {
                let key = Key::of(object.meta());
                match read(sink, object) {
                    Some(object) => listing.push(object),
                    None => unreadable.push(key),
                }
                continue;
            }
            Event::InitDone if unreadable.is_empty() => Delta::All(std::mem::take(&mut listing)),
            Event::InitDone => Delta::AllBut(std::mem::take(&mut listing), std::mem::take(&mut unreadable)),
            Event::Apply(object) => match read(sink, object) {
                Some(object) => Delta::One(Box::new(object)),
                None => continue,
            },
            Event::Delete(object) => Delta::Gone(Key::of(object.meta())),
        };
        if sink.changes.send(change(delta)).await.is_err() {
            return;
        }
    }
}

impl Sink {
    /// An object that could be read; one that could not is counted and skipped, and what was known of it stays.
    fn sound<K>(&self, kind: &'static str, object: DeserializeGuard<K>) -> Option<K> {
        match object.0 {
            Ok(object) => Some(object),
            Err(invalid) => {
                self.metrics.malformed(kind);
                let key = Key::of(&invalid.metadata);
                tracing::warn!(kind, %key, error = invalid.error, "an object that cannot be read is skipped");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_api::{FakeApi, Fault};
    use crate::index::Index;

    #[tokio::test]
    async fn config_maps_that_cannot_be_listed_keep_nobody_waiting() {
        let api = FakeApi::default();
        api.fail_always(Some(Fault::Hang));
        let (changes, mut waiting) = mpsc::channel(8);
        let metrics = Watching::new(&prometheus::Registry::new()).unwrap();
        let mut tasks = JoinSet::new();
        let gone = ["gone".to_owned()];
        let number = start(
            &api.client(),
            &mut tasks,
            &changes,
            &gone,
            &Progress::default(),
            &metrics,
        );
        let mut index = Index::default();
        index.apply(waiting.recv().await.unwrap());
        assert_eq!((number, index.listed()), (12, 1));
        assert!(index.watches_config_maps("gone") && !index.watches_config_maps("shop"));
    }
}
