//! Bans as the operator tells them: each put in force once, answered again from memory, and not lost when the stores
//! they were put into give way to others.

use std::collections::VecDeque;
use std::time::Duration;

use llmcache_cache::bans::Ban;
use llmcache_cache::tiers::{Issued, Reach, Tiers};
use llmcache_policy::push::{self, BanResult};
use parking_lot::Mutex;

use crate::local::layer_of;
use crate::pipeline::Pipeline;

/// Bans answered from memory; an older one that is told again is put in force again, which only kills more.
const MAX_ANSWERED: usize = 1_024;
/// Bans taken along to another store: those that it may not have yet, the latest.
const MAX_CARRIED: usize = 32;

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<VecDeque<Answered>>);

#[derive(Debug)]
struct Answered {
    policy: String,
    ban: Ban,
    result: BanResult,
    /// The stores in use heard of it.
    is_current: bool,
}

/// What a told ban asks of this pod.
enum Meant {
    /// Nothing: it is for another policy.
    Nothing,
    /// This.
    Ban(Ban),
}

impl Told {
    /// Does what a ban says, or says again what it did.
    pub(crate) async fn obey(&self, pipeline: &Pipeline, told: push::Ban) -> BanResult {
        if let Some(known) = self.known(&told.id) {
            return known;
        }
        let ban = match mean(pipeline, &told) {
            Ok(Meant::Ban(ban)) => ban,
            Ok(Meant::Nothing) => return done(&told.id, 0, true, pipeline.tiers.shared.is_some()),
            Err(problem) => return failed(&told.id, problem),
        };
        let now_ms = pipeline.clock.now_ms();
        let issued = if told.dry_run {
            pipeline.tiers.dry_run(&ban, now_ms).await
        } else {
            pipeline.tiers.issue_once(&ban, &told.id, now_ms).await
        };
        let (issued, is_durable) = match issued {
            Ok(issued) => {
                let is_durable = issued.id.is_some();
                (issued, is_durable)
            }
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                return failed(&told.id, problems.join("; "));
            }
        };
        let Issued {
            matched,
            is_complete,
            reach,
            ..
        } = issued;
        let result = done(&told.id, matched, is_complete, reach == Reach::Store);
        if told.dry_run {
            return result;
        }
        tracing::info!(ban = told.id, matched, "invalidated");
        if !is_durable {
            // Told again it is tried again; until then it is in force here.
            let error = "the shared store did not take the ban; it is in force in this pod and is tried again";
            return BanResult {
                error: error.into(),
                ..result
            };
        }
        self.remember(told.policy, ban, result.clone());
        result
    }

    /// Puts into other stores, before anything is served from them, what these may not know.
    pub(crate) fn carry(&self, tiers: &Tiers, policy: &str, now_ms: u64) {
        let mut answered = self.0.lock();
        answered.iter_mut().for_each(|known| known.is_current = false);
        for known in answered.iter().rev().take(MAX_CARRIED) {
            if known.policy.is_empty() || known.policy == policy {
                tiers.hold(&known.ban, &known.result.id, now_ms);
            }
        }
    }

    fn known(&self, id: &str) -> Option<BanResult> {
        let answered = self.0.lock();
        let known = answered
            .iter()
            .find(|known| known.is_current && known.result.id == id)?;
        Some(known.result.clone())
    }

    fn remember(&self, policy: String, ban: Ban, result: BanResult) {
        let mut answered = self.0.lock();
        answered.retain(|known| known.result.id != result.id);
        if answered.len() == MAX_ANSWERED {
            answered.pop_front();
        }
        answered.push_back(Answered {
            policy,
            ban,
            result,
            is_current: true,
        });
    }
}

fn mean(pipeline: &Pipeline, told: &push::Ban) -> Result<Meant, String> {
    let ours = &pipeline.snapshot.identity.name;
    let is_ours = told.policy.is_empty() || told.policy == *ours;
    if !is_ours || pipeline.snapshot.is_pass_through() {
        return Ok(Meant::Nothing);
    }
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut ban = Ban {
        pattern: given(&told.pattern),
        model: given(&told.model),
        class: given(&told.class),
        older_than: told.older_than_ms.map(Duration::from_millis),
        layer: layer_of(&told.layer)?,
    };
    if !told.name.is_empty() {
        let known = pipeline
            .snapshot
            .invalidation
            .iter()
            .find(|known| known.name == told.name);
        match known {
            Some(known) => ban.pattern = Some(known.pattern.clone()),
            // Of all policies only some have an invalidation of this name.
            None if told.policy.is_empty() => return Ok(Meant::Nothing),
            None => return Err(format!("name: the policy has no invalidation {}", told.name)),
        }
    }
    Ok(Meant::Ban(ban))
}

fn done(id: &str, matched: u64, is_complete: bool, is_in_store: bool) -> BanResult {
    BanResult {
        id: id.to_owned(),
        matched,
        is_complete,
        is_in_store,
        error: String::new(),
    }
}

fn failed(id: &str, error: String) -> BanResult {
    BanResult {
        error,
        ..done(id, 0, false, false)
    }
}
