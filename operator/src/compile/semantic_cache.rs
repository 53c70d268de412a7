//! Stage *semantic cache*: reuse of the answer to an equivalent question.

use llmcache_crds::policy;
use llmcache_policy::{Mode, SemanticCache, semantic_cache::Judge};

use super::read;

/// Floor of the similarity of two questions where the policy names none.
const THRESHOLD: f64 = 0.80;
const FALSE_HIT_RATE: f64 = 0.01;
const SAMPLE: f64 = 0.1;

pub(super) fn compile(written: Option<&policy::SemanticCache>, ceiling: Mode) -> SemanticCache {
    let Some(written) = written else {
        return SemanticCache::disabled();
    };
    let policy::SemanticCache {
        mode,
        similarity_threshold: _,
        max_false_hit_rate,
        judge,
    } = written;
    SemanticCache {
        mode: mode.map_or(Mode::Observe, read::mode).under(ceiling),
        max_false_hit_rate: read::ten_thousandths(max_false_hit_rate.unwrap_or(FALSE_HIT_RATE)),
        judge: judge.as_ref().map(compile_judge),
    }
}

/// The floor of every class that names none of its own.
pub(super) fn threshold(written: Option<&policy::SemanticCache>) -> u16 {
    let written = written.and_then(|written| written.similarity_threshold);
    read::ten_thousandths(written.unwrap_or(THRESHOLD))
}

fn compile_judge(written: &policy::Judge) -> Judge {
    Judge {
        model: written.model.clone(),
        sample: read::ten_thousandths(written.sample.unwrap_or(SAMPLE)),
    }
}
