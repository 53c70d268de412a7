//! Whether and under which key a request may be cached: pure but for the repeat memory.

use std::time::Duration;

use http::HeaderMap;
use llmcache_cache::bans::Stamp;
use llmcache_cache::seal::{Digest, Keys, Mac, NamespaceKey};
use llmcache_policy::result_cache::{Sampled, StoredResponses};
use llmcache_policy::ttl_class::{Facts, TtlClass};
use llmcache_policy::{Mode, Snapshot, keyword};
use llmcache_provider::{Endpoint, Provider};

use crate::pipeline::scope::{self, Scope};
use crate::pipeline::{Exchange, Pipeline};

/// Where an answer is kept, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Names the answer.
    pub keys: Keys,
    /// The client wants a fresh answer: not looked up, neither leads nor follows, replaces the entry.
    pub is_refresh: bool,
    /// Digest of the credential.
    pub credential: Digest,
    /// Tags of the entry; `Err` = why it must not be stored.
    pub tags: Result<Vec<String>, &'static str>,
    class: usize,
}

impl Plan {
    /// What any cache decides alike for an answer: whether a sampled one may be kept, its class, its tags.
    pub(crate) fn new(
        pipeline: &Pipeline,
        exchange: &Exchange,
        scope: &Scope,
        keys: impl FnOnce() -> Keys,
    ) -> Result<Self, &'static str> {
        let policy = &pipeline.snapshot;
        if !is_allowed_sampling(exchange, policy.result_cache.sampled) {
            return Err("sampled");
        }
        let class = class_of(policy, exchange).ok_or("class")?;
        let name = &policy.ttl_classes[class].name;
        Ok(Self {
            is_refresh: exchange.control.no_cache,
            credential: scope.credential,
            tags: scope::tags(policy, &exchange.call, &exchange.route.model, name),
            class,
            keys: keys(),
        })
    }

    /// The class that decides the entry's life.
    pub(crate) fn class<'a>(&self, snapshot: &'a Snapshot) -> &'a TtlClass {
        &snapshot.ttl_classes[self.class]
    }

    /// Names the flight: a call that began after a ban must not follow one from before it.
    pub(crate) fn flight(&self, key: &NamespaceKey, stamp: Option<Stamp>) -> Digest {
        let Stamp { log, epoch } = stamp.unwrap_or_default();
        let mut mac = key.mac("flight");
        mac.field(&self.keys.newest.0)
            .field(&log.to_be_bytes())
            .field(&epoch.to_be_bytes());
        mac.finish()
    }
}

/// Plans the lookup of one request; `Err` = the word why there is none.
pub(crate) fn plan(pipeline: &Pipeline, exchange: &Exchange) -> Result<Plan, &'static str> {
    let scope = gates(pipeline, exchange)?;
    let macs = Macs::new("result", pipeline, exchange, scope);
    let keys = || {
        macs.keys(&|mac| {
            exchange.call.request.write_key(&mut |bytes| {
                mac.update(bytes);
            });
        })
    };
    let plan = Plan::new(pipeline, exchange, scope, keys)?;
    Ok(Plan {
        is_refresh: plan.is_refresh || is_repeat(pipeline, exchange, plan.keys.newest),
        ..plan
    })
}

/// What every lookup of the result cache asks of a request, whatever its key: its scope, or the word why there is no
/// lookup.
pub(crate) fn gates<'a>(pipeline: &Pipeline, exchange: &'a Exchange) -> Result<&'a Scope, &'static str> {
    let is_counting = exchange.call.endpoint == Endpoint::AnthropicCountTokens;
    if !is_counting && pipeline.snapshot.result_cache.mode == Mode::Disabled {
        return Err("disabled");
    }
    cacheable(pipeline, exchange)
}

/// What every cache asks of a request: its scope, or the word why its answer is nobody else's.
pub(crate) fn cacheable<'a>(pipeline: &Pipeline, exchange: &'a Exchange) -> Result<&'a Scope, &'static str> {
    let policy = &pipeline.snapshot.result_cache;
    let Exchange {
        call, control, scope, ..
    } = exchange;
    if call.endpoint == Endpoint::AnthropicCountTokens {
        return Err("count_tokens");
    }
    if control.no_store {
        return Err("no_store");
    }
    let scope = scope.as_ref().map_err(|reason| *reason)?;
    let serves_stored = policy.stored_responses == StoredResponses::Serve;
    match call.request.no_key(pipeline.dialect(call.endpoint), serves_stored) {
        Some(reason) => Err(reason.word()),
        None => Ok(scope),
    }
}

/// An absent temperature counts as 1.
fn is_allowed_sampling(exchange: &Exchange, sampled: Sampled) -> bool {
    let is_zero = exchange.call.request.temperature() == Some(0.0);
    match sampled {
        Sampled::Always => true,
        Sampled::SeedOrZero => is_zero || exchange.call.request.seed(),
        Sampled::Never => is_zero,
    }
}

fn class_of(policy: &Snapshot, exchange: &Exchange) -> Option<usize> {
    if let [_] = policy.ttl_classes[..] {
        return Some(0);
    }
    let headers = &exchange.call.headers;
    let facts = Facts {
        folded_text: &keyword::fold(&exchange.call.request.last_user_text()),
        model: &exchange.route.model,
        header: &|name| headers.get(name)?.to_str().ok(),
    };
    policy.ttl_classes.iter().position(|class| class.matches.holds(&facts))
}

/// A retry of the SDK is the same question still open, not a wish for another answer.
fn is_repeat(pipeline: &Pipeline, exchange: &Exchange, key: Digest) -> bool {
    let window = Duration::from_millis(pipeline.snapshot.result_cache.repeat_window_ms);
    let retries = exchange.call.headers.get("x-stainless-retry-count");
    let is_retry = retries.is_some_and(|count| count.as_bytes() != b"0");
    !window.is_zero() && !is_retry && pipeline.repeats.is_repeat(key, exchange.started_ms, window)
}

/// Digests, under each key, of all that names an answer but the request's body.
pub(crate) struct Macs {
    newest: Mac,
    previous: Option<Mac>,
}

impl Macs {
    /// Begins both; equal requests of another domain have unrelated names.
    pub(crate) fn new(domain: &'static str, pipeline: &Pipeline, exchange: &Exchange, scope: &Scope) -> Self {
        let policy = &pipeline.snapshot;
        Self {
            newest: mac(domain, &pipeline.key, policy, exchange, scope),
            previous: pipeline.previous_key.as_ref().and_then(|old| {
                let scope = scope::identify(old, policy, pipeline.service_account(), &exchange.call).ok()?;
                Some(mac(domain, old, policy, exchange, &scope))
            }),
        }
    }

    /// Adds to both what is common to several names.
    pub(crate) fn add(&mut self, write: &dyn Fn(&mut Mac)) {
        write(&mut self.newest);
        if let Some(previous) = &mut self.previous {
            write(previous);
        }
    }

    /// The names of one answer.
    pub(crate) fn keys(&self, write: &dyn Fn(&mut Mac)) -> Keys {
        let finish = |mac: &Mac| {
            let mut mac = mac.clone();
            write(&mut mac);
            mac.finish()
        };
        Keys {
            newest: finish(&self.newest),
            previous: self.previous.as_ref().map(finish),
        }
    }
}

fn mac(domain: &'static str, key: &NamespaceKey, policy: &Snapshot, exchange: &Exchange, scope: &Scope) -> Mac {
    let Exchange { call, route, .. } = exchange;
    let upstream = match call.endpoint.provider() {
        Provider::Anthropic => &policy.upstreams.anthropic,
        Provider::OpenAi => &policy.upstreams.openai,
    };
    let mut mac = key.mac(domain);
    mac.field(policy.identity.name.as_bytes())
        .field(&scope.digest.0)
        .field(upstream.url.as_bytes())
        .field(call.path.as_bytes())
        .field(route.model.as_bytes())
        .field(first(&call.headers, "anthropic-version"));
    for name in ["anthropic-beta", "openai-beta"] {
        mac.field(&betas(&call.headers, name).join(&b','));
    }
    mac
}

/// Digest of the prompt's exact bytes: thinking is bound to them.
pub(crate) fn exact(key: &NamespaceKey, exchange: &Exchange) -> Digest {
    let mut mac = key.mac("exact");
    exchange.call.request.write_exact_prompt(&mut |bytes| {
        mac.update(bytes);
    });
    mac.finish()
}

fn first<'a>(headers: &'a HeaderMap, name: &str) -> &'a [u8] {
    headers.get(name).map_or(b"", http::HeaderValue::as_bytes)
}

/// The set of beta features, whatever order or number of headers names them.
fn betas<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let values = headers.get_all(name).into_iter().map(http::HeaderValue::as_bytes);
    let mut betas: Vec<&[u8]> = values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    betas.sort_unstable();
    betas.dedup();
    betas
}
