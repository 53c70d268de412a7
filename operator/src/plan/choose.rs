//! Which of a namespace's policies wins one pod.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use llmcache_crds::LLMCachePolicy;
use llmcache_crds::policy::{Operator, Requirement, Selector};
use llmcache_policy::names;

use super::Judged;
use crate::facts::{Key, Pod};

/// The outcome for one pod.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// The policy that applies.
    pub(super) winner: Option<Key>,
    /// Others that select the pod too.
    pub(super) losers: Vec<Key>,
    /// The policy that the pod's annotation names and that does not exist.
    pub(super) missing: Option<String>,
}

/// Chooses among the policies of the pod's namespace.
pub(super) fn choose(pod: &Pod, policies: &BTreeMap<Key, Judged>) -> Choice {
    let key = |name: &str| Key {
        namespace: pod.key.namespace.clone(),
        name: name.into(),
    };
    let named = pod.annotations.get(names::ANNOTATION_POLICY);
    let own = policies
        .range(key("")..)
        .take_while(|(key, _)| key.namespace == pod.key.namespace);
    let mut candidates: Vec<(&Key, &LLMCachePolicy)> = own
        .filter(|(_, judged)| judged.was_accepted() && selects(judged.policy.spec.selector.as_ref(), &pod.labels))
        .map(|(key, judged)| (key, &*judged.policy))
        .collect();
    candidates.sort_by_key(|(key, policy)| rank(key, policy));
    let mut selected: Vec<Key> = candidates.into_iter().map(|(key, _)| key.clone()).collect();
    let Some(named) = named else {
        let winner = (!selected.is_empty()).then(|| selected.remove(0));
        return Choice {
            winner,
            losers: selected,
            missing: None,
        };
    };
    let winner = policies.contains_key(&key(named)).then(|| key(named));
    Choice {
        missing: winner.is_none().then(|| named.clone()),
        losers: selected
            .into_iter()
            .filter(|key| Some(key) != winner.as_ref())
            .collect(),
        winner,
    }
}

/// Smaller wins: a selector, then the oldest, then the first by name.
fn rank<'a>(key: &'a Key, policy: &LLMCachePolicy) -> (Reverse<bool>, i64, &'a str) {
    let has_selector = policy
        .spec
        .selector
        .as_ref()
        .is_some_and(|selector| !is_empty(selector));
    let created = policy.metadata.creation_timestamp.as_ref();
    let created_ms = created.map_or(i64::MAX, |time| time.0.as_millisecond());
    (Reverse(has_selector), created_ms, &key.name)
}

fn is_empty(selector: &Selector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// Whether a selector selects labels, as Kubernetes does; none or an empty one selects everything.
pub(crate) fn selects(selector: Option<&Selector>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector else { return true };
    let mut pairs = selector.match_labels.iter().flatten();
    let mut expressions = selector.match_expressions.iter().flatten();
    pairs.all(|(name, value)| labels.get(name) == Some(value))
        && expressions.all(|requirement| meets(requirement, labels))
}

fn meets(requirement: &Requirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    let values: BTreeSet<&String> = requirement.values.iter().flatten().collect();
    match requirement.operator {
        Operator::In => value.is_some_and(|value| values.contains(value)),
        Operator::NotIn => value.is_none_or(|value| !values.contains(value)),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
    }
}
