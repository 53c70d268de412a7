//! Stage 3, *routing*: which model answers. Rules as written win; the choice for a conversation is remembered, since
//! a switch in its middle re-pays the whole prefix and drops the model's thinking. When in doubt the requested model
//! stays. Only `auto` without a target fails a request.

use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;
use llmcache_cache::seal::Digest;
use llmcache_policy::routing::{Facts, Routing, Tools, tokens};
use llmcache_policy::{Mode, Snapshot, keyword, names};
use llmcache_provider::error::OwnError;
use llmcache_provider::{Endpoint, Provider, models};

use super::parse::Call;
use super::scope::Scope;
use crate::account::PriceTable;

mod memory;

pub(crate) use memory::{CONVERSATION_IDLE, Choice, Conversation, Memory};

/// The model that has no price and no meaning of its own: routing chooses.
const AUTO: &str = "auto";
/// The pin that keeps the requested model.
const PIN_REQUESTED: &str = "requested";
/// The requested model answers because the provider refused ours.
pub(crate) const RESCUE: &str = "route_rescue";
/// A fallback tier answers because the provider is overloaded.
pub(crate) const FALLBACK: &str = "fallback";

/// The decision.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// The model the client is charged with in the counterfactual: the requested one, or `auto`'s default.
    pub requested: String,
    /// The model asked.
    pub model: String,
    /// The tier that won, for metrics.
    pub tier: Option<Arc<str>>,
    /// Why: a closed word of header, metric and log.
    pub word: &'static str,
}

/// What routing reads besides the request.
pub(crate) struct Context<'a> {
    /// The policy.
    pub policy: &'a Snapshot,
    /// Choices made before.
    pub memory: &'a Memory,
    /// What "dearer" means,
    pub prices: &'a PriceTable,
    /// on this day.
    pub at: Timestamp,
}

/// A tier's model with the reason it was chosen.
struct Target<'a> {
    tier: &'a str,
    model: String,
    word: &'static str,
    /// Set on a conversation's first choice: where it is to be remembered.
    first: Option<Digest>,
}

/// Words with which the requested model stays.
pub(crate) const KEPT: &[&str] = &[
    "avoided",
    "ceiling",
    "default",
    "disabled",
    "endpoint",
    "internal",
    "misfit",
    "no_model",
    "not_listed",
    "observe",
    "pinned",
    "remembered",
    "stateful",
    "thinking",
    "tool_result",
    "unknown_pin",
];

/// The conversation that a request belongs to, where its first choice counts.
pub(crate) fn conversation(context: &Context<'_>, call: &Call, scope: Option<&Scope>) -> Option<Conversation> {
    let routing = &context.policy.routing;
    let is_remembered = routing.mode != Mode::Disabled
        && call.endpoint != Endpoint::OpenAiEmbeddings
        && routing.is_listed(call.request.model())
        && pin(&call.headers).is_none()
        && !call.request.is_stateful();
    is_remembered.then(|| Some(context.memory.conversation(scope?, call)))?
}

/// Chooses the model of one request; the prefix names its conversation.
pub(crate) fn select(
    context: &Context<'_>,
    call: &Call,
    scope: Option<&Scope>,
    prefix: Option<Digest>,
) -> Result<Route, OwnError> {
    let asked = call.request.model();
    if call.endpoint == Endpoint::OpenAiEmbeddings {
        // Another model's vectors are of another space, of which the client knows nothing.
        return Ok(Route::kept(asked, "endpoint"));
    }
    if asked == AUTO && context.policy.is_pass_through() {
        return Err(OwnError::NoPolicy);
    }
    if asked == AUTO && context.policy.routing.is_listed(AUTO) {
        return select_auto(context, call, scope, prefix);
    }
    let target = match find(context, call, prefix) {
        Err(word) => return Ok(Route::kept(asked, word)),
        Ok(target) => target,
    };
    let refused = refuse(context, call, scope, asked, &target.model);
    if let Some(prefix) = target.first {
        // The ceiling is the same next turn; what fits may not be, and a change then would re-pay the prefix.
        let choice = match refused {
            Some("avoided" | "misfit") => Choice::Kept(asked.into()),
            _ => Choice::Tier(target.tier.into()),
        };
        context.memory.remember(prefix, choice);
    }
    Ok(match refused {
        Some(word) => Route::kept(asked, word),
        None if context.policy.routing.mode == Mode::Observe => Route::kept(asked, "observe"),
        None => Route {
            requested: asked.to_owned(),
            tier: Some(target.tier.into()),
            word: if target.model == asked {
                "requested"
            } else {
                target.word
            },
            model: target.model,
        },
    })
}

impl Route {
    fn kept(model: &str, word: &'static str) -> Self {
        Self {
            requested: model.to_owned(),
            model: model.to_owned(),
            tier: None,
            word,
        }
    }

    /// The requested model, because routing broke down or refused.
    pub(crate) fn internal(model: &str) -> Self {
        Self::kept(model, "internal")
    }

    /// The requested model after the provider refused ours.
    pub(crate) fn rescued(&self) -> Self {
        Self {
            word: RESCUE,
            tier: None,
            model: self.requested.clone(),
            requested: self.requested.clone(),
        }
    }
}

/// `auto` has no ceiling and nothing to fall back on; a misfit climbs to the first later tier that fits.
fn select_auto(
    context: &Context<'_>,
    call: &Call,
    scope: Option<&Scope>,
    prefix: Option<Digest>,
) -> Result<Route, OwnError> {
    let routing = &context.policy.routing;
    let provider = call.endpoint.provider();
    let default = routing
        .default_tier
        .as_deref()
        .and_then(|tier| Some((tier, model_of(routing, tier, provider)?)));
    let found = match routing.mode {
        Mode::Enforce => find(context, call, prefix),
        Mode::Observe => Err("observe"),
        Mode::Disabled => Err("disabled"),
    };
    let first = found.as_ref().ok().and_then(|target| target.first);
    let (tier, model, word) = match (found, &default) {
        (Ok(target), _) => (target.tier, target.model, target.word),
        (Err(word), Some((tier, model))) => (*tier, model.clone(), word),
        (Err(_), None) => {
            return Err(OwnError::NoTierModel {
                field: missing_field(routing, provider),
            });
        }
    };
    let (mut tier, mut model) = climb(routing, call, tier, model);
    let mut word = word;
    let requested = default
        .as_ref()
        .map_or_else(|| model.clone(), |(_, model)| model.clone());
    let is_avoided = scope.is_some_and(|scope| context.memory.is_avoided(scope, &requested, &model));
    if let Some((default_tier, _)) = default.filter(|_| is_avoided) {
        (tier, model) = climb(routing, call, default_tier, requested.clone());
        word = "avoided";
    }
    if let Some(prefix) = first {
        context.memory.remember(prefix, Choice::Tier(tier.into()));
    }
    Ok(Route {
        requested,
        model,
        tier: Some(tier.into()),
        word,
    })
}

/// The tier's model for this request, or the word why the requested model stays.
fn find<'a>(context: &Context<'a>, call: &Call, prefix: Option<Digest>) -> Result<Target<'a>, &'static str> {
    let routing = &context.policy.routing;
    if routing.mode == Mode::Disabled {
        return Err("disabled");
    }
    if !routing.is_listed(call.request.model()) {
        return Err("not_listed");
    }
    let provider = call.endpoint.provider();
    let target = |tier: &'a str, word, first| {
        let model = model_of(routing, tier, provider).ok_or("no_model")?;
        Ok(Target {
            tier,
            model,
            word,
            first,
        })
    };
    match pin(&call.headers) {
        Some(PIN_REQUESTED) => return Err("pinned"),
        Some(name) => match routing.tier(name) {
            Some(tier) => return target(&tier.name, "pinned", None),
            None => return Err("unknown_pin"),
        },
        None => {}
    }
    if call.request.is_stateful() {
        return Err("stateful");
    }
    match prefix.as_ref().and_then(|prefix| context.memory.recall(prefix)) {
        Some(Choice::Kept(model)) if *model == *call.request.model() => return Err("remembered"),
        Some(Choice::Tier(name)) => {
            if let Some(tier) = routing.tier(&name) {
                return target(&tier.name, "remembered", None);
            }
        }
        _ => {}
    }
    if call.request.ends_with_tool_result() {
        return Err("tool_result");
    }
    if call.request.history_has_thinking() {
        return Err("thinking");
    }
    let (tier, word) = first_rule(routing, call).ok_or("default")?;
    // Counting tokens is not a turn of the conversation, and what `Observe` decides does not happen.
    let is_turn = call.endpoint != Endpoint::AnthropicCountTokens && routing.mode == Mode::Enforce;
    target(tier, word, prefix.filter(|_| is_turn))
}

fn first_rule<'a>(routing: &'a Routing, call: &Call) -> Option<(&'a str, &'static str)> {
    let text = call.request.first_user_text();
    let facts = Facts {
        folded_text: &keyword::fold(&text),
        input_tokens: tokens(text.len()),
        prompt_tokens: tokens(call.request.bytes().len()),
        tools: if call.request.has_tools() {
            Tools::Present
        } else {
            Tools::Absent
        },
        header: &|name| call.headers.get(name)?.to_str().ok(),
    };
    let rule = routing
        .rules
        .iter()
        .find(|rule| rule.holds(&facts))
        .map(|rule| (rule.tier.as_str(), "rule"));
    rule.or_else(|| routing.default_tier.as_deref().map(|tier| (tier, "default")))
}

/// Whether an overloaded provider may be asked for another model than the one this request goes to.
pub(crate) fn may_fall_over(context: &Context<'_>, call: &Call) -> bool {
    let routing = &context.policy.routing;
    routing.mode == Mode::Enforce
        && call.endpoint != Endpoint::OpenAiEmbeddings
        && routing.is_listed(call.request.model())
        && pin(&call.headers) != Some(PIN_REQUESTED)
        && !call.request.ends_with_tool_result()
        && !call.request.history_has_thinking()
        && !call.request.is_stateful()
}

/// Why a fallback may not stand in: as [`refuse`], but `auto` has no ceiling.
pub(crate) fn refuse_fallback(
    context: &Context<'_>,
    call: &Call,
    scope: Option<&Scope>,
    requested: &str,
    model: &str,
) -> Option<&'static str> {
    if call.request.model() != AUTO {
        return refuse(context, call, scope, requested, model);
    }
    if !fits(call, call.endpoint.provider(), model) {
        return Some("misfit");
    }
    scope
        .is_some_and(|scope| context.memory.is_avoided(scope, requested, model))
        .then_some("avoided")
}

/// Why `model` may not stand in for `asked`: a closed word, or none when it may.
fn refuse(context: &Context<'_>, call: &Call, scope: Option<&Scope>, asked: &str, model: &str) -> Option<&'static str> {
    let provider = call.endpoint.provider();
    if model == asked {
        return None;
    }
    if !context.policy.routing.allow_upgrade && is_dearer(context, provider, model, asked) {
        return Some("ceiling");
    }
    if !fits(call, provider, model) {
        return Some("misfit");
    }
    scope
        .is_some_and(|scope| context.memory.is_avoided(scope, asked, model))
        .then_some("avoided")
}

/// A model without a known price counts as dearer: nobody can say that it is not.
fn is_dearer(context: &Context<'_>, provider: Provider, model: &str, asked: &str) -> bool {
    let price = |model| context.prices.list_price(provider, model, context.at);
    match (price(model), price(asked)) {
        (Some((input, output)), Some((asked_input, asked_output))) => input > asked_input || output > asked_output,
        _ => true,
    }
}

/// A model we know nothing about is taken to fit: the rescue covers a refusal.
fn fits(call: &Call, provider: Provider, model: &str) -> bool {
    models::facts(provider, model).is_none_or(|facts| models::fits(&call.request.needs(), facts).is_ok())
}

fn climb<'a>(routing: &'a Routing, call: &Call, tier: &'a str, model: String) -> (&'a str, String) {
    let provider = call.endpoint.provider();
    if fits(call, provider, &model) {
        return (tier, model);
    }
    let later = routing
        .tiers
        .iter()
        .skip_while(|candidate| candidate.name != tier)
        .skip(1);
    let fitting = later
        .filter_map(|tier| Some((tier.name.as_str(), model_of(routing, &tier.name, provider)?)))
        .find(|(_, model)| fits(call, provider, model));
    fitting.unwrap_or((tier, model))
}

/// The model of a tier at a provider.
pub(crate) fn model_of(routing: &Routing, tier: &str, provider: Provider) -> Option<String> {
    let tier = routing.tier(tier)?;
    match provider {
        Provider::Anthropic => tier.anthropic.clone(),
        Provider::OpenAi => tier.openai.clone(),
    }
}

fn missing_field(routing: &Routing, provider: Provider) -> String {
    match routing
        .tiers
        .iter()
        .position(|tier| Some(&tier.name) == routing.default_tier.as_ref())
    {
        Some(at) => format!("spec.routing.tiers[{at}].models.{}", provider.name()),
        None => "spec.routing.defaultTier".into(),
    }
}

fn pin(headers: &HeaderMap) -> Option<&str> {
    headers.get(names::HEADER_PIN)?.to_str().ok()
}
