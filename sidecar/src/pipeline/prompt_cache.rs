//! Stage 5, *prompt cache*: marks that let the provider reuse a prefix. It never fails a request.
//!
//! Where: the end of the tools, the end of the system prompt, and two sliding anchors on the tail of the
//! conversation: the last block, and the last block of the user's turn before it, which the previous request
//! marked (the provider looks back only 20 blocks, so a long turn would else lose the prefix). A message written as
//! a string is never turned into a block, because every later turn would have to repeat that; the tail of such a
//! conversation gets the top-level mark, which the provider puts on the last block itself.

use std::time::Duration;

use llmcache_cache::seal::{Digest, Mac, NamespaceKey};
use llmcache_policy::prompt_cache::{MarkTtl, Strategy};
use llmcache_policy::{Dialect, Mode, Snapshot};
use llmcache_provider::prompt::{Level, Prompt, Ttl};
use llmcache_provider::splice::Splice;
use llmcache_provider::{Endpoint, Provider, models};
use moka::sync::Cache;

use super::parse::Call;
use super::scope::Scope;

mod plan;

use plan::{Anchor, Limits};

/// Prefixes remembered for `Economic`.
const MAX_SEEN: u64 = 16_384;
/// Smallest prefix worth a mark on a model we have no facts about, tokens.
const DEFAULT_MINIMUM: u64 = 1_024;

/// Splices of this stage.
#[derive(Default)]
pub(crate) struct Marked {
    /// What to change in the body.
    pub splices: Vec<Splice>,
    /// Marks of ours among them.
    pub ours: usize,
}

/// Prefixes asked for within the life of a mark.
pub(crate) struct Seen {
    key: NamespaceKey,
    prefixes: Cache<Digest, ()>,
}

impl Seen {
    /// Empty.
    pub(crate) fn new(key: NamespaceKey, ttl: MarkTtl) -> Self {
        let life = match ttl {
            MarkTtl::Auto | MarkTtl::FiveMinutes => Duration::from_mins(5),
            MarkTtl::OneHour => Duration::from_hours(1),
        };
        Self {
            key,
            prefixes: Cache::builder().max_capacity(MAX_SEEN).time_to_idle(life).build(),
        }
    }

    /// Which anchors end a prefix seen before; all are seen from now on. Anchors must be in prompt order.
    fn note(&self, scope: &Scope, model: &str, prompt: &Prompt, anchors: &[Anchor]) -> Vec<bool> {
        let mut mac = self.key.mac("prefix");
        mac.field(&scope.digest.0).field(model.as_bytes());
        let mut from = 0;
        let digest = |mac: &Mac| mac.clone().finish();
        anchors
            .iter()
            .map(|anchor| {
                mac.update(&prompt.text[from..anchor.end]);
                from = anchor.end;
                let prefix = digest(&mac);
                let seen = self.prefixes.contains_key(&prefix);
                self.prefixes.insert(prefix, ());
                seen
            })
            .collect()
    }
}

/// Plans the splices for one request that goes upstream to `model`.
pub(crate) fn mark(seen: &Seen, policy: &Snapshot, call: &Call, scope: Option<&Scope>, model: &str) -> Marked {
    if policy.prompt_cache.mode != Mode::Enforce {
        return Marked::default();
    }
    match call.endpoint {
        Endpoint::AnthropicMessages => mark_anthropic(seen, policy, call, scope, model),
        Endpoint::AnthropicCountTokens | Endpoint::OpenAiEmbeddings => Marked::default(),
        Endpoint::OpenAiChat | Endpoint::OpenAiResponses => key_openai(seen, policy, call, scope, model),
    }
}

fn mark_anthropic(seen: &Seen, policy: &Snapshot, call: &Call, scope: Option<&Scope>, model: &str) -> Marked {
    let prompt = call.prompt();
    let has_marks = prompt.client_marks > 0 || prompt.top_level_mark.is_some();
    if call.request.has_server_tools() && !has_marks {
        return Marked::default();
    }
    let facts = models::facts(Provider::Anthropic, model);
    let thinks = call.request.history_has_thinking() || call.request.may_think(facts);
    let limits = Limits {
        may_wrap_system: !thinks && !call.request.is_claude_code(),
        minimum_tokens: facts
            .and_then(|facts| facts.min_cacheable_tokens)
            .unwrap_or(DEFAULT_MINIMUM),
        ttl: match policy.prompt_cache.ttl {
            MarkTtl::Auto | MarkTtl::FiveMinutes => Ttl::FiveMinutes,
            MarkTtl::OneHour => Ttl::OneHour,
        },
    };
    let mut anchors = plan::anchors(prompt, &limits);
    if policy.prompt_cache.strategy == Strategy::Economic {
        let known = scope
            .map(|scope| seen.note(scope, model, prompt, &anchors))
            .unwrap_or_default();
        let mut known = known.into_iter();
        anchors.retain(|_| known.next() == Some(true));
    }
    let chosen = plan::choose(prompt, anchors);
    let splices: Vec<Splice> = chosen
        .iter()
        .filter_map(|anchor| anchor.splice(&call.request))
        .collect();
    Marked {
        ours: splices.len(),
        splices,
    }
}

/// A key per tools and instructions, so that requests which share a prefix meet on one machine of the provider.
fn key_openai(seen: &Seen, policy: &Snapshot, call: &Call, scope: Option<&Scope>, model: &str) -> Marked {
    if policy.upstreams.openai.dialect == Dialect::Compatible {
        return Marked::default();
    }
    let Some(scope) = scope else { return Marked::default() };
    let prompt = call.prompt();
    let fixed = prompt.blocks.iter().rev().find(|block| block.level < Level::Messages);
    let prefix = &prompt.text[..fixed.map_or(prompt.first_user_end, |block| block.end)];
    let mut mac = seen.key.mac("prompt_cache_key");
    mac.field(&scope.digest.0).field(model.as_bytes()).field(prefix);
    let key = hex::encode(&mac.finish().0[..16]);
    Marked {
        splices: call.request.set_prompt_cache_key(&key).into_iter().collect(),
        ours: 0,
    }
}
