//! Conditions that change only when they say something else. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use llmcache_crds::LLMCacheInvalidation;

/// A condition with the time of its last change, which is the known one's where the status stays.
pub(super) fn condition(
    object: &LLMCacheInvalidation,
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    now_ms: i64,
) -> Condition {
    let known = find(object, kind);
    let since = known.filter(|known| known.status == status);
    let now = Timestamp::from_millisecond(now_ms / 1_000 * 1_000).unwrap_or_default();
    Condition {
        type_: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message,
        last_transition_time: since.map_or(Time(now), |known| known.last_transition_time.clone()),
        observed_generation: object.metadata.generation,
    }
}

/// The condition of a type.
pub(super) fn find<'a>(object: &'a LLMCacheInvalidation, kind: &str) -> Option<&'a Condition> {
    let conditions = object.status.as_ref().map(|status| &status.conditions);
    conditions?.iter().find(|condition| condition.type_ == kind)
}

/// When the condition of a type became true, milliseconds since 1970.
pub(super) fn true_since(object: &LLMCacheInvalidation, kind: &str) -> Option<i64> {
    let condition = find(object, kind).filter(|condition| condition.status == "True")?;
    Some(condition.last_transition_time.0.as_millisecond())
}

/// When an object was made, milliseconds since 1970.
pub(super) fn created(object: &LLMCacheInvalidation) -> i64 {
    let created = object.metadata.creation_timestamp.as_ref();
    created.map_or(0, |time| time.0.as_millisecond())
}
