//! Stage 7, *store*: when the answer ends, admit it to the result cache or say why not. It never fails a request.

use std::sync::Arc;

use llmcache_cache::bans::Stamp;
use llmcache_cache::entry::{Entry, Layer};
use llmcache_cache::redis::Claim;
use llmcache_cache::tiers::Admission;
use llmcache_policy::result_cache::ToolAnswers;
use llmcache_provider::answer::{Answer, Finish};

use super::result_cache::Turn;
use super::result_cache::plan::{self, Plan};
use super::stored::Stored;
use super::{Exchange, Pipeline, semantic_cache};

/// An answer as it ended.
pub(crate) struct Ended {
    /// The answer.
    pub answer: Answer,
    /// The model that gave it.
    pub model: String,
    /// A rescue or a fallback.
    pub detour: Option<&'static str>,
}

/// Admits an answer; gives back what followers may have, and whether it was stored.
pub(crate) fn admit(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    turn: &mut Turn,
    ended: Ended,
) -> (Option<Stored>, Result<(), &'static str>) {
    let sought = turn.sought.take();
    let credential = match (&turn.admit, &exchange.scope) {
        (Err(reason), _) if sought.is_none() => return (None, Err(reason)),
        (Ok(plan), _) => plan.credential,
        (Err(_), Ok(scope)) => scope.credential,
        (Err(reason), Err(_)) => return (None, Err(reason)),
    };
    let refusal = refuse(pipeline, &ended);
    let Ended {
        answer,
        model,
        detour: _,
    } = ended;
    let stored = Stored::new(answer, &model, || plan::exact(&pipeline.key, exchange), credential);
    if let Some(sought) = sought {
        semantic_cache::ended(pipeline, exchange, *sought, &stored, refusal);
    }
    let plan = match &turn.admit {
        Ok(plan) => plan,
        Err(reason) => return (None, Err(reason)),
    };
    let kept = match refusal {
        Some(reason) => Err(reason),
        None => keep(pipeline, exchange, plan, turn.stamp, &mut turn.claim, &stored),
    };
    if let Some(claim) = turn.claim.take() {
        // Not stored, but those who asked for it meanwhile may have it.
        claim.publish(stored.encode());
    }
    if let Err(reason) = kept {
        pipeline.metrics.bypass("store", reason);
    }
    (Some(stored), kept)
}

/// Counts why an answer that could have been stored never came to the gates.
pub(crate) fn lost(pipeline: &Pipeline, turn: &Turn, reason: &'static str) {
    if turn.admit.is_ok() {
        pipeline.metrics.bypass("store", reason);
    }
}

/// The gates in the order of how much they say about the answer.
fn refuse(pipeline: &Pipeline, ended: &Ended) -> Option<&'static str> {
    let policy = &pipeline.snapshot.result_cache;
    match ended.answer.finish {
        Finish::Complete => {}
        Finish::ToolUse if policy.tool_answers == ToolAnswers::Store => {}
        ref other => return Some(other.word()),
    }
    if ended.answer.has_tool_calls && policy.tool_answers == ToolAnswers::Skip {
        return Some(Finish::ToolUse.word());
    }
    if ended.answer.body.len() as u64 > policy.max_entry_bytes {
        return Some("too_large");
    }
    ended.detour
}

fn keep(
    pipeline: &Pipeline,
    exchange: &Exchange,
    plan: &Plan,
    stamp: Option<Stamp>,
    claim: &mut Option<Claim>,
    stored: &Stored,
) -> Result<(), &'static str> {
    let class = plan.class(&pipeline.snapshot);
    let (ttl, keep) = class.life(&pipeline.snapshot.result_cache);
    let entry = Entry {
        stored_at_ms: exchange.started_ms,
        ttl,
        keep,
        stamp: stamp.ok_or("no_lease")?,
        layer: Layer::Result,
        tags: plan.tags.clone()?,
        class: class.name.clone(),
        model: stored.head.model.clone(),
        value: stored.encode(),
    };
    match pipeline.tiers.admit(plan.keys.newest, entry, exchange.now_ms(), claim) {
        Admission::Banned => Err("banned"),
        Admission::Expired => Err("expired"),
        Admission::Stored => Ok(()),
    }
}
