//! Stage *prompt cache*: marks for the provider's own prefix cache.

use llmcache_crds::policy;
use llmcache_policy::{
    Mode, PromptCache,
    prompt_cache::{MarkTtl, Strategy},
};

use super::read;

pub(super) fn compile(written: Option<&policy::PromptCache>, ceiling: Mode) -> PromptCache {
    let absent = policy::PromptCache::default();
    let policy::PromptCache {
        mode,
        strategy,
        ttl,
        hold,
    } = written.unwrap_or(&absent);
    PromptCache {
        mode: mode.map_or(Mode::Enforce, read::mode).under(ceiling),
        strategy: match strategy {
            None | Some(policy::Strategy::Economic) => Strategy::Economic,
            Some(policy::Strategy::Always) => Strategy::Always,
        },
        ttl: match ttl {
            None | Some(policy::MarkTtl::Auto) => MarkTtl::Auto,
            Some(policy::MarkTtl::FiveMinutes) => MarkTtl::FiveMinutes,
            Some(policy::MarkTtl::OneHour) => MarkTtl::OneHour,
        },
        hold_ms: read::milliseconds(hold.as_ref(), "0ms"),
    }
}
