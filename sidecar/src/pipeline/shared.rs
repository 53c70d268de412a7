//! What all requests of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use llmcache_cache::budget::Deadline;
use llmcache_cache::lease;
use llmcache_cache::memory::Memory;
use llmcache_cache::redis::{Place, Redis};
use llmcache_cache::seal::{Keyring, NamespaceKey};
use llmcache_cache::single_flight::{Flights, Limits};
use llmcache_cache::tiers::Tiers;
use llmcache_policy::{Revision, Snapshot, Upstreams};
use llmcache_provider::Provider;
use llmcache_provider::request::{NoKey, Opaque};
use tokio::sync::Semaphore;

use super::follow::Head;
use super::prompt_cache::Seen;
use super::result_cache::Asked;
use super::routing;
use super::stored::Stored;
use crate::account::Account;
use crate::client::{Client, TlsError};
use crate::clock::Clock;
use crate::config::Config;
use crate::memory::Budget;
use crate::metrics::{Metrics, Store};
use crate::run::Error;

/// Flights open at once: as many as connections.
const MAX_FLIGHTS: usize = 1_024;
/// Bytes kept for followers over all flights.
const FLIGHT_BYTES: usize = 64 << 20;
/// Refreshes of stale answers under way at once; a reader past it leaves the refresh to a later one.
const MAX_REFRESHES: usize = 64;
/// Time between two looks at a store that is not reached yet.
const WARM_STEP: Duration = Duration::from_millis(5);
/// Keys remembered for `repeatWindow` and `Observe`, about 100 bytes each.
const MAX_ASKED: u64 = 65_536;

/// The state of one sidecar.
pub(crate) struct Pipeline {
    /// The policy in force.
    pub snapshot: Snapshot,
    /// Its content hash.
    pub revision: Revision,
    /// The namespace's key.
    pub key: NamespaceKey,
    /// The key before it, under which answers may still be stored.
    pub previous_key: Option<NamespaceKey>,
    /// The time by which answers age.
    pub clock: Clock,
    /// Room for buffered bodies.
    pub budget: Budget,
    /// The result cache's tiers.
    pub tiers: Tiers,
    /// Calls under way.
    pub flights: Flights<Head, Stored>,
    /// Leave to refresh a stale answer behind its readers.
    pub refreshes: Arc<Semaphore>,
    /// Clients' last questions, for `repeatWindow`.
    pub repeats: Asked,
    /// Would-be entries of `Observe`.
    pub observed: Asked,
    /// Routing's choices.
    pub memory: routing::Memory,
    /// Prefixes seen before.
    pub seen: Seen,
    /// Ledger and prices.
    pub account: Arc<Account>,
    /// All metric families.
    pub metrics: Arc<Metrics>,
    anthropic: Client,
    openai: Client,
    started: Timestamp,
    id_prefix: String,
    ids: AtomicU64,
}

impl Pipeline {
    /// Builds everything a request needs, or says which setting is wrong.
    pub(crate) fn new(config: Config) -> Result<Arc<Self>, Error> {
        let Config {
            snapshot,
            namespace,
            redis,
            secret,
            previous_secret,
            prices,
            ..
        } = config;
        let derive = |secret: Vec<u8>| {
            let key = llmcache_policy::NamespaceKey::derive(&secret, &namespace);
            key.map(|key| NamespaceKey::new(key.bytes(), key.redis_prefix()))
                .map_err(|error| Error::Secret(error.to_string()))
        };
        let key = derive(secret)?;
        let previous_key = previous_secret.map(derive).transpose()?;
        let policy = snapshot.identity.name.clone();
        let result_cache = &snapshot.result_cache;
        let life = |milliseconds| Duration::from_millis(milliseconds);
        let keys = Keyring {
            newest: key.clone(),
            previous: previous_key.clone(),
        };
        let shared = redis.map(|server| Redis::open(&server, place(&snapshot, keys.clone())));
        let notes = shared.as_ref().map(|redis| redis.notes(routing::CONVERSATION_IDLE));
        let metrics = Arc::new(Metrics::new(&policy, REASONS)?);
        let started = Timestamp::now();
        let limits = Limits {
            flights: MAX_FLIGHTS,
            body_bytes: max_entry_bytes(&snapshot),
            total_bytes: FLIGHT_BYTES,
        };
        let longest_ttl = longest_ttl_ms(&snapshot);
        let (anthropic, openai) = clients(&snapshot.upstreams)?;
        Ok(Arc::new(Self {
            revision: snapshot.revision(),
            budget: Budget::of_container(),
            tiers: Tiers::new(Memory::new(result_cache.memory_bytes), shared),
            flights: Flights::new(limits),
            refreshes: Arc::new(Semaphore::new(MAX_REFRESHES)),
            repeats: Asked::new(MAX_ASKED, life(result_cache.repeat_window_ms.max(1))),
            observed: Asked::new(MAX_ASKED, life(longest_ttl.max(1))),
            memory: routing::Memory::new(keys, policy, notes),
            seen: Seen::new(key.clone(), snapshot.prompt_cache.ttl),
            account: Account::new(prices, metrics.clone(), started),
            metrics,
            anthropic,
            openai,
            started,
            id_prefix: hex::encode(&key.mac("id").update(started.to_string().as_bytes()).clone().finish().0[..4]),
            ids: AtomicU64::new(0),
            key,
            previous_key,
            clock: Clock::start(),
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

    /// A new request id, unique in this process and unlikely elsewhere.
    pub(crate) fn next_id(&self) -> String {
        format!("lc_{}{:08x}", self.id_prefix, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the shared store is avoided now; none without one.
    pub(crate) fn is_store_avoided(&self) -> Option<bool> {
        let stats = self.tiers.shared.as_ref()?.stats();
        Some(stats.breaker_open.load(Ordering::Relaxed) > 0)
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
    }

    /// The exposition of all families.
    pub(crate) fn metrics_text(&self) -> Result<String, prometheus::Error> {
        let age = Timestamp::now().duration_since(self.started);
        self.metrics.snapshot_age(age.unsigned_abs());
        if let Some(redis) = &self.tiers.shared {
            let stats = redis.stats();
            self.metrics.store(Store::Redis, stats);
        }
        self.metrics.render()
    }
}

/// Where this policy's answers live on a shared store.
fn place(snapshot: &Snapshot, keys: Keyring) -> Place {
    let policy = &snapshot.result_cache;
    Place {
        keys,
        policy: snapshot.identity.name.clone(),
        value_bytes: max_entry_bytes(snapshot),
        longest_life: Duration::from_millis(policy.max_age_ms.max(policy.embeddings.max_age_ms)),
        lease: lease::LENGTH,
    }
}

fn max_entry_bytes(snapshot: &Snapshot) -> usize {
    usize::try_from(snapshot.result_cache.max_entry_bytes).unwrap_or(usize::MAX)
}

/// A client for each provider; the same one where both trust the same certificates, which are many to keep twice.
fn clients(upstreams: &Upstreams) -> Result<(Client, Client), TlsError> {
    let (anthropic, openai) = (&upstreams.anthropic.ca_bundle, &upstreams.openai.ca_bundle);
    let client = Client::new(anthropic.as_deref())?;
    let other = if anthropic == openai {
        client.clone()
    } else {
        Client::new(openai.as_deref())?
    };
    Ok((client, other))
}

/// The words with which a layer says why it did not act; their series exist from the start.
const REASONS: crate::metrics::Bypasses<'static> = &[
    ("parse", &["compressed", "cut", "endpoint", "memory", "too_large"]),
    ("parse", &Opaque::WORDS),
    ("routing", &[routing::FALLBACK, routing::RESCUE]),
    ("routing", routing::KEPT),
    (
        "result_cache",
        &[
            "class",
            "disabled",
            "internal",
            "no_store",
            "no_tenant",
            "observe_hit",
            "observe_miss",
            "sampled",
        ],
    ),
    ("result_cache", &NoKey::WORDS),
    (
        "store",
        &[
            "banned",
            "cancelled",
            "empty",
            "error_event",
            "expired",
            "failed",
            routing::FALLBACK,
            "internal",
            "malformed",
            "no_lease",
            "paused",
            "refused",
            routing::RESCUE,
            "status",
            "tags",
            "too_large",
            "tool_use",
            "truncated",
            "unfinished",
            "unknown",
            "unmerged",
            "upstream_cut",
        ],
    ),
];

/// The longest fresh life of any answer under a policy.
fn longest_ttl_ms(snapshot: &Snapshot) -> u64 {
    let classes = snapshot.ttl_classes.iter().map(|class| class.ttl_ms);
    classes
        .chain([snapshot.result_cache.embeddings.ttl_ms])
        .max()
        .unwrap_or_default()
}
