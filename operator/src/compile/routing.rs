//! Stage *routing*: which model answers.

use llmcache_crds::policy;
use llmcache_policy::{
    Mode, Routing,
    glob::Glob,
    routing::{Rule, Tier, Tools},
};

use super::read;

pub(super) fn compile(written: Option<&policy::Routing>, ceiling: Mode) -> Routing {
    let Some(written) = written else {
        return Routing::disabled();
    };
    let policy::Routing {
        mode,
        request_models,
        allow_upgrade,
        tiers,
        rules,
        default_tier,
        fallback,
    } = written;
    Routing {
        mode: mode.map_or(Mode::Enforce, read::mode).under(ceiling),
        request_models: request_models.iter().cloned().map(Glob).collect(),
        allow_upgrade: allow_upgrade.unwrap_or(false),
        tiers: tiers.iter().map(tier).collect(),
        rules: rules.iter().flatten().map(rule).collect(),
        default_tier: default_tier.clone(),
        fallback: fallback.clone().unwrap_or_default(),
    }
}

fn tier(written: &policy::Tier) -> Tier {
    let policy::Tier { name, models } = written;
    Tier {
        name: name.clone(),
        anthropic: models.anthropic.clone(),
        openai: models.openai.clone(),
    }
}

fn rule(written: &policy::RoutingRule) -> Rule {
    let policy::RoutingRule {
        tier,
        any_keyword,
        no_keyword,
        max_input_tokens,
        max_prompt_tokens,
        header,
        tools,
    } = written;
    Rule {
        tier: tier.clone(),
        any_keyword: read::keywords(any_keyword.as_ref()),
        no_keyword: read::keywords(no_keyword.as_ref()),
        max_input_tokens: max_input_tokens.map(tokens),
        max_prompt_tokens: max_prompt_tokens.map(tokens),
        header: read::headers(header.as_ref()),
        tools: tools.map(|tools| match tools {
            policy::Tools::Present => Tools::Present,
            policy::Tools::Absent => Tools::Absent,
        }),
    }
}

/// The schema bounds counts of tokens to 1…10⁷.
fn tokens(written: i32) -> u64 {
    u64::from(written.unsigned_abs())
}
