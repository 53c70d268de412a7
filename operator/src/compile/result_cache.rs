//! Stage *result cache*: exact reuse of whole answers.

use llmcache_crds::policy;
use llmcache_policy::{
    Mode, ResultCache,
    result_cache::{Embeddings, Sampled, SingleFlight, StoredResponses, ToolAnswers},
};

use super::read;

pub(super) fn compile(written: Option<&policy::ResultCache>, ceiling: Mode) -> ResultCache {
    let absent = policy::ResultCache::default();
    let policy::ResultCache {
        mode,
        max_entry,
        memory,
        max_age,
        store_budget,
        sampled,
        tool_answers,
        stored_responses,
        repeat_window,
        single_flight,
        embeddings,
    } = written.unwrap_or(&absent);
    let default_mode = match written {
        Some(_) => Mode::Enforce,
        None => Mode::Observe,
    };
    ResultCache {
        mode: mode.map_or(default_mode, read::mode).under(ceiling),
        max_entry_bytes: read::bytes(max_entry.as_ref(), "1Mi"),
        memory_bytes: read::bytes(memory.as_ref(), "64Mi"),
        max_age_ms: read::milliseconds(max_age.as_ref(), "168h"),
        store_budget_ms: read::milliseconds(store_budget.as_ref(), "25ms"),
        sampled: match sampled {
            None | Some(policy::Sampled::Always) => Sampled::Always,
            Some(policy::Sampled::SeedOrZero) => Sampled::SeedOrZero,
            Some(policy::Sampled::Never) => Sampled::Never,
        },
        tool_answers: match tool_answers {
            None | Some(policy::ToolAnswers::Skip) => ToolAnswers::Skip,
            Some(policy::ToolAnswers::Store) => ToolAnswers::Store,
        },
        stored_responses: match stored_responses {
            None | Some(policy::StoredResponses::Bypass) => StoredResponses::Bypass,
            Some(policy::StoredResponses::Serve) => StoredResponses::Serve,
        },
        repeat_window_ms: read::milliseconds(repeat_window.as_ref(), "0s"),
        single_flight: compile_flight(single_flight.as_ref()),
        embeddings: compile_embeddings(embeddings.as_ref()),
    }
}

fn compile_embeddings(written: Option<&policy::Embeddings>) -> Embeddings {
    let ttl = written.and_then(|embeddings| embeddings.ttl.as_ref());
    let max_age = written.and_then(|embeddings| embeddings.max_age.as_ref());
    Embeddings {
        ttl_ms: read::milliseconds(ttl, "720h"),
        max_age_ms: read::milliseconds(max_age, "720h"),
    }
}

fn compile_flight(written: Option<&policy::SingleFlight>) -> SingleFlight {
    let mode = written.and_then(|flight| flight.mode);
    let wait = written.and_then(|flight| flight.wait.as_ref());
    SingleFlight {
        enabled: mode != Some(policy::Switch::Disabled),
        wait_ms: read::milliseconds(wait, "30s"),
    }
}
