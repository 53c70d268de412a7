//! What all requests under one policy share; what need not change with the policy is carried over to the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use llmcache_cache::budget::{Deadline, StoreStats};
use llmcache_cache::lease;
use llmcache_cache::memory::Memory;
use llmcache_cache::redis::{Place, Redis, Server};
use llmcache_cache::seal::{Keyring, NamespaceKey};
use llmcache_cache::single_flight::{Flights, Limits};
use llmcache_cache::tiers::Tiers;
use llmcache_policy::{Revision, Snapshot, Upstream};
use llmcache_provider::Provider;
use llmcache_semantic::qdrant;
use tokio::sync::Semaphore;

use super::follow::Head;
use super::prompt_cache::Seen;
use super::result_cache::Asked;
use super::routing;
use super::semantic_cache::Semantic;
use super::stored::Stored;
use crate::account::Account;
use crate::client::{Client, TlsError};
use crate::clock::Clock;
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::process::Process;

/// Flights open at once: as many as connections.
const MAX_FLIGHTS: usize = 1_024;
/// Bytes kept for followers over all flights.
const FLIGHT_BYTES: usize = 64 << 20;
/// Time between two looks at a store that is not reached yet.
const WARM_STEP: Duration = Duration::from_millis(5);
/// Keys remembered for `repeatWindow` and `Observe`, about 100 bytes each.
const MAX_ASKED: u64 = 65_536;

/// One policy in force, with the state of everything that executes it.
pub(crate) struct Pipeline {
    /// The policy.
    pub snapshot: Snapshot,
    /// Its content hash; empty = no policy.
    pub revision: Revision,
    /// The namespace's key.
    pub key: NamespaceKey,
    /// The key before it, under which answers may still be stored.
    pub previous_key: Option<NamespaceKey>,
    /// The time by which answers age.
    pub clock: Arc<Clock>,
    /// Room for buffered bodies.
    pub budget: Budget,
    /// The result cache's tiers.
    pub tiers: Arc<Tiers>,
    /// The semantic cache; none = the policy has none.
    pub semantic: Option<Arc<Semantic>>,
    /// Calls under way.
    pub flights: Flights<Head, Stored>,
    /// Leave to refresh a stale answer behind its readers.
    pub refreshes: Arc<Semaphore>,
    /// Clients' last questions, for `repeatWindow`.
    pub repeats: Asked,
    /// Would-be entries of `Observe`.
    pub observed: Asked,
    /// Routing's choices.
    pub memory: Arc<routing::Memory>,
    /// Prefixes seen before.
    pub seen: Arc<Seen>,
    /// Ledger and prices.
    pub account: Arc<Account>,
    /// All metric families.
    pub metrics: Arc<Metrics>,
    process: Process,
    stores: Stores,
    anthropic: Client,
    openai: Client,
}

/// What a pipeline is built from besides the process.
pub(crate) struct Terms {
    /// What to execute.
    pub snapshot: Snapshot,
    /// Its name; empty = no policy.
    pub revision: Revision,
    /// Where answers are kept.
    pub stores: Stores,
}

/// The keys of the namespace and the shared store, if any.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stores {
    /// Names and seals what is written.
    pub key: llmcache_policy::NamespaceKey,
    /// The key before it; none = it never changed.
    pub previous_key: Option<llmcache_policy::NamespaceKey>,
    /// The shared store; none = in-process only.
    pub redis: Option<Server>,
    /// The shared index of the semantic cache; none = in-process only.
    pub qdrant: Option<qdrant::Server>,
}

impl Pipeline {
    /// Builds everything a request needs. What the policy before has that is still right goes on as it is: answers and
    /// bans where key, store and policy's name are the same, calls under way, memories, connections.
    pub(crate) fn build(process: &Process, terms: Terms, before: Option<&Self>) -> Result<Arc<Self>, TlsError> {
        let Terms {
            snapshot,
            revision,
            stores,
        } = terms;
        // First, since it alone can fail: what is carried over must not have taken other bounds then.
        let (anthropic, openai) = clients(&snapshot, before)?;
        let sealing = |key: &llmcache_policy::NamespaceKey| NamespaceKey::new(key.bytes(), key.redis_prefix());
        let keys = Keyring {
            newest: sealing(&stores.key),
            previous: stores.previous_key.as_ref().map(sealing),
        };
        let kin =
            before.filter(|before| before.stores == stores && before.snapshot.identity.name == snapshot.identity.name);
        let tiers = tiers(&snapshot, &keys, &stores, kin);
        let memory = kin.map_or_else(
            || {
                let notes = tiers
                    .shared
                    .as_ref()
                    .map(|redis| redis.notes(routing::CONVERSATION_IDLE));
                let policy = snapshot.identity.name.clone();
                Arc::new(routing::Memory::new(keys.clone(), policy, notes))
            },
            |kin| kin.memory.clone(),
        );
        let semantic = Semantic::build(
            process,
            &snapshot,
            &keys,
            &stores,
            &tiers,
            kin.and_then(|kin| kin.semantic.as_deref()),
        );
        let (repeat_ms, longest_ttl) = (snapshot.result_cache.repeat_window_ms, longest_ttl_ms(&snapshot));
        Ok(Arc::new(Self {
            revision,
            clock: process.clock.clone(),
            budget: process.budget.clone(),
            tiers,
            semantic,
            flights: flights(&snapshot, before),
            refreshes: process.refreshes.clone(),
            repeats: asked(repeat_ms, kin.map(|kin| &kin.repeats)),
            observed: asked(longest_ttl, kin.map(|kin| &kin.observed)),
            memory,
            seen: seen(&snapshot, &keys.newest, kin),
            account: process.account.clone(),
            metrics: process.metrics.clone(),
            process: process.clone(),
            anthropic,
            openai,
            key: keys.newest,
            previous_key: keys.previous,
            stores,
            snapshot,
        }))
    }

    /// Routing's view of this process at a moment.
    pub(crate) fn routing(&self, at: Timestamp) -> routing::Context<'_> {
        routing::Context {
            policy: &self.snapshot,
            memory: &self.memory,
            prices: self.account.prices(),
            at,
        }
    }

    /// The base URL of a provider's upstream.
    pub(crate) fn base(&self, provider: Provider) -> &str {
        match provider {
            Provider::Anthropic => &self.snapshot.upstreams.anthropic.url,
            Provider::OpenAi => &self.snapshot.upstreams.openai.url,
        }
    }

    /// The client of a provider's upstream.
    pub(crate) fn client(&self, provider: Provider) -> &Client {
        match provider {
            Provider::Anthropic => &self.anthropic,
            Provider::OpenAi => &self.openai,
        }
    }

    /// Whether answers and bans are the very same as another's.
    pub(crate) fn has_stores_of(&self, other: &Self) -> bool {
        std::ptr::eq(self.tiers.bans(), other.tiers.bans())
    }

    /// Name of the service account this process runs under; empty outside a cluster.
    pub(crate) fn service_account(&self) -> &str {
        &self.process.service_account
    }

    /// A new request id, unique in this process and unlikely elsewhere.
    pub(crate) fn next_id(&self) -> String {
        self.process.next_id()
    }

    /// Whether the shared store is avoided now; none without one.
    pub(crate) fn is_store_avoided(&self) -> Option<bool> {
        self.tiers.shared.as_ref().map(|redis| is_avoided(redis.stats()))
    }

    /// Whether the shared index is avoided now; none without one.
    pub(crate) fn is_index_avoided(&self) -> Option<bool> {
        self.semantic.as_ref()?.index().map(is_avoided)
    }

    /// Waits until the shared store, if any, can be used, or `longest`.
    pub(crate) async fn warm(&self, longest: Duration) {
        let Some(redis) = &self.tiers.shared else { return };
        let reached = async {
            while !redis.lease(Deadline::after(longest)).await {
                tokio::time::sleep(WARM_STEP).await;
            }
        };
        if tokio::time::timeout(longest, reached).await.is_err() {
            tracing::warn!("serving before the shared store is reached; until then nothing is cached");
        }
    }

    /// Waits until the shared store, if any, was offered every answer admitted so far.
    pub(crate) async fn flush(&self) {
        if let Some(redis) = &self.tiers.shared {
            redis.flush().await;
        }
        if let Some(semantic) = &self.semantic {
            semantic.flush().await;
        }
    }
}

fn is_avoided(stats: &StoreStats) -> bool {
    stats.breaker_open.load(Ordering::Relaxed) > 0
}

impl From<llmcache_policy::NamespaceKey> for Stores {
    fn from(key: llmcache_policy::NamespaceKey) -> Self {
        Self {
            key,
            previous_key: None,
            redis: None,
            qdrant: None,
        }
    }
}

/// The tiers of the policy before, in the bounds of this one, or new ones.
fn tiers(snapshot: &Snapshot, keys: &Keyring, stores: &Stores, kin: Option<&Pipeline>) -> Arc<Tiers> {
    let capacity = snapshot.result_cache.memory_bytes;
    let Some(kin) = kin else {
        let shared = stores.redis.as_ref();
        let shared = shared.map(|server| Redis::open(server, place(snapshot, keys.clone())));
        return Arc::new(Tiers::new(Memory::new(capacity), shared));
    };
    if let Some(redis) = &kin.tiers.shared {
        redis.bound(max_entry_bytes(snapshot), longest_life(snapshot));
    }
    if kin.snapshot.result_cache.memory_bytes == capacity {
        kin.tiers.clone()
    } else {
        Arc::new(kin.tiers.with_capacity(capacity))
    }
}

/// Their names hold key and policy, so that those of any policies may be side by side.
fn flights(snapshot: &Snapshot, before: Option<&Pipeline>) -> Flights<Head, Stored> {
    let limits = Limits {
        flights: MAX_FLIGHTS,
        body_bytes: max_entry_bytes(snapshot),
        total_bytes: FLIGHT_BYTES,
    };
    match before {
        Some(before) if max_entry_bytes(&before.snapshot) == limits.body_bytes => before.flights.clone(),
        _ => Flights::new(limits),
    }
}

fn asked(life_ms: u64, before: Option<&Asked>) -> Asked {
    let life = Duration::from_millis(life_ms.max(1));
    match before {
        Some(before) if before.life() == life => before.clone(),
        _ => Asked::new(MAX_ASKED, life),
    }
}

fn seen(snapshot: &Snapshot, key: &NamespaceKey, kin: Option<&Pipeline>) -> Arc<Seen> {
    let ttl = snapshot.prompt_cache.ttl;
    match kin {
        Some(kin) if kin.snapshot.prompt_cache.ttl == ttl => kin.seen.clone(),
        _ => Arc::new(Seen::new(key.clone(), ttl)),
    }
}

/// Where this policy's answers live on a shared store.
fn place(snapshot: &Snapshot, keys: Keyring) -> Place {
    Place {
        keys,
        policy: snapshot.identity.name.clone(),
        value_bytes: max_entry_bytes(snapshot),
        longest_life: longest_life(snapshot),
        lease: lease::LENGTH,
    }
}

fn longest_life(snapshot: &Snapshot) -> Duration {
    let policy = &snapshot.result_cache;
    Duration::from_millis(policy.max_age_ms.max(policy.embeddings.max_age_ms))
}

fn max_entry_bytes(snapshot: &Snapshot) -> usize {
    usize::try_from(snapshot.result_cache.max_entry_bytes).unwrap_or(usize::MAX)
}

/// A client for each provider; the same one where both trust the same certificates, which are many to keep twice.
fn clients(snapshot: &Snapshot, before: Option<&Pipeline>) -> Result<(Client, Client), TlsError> {
    let trusted = |upstream: &Upstream| upstream.ca_bundle.clone();
    let (anthropic, openai) = (&snapshot.upstreams.anthropic, &snapshot.upstreams.openai);
    let known = before.map(|before| {
        let upstreams = &before.snapshot.upstreams;
        [
            (trusted(&upstreams.anthropic), &before.anthropic),
            (trusted(&upstreams.openai), &before.openai),
        ]
    });
    let client = |bundle: Option<String>| match known.iter().flatten().find(|(known, _)| *known == bundle) {
        Some((_, client)) => Ok((*client).clone()),
        None => Client::new(bundle.as_deref()),
    };
    let first = client(trusted(anthropic))?;
    let second = if trusted(anthropic) == trusted(openai) {
        first.clone()
    } else {
        client(trusted(openai))?
    };
    Ok((first, second))
}

/// The longest fresh life of any answer under a policy.
fn longest_ttl_ms(snapshot: &Snapshot) -> u64 {
    let classes = snapshot.ttl_classes.iter().map(|class| class.ttl_ms);
    classes
        .chain([snapshot.result_cache.embeddings.ttl_ms])
        .max()
        .unwrap_or_default()
}
