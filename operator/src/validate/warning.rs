//! What a valid policy says that this version does not act on, or that cannot have been meant.

use std::fmt;

use llmcache_crds::{
    LLMCachePolicySpec,
    policy::{Routing, RoutingRule, Share, Strategy},
};
use llmcache_policy::{duration, glob::Glob};

use super::Validated;

/// One thing a valid policy says without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Field path, such as `spec.promptCache.hold`.
    pub path: String,
    /// What happens instead.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// What holds wherever the policy runs.
pub(super) fn warnings(policy: &Validated) -> Vec<Warning> {
    let spec = &policy.policy().spec;
    let mut warnings: Vec<_> = [of_upstreams(spec), of_prompt_cache(spec)]
        .into_iter()
        .flatten()
        .collect();
    warnings.extend(of_hold(spec));
    warnings.extend(spec.routing.iter().flat_map(of_routing));
    warnings.sort_by(|a, b| a.path.cmp(&b.path));
    warnings
}

/// What holds only for a process that runs outside of a cluster.
pub fn local_warnings(policy: &Validated) -> Vec<Warning> {
    let spec = &policy.policy().spec;
    let share = spec.scope.as_ref().and_then(|scope| scope.share);
    [
        spec.selector.is_some().then(|| {
            let message = "selects pods: without a cluster the policy applies to this process";
            warning("spec.selector", message)
        }),
        share.filter(|share| *share != Share::Credential).map(|_| {
            let message = "without a cluster, everything that reaches this process shares answers";
            warning("spec.scope.share", message)
        }),
        spec.stores.is_some().then(|| {
            let message = "names a store of an install: without a cluster the store is the one given by --redis";
            warning("spec.stores", message)
        }),
    ]
    .into_iter()
    .flatten()
    .chain(of_invalidation(spec))
    .collect()
}

fn of_upstreams(spec: &LLMCachePolicySpec) -> Option<Warning> {
    let url = spec.upstreams.as_ref()?.anthropic.as_ref()?.url.as_ref()?;
    let has_version = url.trim_end_matches('/').ends_with("/v1");
    let message = "clients add /v1 themselves, so requests would go to /v1/v1: remove /v1";
    has_version.then(|| warning("spec.upstreams.anthropic.url", message))
}

fn of_prompt_cache(spec: &LLMCachePolicySpec) -> Option<Warning> {
    let is_economic = spec.prompt_cache.as_ref()?.strategy != Some(Strategy::Always);
    let message = "Economic acts in this version as Always, only on prefixes seen before";
    is_economic.then(|| warning("spec.promptCache.strategy", message))
}

fn of_hold(spec: &LLMCachePolicySpec) -> Option<Warning> {
    let hold = spec.prompt_cache.as_ref()?.hold.as_ref()?;
    let waits = duration::parse(hold).is_some_and(|hold| !hold.is_zero());
    waits.then(|| unused("spec.promptCache.hold", "no request waits for another"))
}

fn of_routing(routing: &Routing) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let rules = routing.rules.as_deref().unwrap_or_default();
    let first_open = rules.iter().position(has_no_condition);
    if let Some(index) = first_open.filter(|index| index + 1 < rules.len()) {
        let path = format!("spec.routing.rules[{index}]");
        let message = "has no condition, so no later rule is ever reached";
        warnings.push(warning(&path, message));
    }
    let takes_auto = |glob: &String| Glob(glob.clone()).matches("auto");
    let is_open = routing.default_tier.is_none() && first_open.is_none();
    if is_open && routing.request_models.iter().any(takes_auto) {
        let message = "is absent, so a request for model auto that no rule matches is refused";
        warnings.push(warning("spec.routing.defaultTier", message));
    }
    warnings
}

fn of_invalidation(spec: &LLMCachePolicySpec) -> Vec<Warning> {
    let written = spec.invalidation.iter().flatten().enumerate();
    let on_change = written.filter(|(_, invalidation)| invalidation.on_change.is_some());
    on_change
        .map(|(index, _)| {
            let path = format!("spec.invalidation[{index}].onChange");
            warning(
                &path,
                "without a cluster no ConfigMap is seen: run the invalidation by its name",
            )
        })
        .collect()
}

fn has_no_condition(rule: &RoutingRule) -> bool {
    let RoutingRule {
        tier: _,
        any_keyword,
        no_keyword,
        max_input_tokens,
        max_prompt_tokens,
        header,
        tools,
    } = rule;
    any_keyword.is_none()
        && no_keyword.is_none()
        && max_input_tokens.is_none()
        && max_prompt_tokens.is_none()
        && header.is_none()
        && tools.is_none()
}

fn unused(path: &str, instead: &str) -> Warning {
    warning(path, &format!("not acted on by this version: {instead}"))
}

fn warning(path: &str, message: &str) -> Warning {
    Warning {
        path: path.into(),
        message: message.into(),
    }
}
