//! What came of an invalidation, from its status.

use std::fmt;
use std::time::Duration;

use llmcache_crds::LLMCacheInvalidation;
use llmcache_crds::invalidation::{condition, reason};
use serde::Serialize;

/// What is known of one invalidation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    /// Namespace and name of the object.
    pub(super) invalidation: String,
    pub(super) dry_run: bool,
    pub(super) state: State,
    /// Answers that matched, once for each place that kept them; null = not counted yet.
    pub(super) matched: Option<i64>,
    /// Sidecars that obeyed, of those connected.
    pub(super) sidecars: Option<String>,
    /// What the operator says.
    pub(super) message: String,
}

/// Where an invalidation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum State {
    /// Every connected sidecar obeys.
    Complete,
    /// It cannot be obeyed, or some sidecar could not.
    Failed,
    /// Not all have answered.
    Pending,
}

impl Outcome {
    /// What an object's status says.
    pub(super) fn of(object: &LLMCacheInvalidation) -> Self {
        let metadata = &object.metadata;
        let status = object.status.clone().unwrap_or_default();
        let find = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
        let (accepted, complete) = (find(condition::ACCEPTED), find(condition::COMPLETE));
        let is_refused = accepted.is_some_and(|accepted| accepted.status == "False");
        let (state, said) = match complete {
            _ if is_refused => (State::Failed, accepted),
            Some(complete) if complete.status == "True" => (State::Complete, Some(complete)),
            Some(complete) if complete.reason == reason::FAILED => (State::Failed, Some(complete)),
            complete => (State::Pending, complete.or(accepted)),
        };
        Self {
            invalidation: format!(
                "{}/{}",
                metadata.namespace.as_deref().unwrap_or_default(),
                metadata.name.as_deref().unwrap_or_default()
            ),
            dry_run: object.spec.dry_run.unwrap_or_default(),
            state,
            matched: status.matched,
            sidecars: status.sidecars,
            message: said.map(|said| said.message.clone()).unwrap_or_default(),
        }
    }

    /// That somebody deleted it meanwhile.
    pub(super) fn gone(object: &LLMCacheInvalidation) -> Self {
        Self {
            state: State::Failed,
            message: "it was deleted before it was complete".into(),
            ..Self::of(object)
        }
    }

    /// Why the command did not do what was asked; `wait` is how long was waited.
    pub(super) fn failure(&self, wait: Option<Duration>) -> Option<String> {
        let Self {
            invalidation, message, ..
        } = self;
        match (self.state, wait) {
            (State::Failed, _) => Some(format!("{invalidation} failed: {message}")),
            (State::Pending, Some(wait)) => Some(format!(
                "{invalidation} is not complete after {} s: {}; fix: wait longer with --wait=DURATION, or see kubectl llmcache \
                 status",
                wait.as_secs_f32(),
                match message.as_str() {
                    "" => "the operator has not answered",
                    message => message,
                }
            )),
            (State::Complete | State::Pending, _) => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.dry_run { "would forget" } else { "forgot" };
        write!(f, "{}: ", self.invalidation)?;
        match (self.state, self.matched, self.sidecars.as_deref()) {
            (State::Complete, matched, sidecars) => write!(
                f,
                "{verb} {} answers, each counted where it was kept, in {} sidecars",
                matched.unwrap_or_default(),
                sidecars.unwrap_or("0/0")
            ),
            (State::Failed, ..) => f.write_str("failed"),
            (State::Pending, _, Some(sidecars)) => write!(f, "{sidecars} sidecars have answered"),
            (State::Pending, ..) => f.write_str("written; every sidecar obeys within a second, --wait tells"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn outcome(conditions: &Value, dry_run: bool) -> Outcome {
        let object = json!({
            "apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCacheInvalidation",
            "metadata": {"name": "cli-x", "namespace": "shop"},
            "spec": {"pattern": "a", "dryRun": dry_run},
            "status": {"matched": 3, "sidecars": "1/2", "conditions": conditions},
        });
        Outcome::of(&serde_json::from_value(object).unwrap())
    }

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": "so", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn status_decides_what_is_said_and_whether_it_failed() {
        let second = Some(Duration::from_secs(1));
        for (conditions, state, text, failure) in [
            (
                json!([]),
                State::Pending,
                "shop/cli-x: 1/2 sidecars have answered",
                true,
            ),
            (
                json!([
                    condition("Accepted", "True", "Accepted"),
                    condition("Complete", "True", "Complete")
                ]),
                State::Complete,
                "shop/cli-x: forgot 3 answers, each counted where it was kept, in 1/2 sidecars",
                false,
            ),
            (
                json!([condition("Complete", "False", "Failed")]),
                State::Failed,
                "shop/cli-x: failed",
                true,
            ),
            (
                json!([
                    condition("Accepted", "False", "NotFound"),
                    condition("Complete", "False", "Pending")
                ]),
                State::Failed,
                "shop/cli-x: failed",
                true,
            ),
            (
                json!([condition("Complete", "False", "Pending")]),
                State::Pending,
                "shop/cli-x: 1/2 sidecars have answered",
                true,
            ),
        ] {
            let found = outcome(&conditions, false);
            assert_eq!((found.state, found.to_string().as_str()), (state, text), "{conditions}");
            assert_eq!(found.failure(second).is_some(), failure, "{conditions}");
        }
        let pending = outcome(&json!([]), false);
        assert_eq!(pending.failure(None), None, "nobody waited");
        let dry = outcome(&json!([condition("Complete", "True", "Complete")]), true);
        assert!(dry.to_string().contains("would forget 3"), "{dry}");
    }
}
