//! Whether the written generation of a policy is accepted, and what is executed under its name.

use std::sync::Arc;

use llmcache_crds::LLMCachePolicy;
use llmcache_crds::status::reason;

use super::{Judged, Program};
use crate::facts::Key;
use crate::index::Index;
use crate::settings::Settings;
use crate::validate::{Problem, validate};

/// Why a generation is not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Reason of the condition `Accepted`.
    pub reason: &'static str,
    /// Field, value and fix.
    pub message: String,
}

/// What is known of one policy uid.
#[derive(Clone, Debug)]
pub(super) struct Known {
    generation: i64,
    pub(super) refusal: Option<Refusal>,
    pub(super) program: Option<Arc<Program>>,
    namespace_labels: Option<std::collections::BTreeMap<String, String>>,
}

/// Most problems that a condition's message lists.
const MAX_PROBLEMS: usize = 8;

/// Judges a policy, unless that was done for this generation already.
pub(super) fn judge(
    policy: &LLMCachePolicy,
    known: Option<Known>,
    index: &Index,
    settings: &Settings,
    now_ms: i64,
) -> Known {
    let generation = policy.metadata.generation.unwrap_or_default();
    let key = Key::of(&policy.metadata);
    let namespace = index.namespaces.get(&Key {
        namespace: String::new(),
        name: key.namespace,
    });
    // A store class may admit namespaces by label, so that labels are part of what was judged.
    let namespace_labels = namespace.map(|known| known.labels.clone());
    if let Some(known) = &known
        && known.generation == generation
        && known.namespace_labels == namespace_labels
    {
        return known.clone();
    }
    let before = known.and_then(|known| known.program);
    let (refusal, program) = match accept(policy, namespace_labels.as_ref(), settings) {
        Err(refusal) => (Some(refusal), before),
        Ok(program) => {
            let snapshot = crate::compile(&program);
            let is_same = before.as_ref().is_some_and(|before| before.snapshot == snapshot);
            let program = before
                .filter(|_| is_same)
                .unwrap_or_else(|| Program::new(snapshot, now_ms));
            (None, Some(program))
        }
    };
    Known {
        generation,
        refusal,
        program,
        namespace_labels,
    }
}

fn accept(
    policy: &LLMCachePolicy,
    labels: Option<&std::collections::BTreeMap<String, String>>,
    settings: &Settings,
) -> Result<crate::validate::Validated, Refusal> {
    let valid = validate(policy).map_err(|problems| Refusal {
        reason: reason::INVALID,
        message: listed(&problems),
    })?;
    settings.admit_upstreams(&policy.spec).map_err(|message| Refusal {
        reason: reason::UPSTREAM_NOT_ALLOWED,
        message,
    })?;
    let class = policy.spec.stores.as_ref();
    let class = class.map(|stores| stores.class.as_deref().unwrap_or(crate::compile::STORE_CLASS));
    if let Some(class) = class {
        settings.admit_store_class(class, labels).map_err(|message| Refusal {
            reason: reason::UNKNOWN_STORE_CLASS,
            message,
        })?;
    }
    Ok(valid)
}

/// A policy that wins no pod because others win all that it selects is in conflict; one that loses some is not.
pub(super) fn settle_conflict(judged: &mut Judged) {
    let Some(winner) = judged
        .loses_to
        .clone()
        .filter(|_| judged.refusal.is_none() && judged.pods.is_empty())
    else {
        return;
    };
    judged.refusal = Some(Refusal {
        reason: reason::CONFLICTED,
        message: format!(
            "spec.selector: every pod it selects is won by the policy {}, which has a selector where this has none, is \
             older, or comes first by name; fix: narrow one of the selectors, delete one of the policies, or name this \
             one in the pods' annotation {}",
            winner.name,
            llmcache_policy::names::ANNOTATION_POLICY
        ),
    });
}

fn listed(problems: &[Problem]) -> String {
    let mut lines: Vec<String> = problems.iter().take(MAX_PROBLEMS).map(ToString::to_string).collect();
    if problems.len() > MAX_PROBLEMS {
        lines.push(format!(
            "and {} more; `kubectl llmcache lint` lists all",
            problems.len() - MAX_PROBLEMS
        ));
    }
    lines.join("\n")
}
