//! What a valid policy says that this version does not act on, or that cannot have been meant.

use std::fmt;

use llmcache_crds::policy::{Mode, Routing, Strategy};

use super::Validated;

/// One thing a valid policy says without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Field path, such as `spec.semanticCache`.
    pub path: String,
    /// What happens instead.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// What holds wherever the policy runs, in the order of the fields.
pub(super) fn warnings(policy: &Validated) -> Vec<Warning> {
    let spec = &policy.policy().spec;
    let mut warnings = Vec::new();
    let mut warn = |path: String, message: &str| {
        warnings.push(Warning {
            path,
            message: message.into(),
        });
    };
    let anthropic = spec.upstreams.as_ref().and_then(|all| all.anthropic.as_ref());
    if anthropic.is_some_and(|upstream| upstream.url.as_ref().is_some_and(|url| ends_with_version(url))) {
        let message = "clients add /v1 themselves, so requests go to /v1/v1; the SDK's base URL has no version";
        warn("spec.upstreams.anthropic.url".into(), message);
    }
    for (index, class) in spec.ttl_classes.iter().flatten().enumerate() {
        let path = |field| format!("spec.ttlClasses[{index}].{field}");
        for (field, value) in [
            ("staleWhileRevalidate", &class.stale_while_revalidate),
            ("staleIfError", &class.stale_if_error),
        ] {
            if value.is_some() {
                warn(
                    path(field),
                    "not acted on by this version: nothing is served past its ttl",
                );
            }
        }
        if class.similarity_threshold.is_some() {
            warn(
                path("similarityThreshold"),
                "not acted on by this version: there is no semantic cache",
            );
        }
    }
    if spec
        .result_cache
        .as_ref()
        .is_some_and(|cache| cache.embeddings.is_some())
    {
        let message = "not acted on by this version: embeddings requests pass through";
        warn("spec.resultCache.embeddings".into(), message);
    }
    if spec
        .semantic_cache
        .as_ref()
        .is_some_and(|cache| cache.mode != Some(Mode::Disabled))
    {
        let message = "not acted on by this version: every question is looked up exactly";
        warn("spec.semanticCache".into(), message);
    }
    if let Some(marks) = &spec.prompt_cache {
        if marks.strategy != Some(Strategy::Always) {
            let message = "Economic acts in this version as Always, only on prefixes seen before";
            warn("spec.promptCache.strategy".into(), message);
        }
        if marks.hold.is_some() {
            warn(
                "spec.promptCache.hold".into(),
                "not acted on by this version: no request waits for another",
            );
        }
    }
    warnings.extend(spec.routing.iter().flat_map(routing_warnings));
    for (index, invalidation) in spec.invalidation.iter().flatten().enumerate() {
        if invalidation.on_change.is_some() {
            warnings.push(Warning {
                path: format!("spec.invalidation[{index}].onChange"),
                message: "not acted on by this version: run the invalidation by its name".into(),
            });
        }
    }
    let class = spec.stores.as_ref().and_then(|stores| stores.class.as_deref());
    if class.is_some_and(|class| class != "default") {
        warnings.push(Warning {
            path: "spec.stores.class".into(),
            message: "not acted on by this version: the store given on the command line is used".into(),
        });
    }
    warnings
}

/// What holds only for a process that runs outside of a cluster.
pub fn local_warnings(policy: &Validated) -> Vec<Warning> {
    let spec = &policy.policy().spec;
    let mut warnings = Vec::new();
    let mut warn = |path: &str, message: &str| {
        warnings.push(Warning {
            path: path.into(),
            message: message.into(),
        });
    };
    if spec.selector.is_some() {
        warn(
            "spec.selector",
            "selects pods: without a cluster the policy applies to this process",
        );
    }
    if spec
        .scope
        .as_ref()
        .is_some_and(|scope| scope.share.is_some_and(is_wide))
    {
        warn(
            "spec.scope.share",
            "without a cluster, everything that reaches this process shares answers",
        );
    }
    if spec.stores.is_some() {
        warn(
            "spec.stores",
            "names a store of an install: without a cluster the store is the one given by --redis",
        );
    }
    warnings
}

fn routing_warnings(routing: &Routing) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let rules = routing.rules.as_deref().unwrap_or_default();
    let is_last = |index: usize| index + 1 == rules.len();
    if let Some(index) = rules.iter().position(has_no_condition).filter(|index| !is_last(*index)) {
        warnings.push(Warning {
            path: format!("spec.routing.rules[{index}]"),
            message: "has no condition, so no later rule is ever reached".into(),
        });
    }
    let takes_auto = routing
        .request_models
        .iter()
        .any(|glob| llmcache_policy::glob::Glob(glob.clone()).matches("auto"));
    if takes_auto && routing.default_tier.is_none() && !rules.iter().any(has_no_condition) {
        warnings.push(Warning {
            path: "spec.routing.defaultTier".into(),
            message: "is absent, so a request for model auto that matches no rule is refused".into(),
        });
    }
    warnings
}

fn has_no_condition(rule: &llmcache_crds::policy::RoutingRule) -> bool {
    let llmcache_crds::policy::RoutingRule {
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

fn is_wide(share: llmcache_crds::policy::Share) -> bool {
    share != llmcache_crds::policy::Share::Credential
}

fn ends_with_version(url: &str) -> bool {
    url.trim_end_matches('/').ends_with("/v1")
}
