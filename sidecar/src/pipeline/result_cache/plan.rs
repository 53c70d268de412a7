//! Whether and under which key a request may be cached: pure but for the repeat memory.

use std::time::Duration;

use http::HeaderMap;
use llmcache_cache::bans::Stamp;
use llmcache_cache::seal::{Digest, Keys, NamespaceKey};
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
    let policy = &pipeline.snapshot;
    let Exchange {
        call,
        control,
        scope,
        route,
        ..
    } = exchange;
    if call.endpoint == Endpoint::AnthropicCountTokens {
        return Err("count_tokens");
    }
    if policy.result_cache.mode == Mode::Disabled {
        return Err("disabled");
    }
    if control.no_store {
        return Err("no_store");
    }
    let scope = scope.as_ref().map_err(|reason| *reason)?;
    let serves_stored = policy.result_cache.stored_responses == StoredResponses::Serve;
    if let Some(reason) = call.request.no_key(pipeline.dialect(call.endpoint), serves_stored) {
        return Err(reason.word());
    }
    if !is_allowed_sampling(exchange, policy.result_cache.sampled) {
        return Err("sampled");
    }
    let class = class_of(policy, exchange).ok_or("class")?;
    let keys = Keys {
        newest: key(&pipeline.key, policy, exchange, scope),
        previous: pipeline.previous_key.as_ref().and_then(|old| {
            let scope = scope::identify(old, policy, call).ok()?;
            Some(key(old, policy, exchange, &scope))
        }),
    };
    Ok(Plan {
        is_refresh: control.no_cache || is_repeat(pipeline, exchange, keys.newest),
        credential: scope.credential,
        tags: scope::tags(policy, call, &route.model, &policy.ttl_classes[class].name),
        class,
        keys,
    })
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

fn key(key: &NamespaceKey, policy: &Snapshot, exchange: &Exchange, scope: &Scope) -> Digest {
    let Exchange { call, route, .. } = exchange;
    let upstream = match call.endpoint.provider() {
        Provider::Anthropic => &policy.upstreams.anthropic,
        Provider::OpenAi => &policy.upstreams.openai,
    };
    let mut mac = key.mac("result");
    mac.field(policy.identity.name.as_bytes())
        .field(&scope.digest.0)
        .field(upstream.url.as_bytes())
        .field(call.path.as_bytes())
        .field(route.model.as_bytes())
        .field(first(&call.headers, "anthropic-version"));
    for name in ["anthropic-beta", "openai-beta"] {
        mac.field(&betas(&call.headers, name).join(&b','));
    }
    call.request.write_key(&mut |bytes| {
        mac.update(bytes);
    });
    mac.finish()
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
