//! The policy in force: changed whole and at once, while requests under way keep the one they began with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use llmcache_policy::{Identity, NamespaceKey, Revision, Snapshot};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::client::TlsError;
use crate::memory;
use crate::metrics::Store;
use crate::own_upstream::OwnUpstreams;
use crate::pipeline::{Pipeline, Stores, Terms};
use crate::process::Process;
use crate::push::Told;

mod check;

pub(crate) use check::url_problem;

/// The policy in force, and what it takes to build the next.
pub(crate) struct InForce {
    process: Process,
    current: ArcSwap<Pipeline>,
    /// One change at a time.
    change: Mutex<Change>,
    own: OwnUpstreams,
    memory_limit: Option<usize>,
    confirmed: Mutex<Instant>,
    notes: Mutex<BTreeMap<&'static str, String>>,
    told: Told,
}

struct Change {
    /// As it was offered, before the pod's own addresses and bounds.
    snapshot: Snapshot,
    revision: Revision,
    stores: Stores,
    clamped: Vec<String>,
}

/// Topic of `/readyz`: whether the namespace's key is known.
const CREDENTIALS: &str = "credentials";
/// Topic of `/readyz`: whether a policy is known.
const POLICY: &str = "policy";

impl InForce {
    /// One policy for the life of the process, with stores that are not the policy's to choose.
    pub(crate) fn fixed(process: Process, snapshot: Snapshot, stores: Stores) -> Result<Self, TlsError> {
        let terms = Terms {
            revision: snapshot.revision(),
            snapshot: snapshot.clone(),
            stores: stores.clone(),
        };
        let pipeline = Pipeline::build(&process, terms, None)?;
        Ok(Self::new(
            process,
            pipeline,
            snapshot,
            stores,
            OwnUpstreams::default(),
            None,
        ))
    }

    /// No policy yet, and a key that no other process has: nothing is cached, everything is passed through.
    pub(crate) fn pass_through(
        process: Process,
        own: OwnUpstreams,
        memory_limit: Option<usize>,
    ) -> Result<Self, TlsError> {
        let mut secret = [0; 32];
        if getrandom::fill(&mut secret).is_err() {
            return Err(TlsError::new("the operating system gives no random bytes"));
        }
        let stores = Stores::from(NamespaceKey::new(secret));
        let snapshot = Snapshot::pass_through();
        let terms = Terms {
            snapshot: own.over(snapshot.clone()),
            revision: Revision(String::new()),
            stores: stores.clone(),
        };
        let pipeline = Pipeline::build(&process, terms, None)?;
        let in_force = Self::new(process, pipeline, snapshot, stores, own, memory_limit);
        in_force.change.lock().revision = Revision(String::new());
        in_force.note(
            CREDENTIALS,
            Some("none yet: a random key of this process, stores in process".into()),
        );
        in_force.note(POLICY, Some("none yet: every request passes through".into()));
        Ok(in_force)
    }

    fn new(
        process: Process,
        pipeline: Arc<Pipeline>,
        snapshot: Snapshot,
        stores: Stores,
        own: OwnUpstreams,
        memory_limit: Option<usize>,
    ) -> Self {
        let change = Change {
            revision: pipeline.revision.clone(),
            snapshot,
            stores,
            clamped: Vec::new(),
        };
        process
            .metrics
            .policy(&change.snapshot.identity.name, &change.revision.0);
        Self {
            process,
            current: ArcSwap::new(pipeline),
            change: Mutex::new(change),
            own,
            memory_limit,
            confirmed: Mutex::new(Instant::now()),
            notes: Mutex::default(),
            told: Told::default(),
        }
    }

    /// What a request that begins now goes through.
    pub(crate) fn pipeline(&self) -> Arc<Pipeline> {
        self.current.load_full()
    }

    /// What outlives policies.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Bans that the operator told.
    pub(crate) fn told(&self) -> &Told {
        &self.told
    }

    /// Revision in force (empty = no policy), and whose it is.
    pub(crate) fn standing(&self) -> (Revision, Identity) {
        let change = self.change.lock();
        (change.revision.clone(), change.snapshot.identity.clone())
    }

    /// Puts a policy in force; gives what the pod's memory limit lowered, or says why it cannot be executed.
    pub(crate) fn apply(&self, snapshot: Snapshot, revision: Revision) -> Result<Vec<String>, String> {
        check::check(&snapshot)?;
        let mut change = self.change.lock();
        if change.revision == revision && change.snapshot == snapshot {
            self.note(POLICY, None);
            return Ok(change.clamped.clone());
        }
        let mut bounded = self.own.over(snapshot.clone());
        let clamped = self
            .memory_limit
            .map(|limit| memory::clamp(&mut bounded, limit))
            .unwrap_or_default();
        let stores = change.stores.clone();
        self.swap(bounded, revision.clone(), &stores)
            .map_err(|error| format!("upstreams: {error}"))?;
        self.note(POLICY, None);
        tracing::info!(
            policy = snapshot.identity.name,
            generation = snapshot.identity.generation,
            revision = revision.0,
            "policy in force"
        );
        *change = Change {
            snapshot,
            revision,
            stores,
            clamped: clamped.clone(),
        };
        Ok(clamped)
    }

    /// Puts "no policy" in force: every request passes through.
    pub(crate) fn apply_none(&self) -> Result<Vec<String>, String> {
        let done = self.apply(Snapshot::pass_through(), Revision(String::new()));
        self.note(
            POLICY,
            Some("none applies to this pod: every request passes through".into()),
        );
        done
    }

    /// Uses these keys and this store from now on.
    pub(crate) fn enter(&self, stores: Stores) -> Result<(), TlsError> {
        let mut change = self.change.lock();
        self.note(CREDENTIALS, None);
        if change.stores == stores {
            return Ok(());
        }
        let pipeline = self.pipeline();
        self.swap(pipeline.snapshot.clone(), change.revision.clone(), &stores)?;
        change.stores = stores;
        tracing::info!("the namespace's key and stores are in use");
        Ok(())
    }

    fn swap(&self, snapshot: Snapshot, revision: Revision, stores: &Stores) -> Result<(), TlsError> {
        let redis = stores.redis.clone().filter(|_| snapshot.store_class.is_some());
        let qdrant = stores.qdrant.clone().filter(|_| redis.is_some());
        let stores = Stores {
            redis,
            qdrant,
            ..stores.clone()
        };
        let terms = Terms {
            snapshot,
            revision,
            stores,
        };
        let before = self.pipeline();
        let pipeline = Pipeline::build(&self.process, terms, Some(&before))?;
        if !pipeline.has_stores_of(&before) {
            let policy = &pipeline.snapshot.identity.name;
            self.told.carry(&pipeline.tiers, policy, pipeline.clock.now_ms());
        }
        self.process
            .metrics
            .policy(&pipeline.snapshot.identity.name, &pipeline.revision.0);
        self.current.store(pipeline);
        self.confirm();
        Ok(())
    }

    /// An operator said just now that what is in force is right.
    pub(crate) fn confirm(&self) {
        *self.confirmed.lock() = Instant::now();
    }

    /// Says on `/readyz` what is degraded about a topic, or that nothing is any more.
    pub(crate) fn note(&self, topic: &'static str, reason: Option<String>) {
        let mut notes = self.notes.lock();
        match reason {
            Some(reason) => notes.insert(topic, reason),
            None => notes.remove(topic),
        };
    }

    /// What is degraded, one line each.
    pub(crate) fn notes(&self) -> Vec<String> {
        let semantic = self.pipeline().semantic.as_ref().and_then(|semantic| semantic.off());
        let notes = self.notes.lock();
        let notes = notes.iter().map(|(topic, reason)| format!("{topic}: {reason}"));
        notes
            .chain(semantic.map(|reason| format!("semantic cache: off: {reason}")))
            .collect()
    }

    /// The exposition of all families.
    pub(crate) fn metrics_text(&self) -> Result<String, prometheus::Error> {
        let metrics = &self.process.metrics;
        metrics.snapshot_age(self.confirmed.lock().elapsed());
        let pipeline = self.pipeline();
        if let Some(redis) = &pipeline.tiers.shared {
            metrics.store(Store::Redis, redis.stats());
        }
        match &pipeline.semantic {
            Some(semantic) => semantic.publish(metrics, self.process.clock.now_ms()),
            None => metrics.forget_classes(),
        }
        if let Some(stats) = pipeline.semantic.as_ref().and_then(|semantic| semantic.index()) {
            metrics.store(Store::Qdrant, stats);
        }
        if let Ok(embedder) = &self.process.embedder {
            metrics.embedder(embedder);
        }
        metrics.render()
    }

    /// Waits until the shared store, if any, was offered every answer admitted so far, or `longest`.
    pub(crate) async fn flush(&self, longest: Duration) {
        if tokio::time::timeout(longest, self.pipeline().flush()).await.is_err() {
            tracing::warn!("the shared store did not take the last answers in time");
        }
    }
}
