//! The last Events about an object, from the operator.

use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use llmcache_operator::events::REPORTER;
use serde::Serialize;

use crate::age::{age, since};
use crate::cluster::Cluster;

/// Events that are shown.
const SHOWN: usize = 8;

/// One Event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Said {
    pub(super) reason: String,
    pub(super) message: String,
    /// Kind and name of the object.
    pub(super) about: String,
    /// Such as `4m`.
    pub(super) age: String,
    #[serde(skip)]
    at_ms: i64,
}

/// What the operator said about any of these objects, the last first; and what could not be read.
pub(super) async fn about(cluster: &Cluster, objects: &[(&str, &str)], now_ms: i64) -> (Vec<Said>, Option<String>) {
    let mut said = Vec::new();
    for (kind, name) in objects {
        let params = ListParams::default().fields(&format!("regarding.kind={kind},regarding.name={name}"));
        match cluster.list::<Event>(Some(&cluster.namespace), &params).await {
            Ok(events) => said.extend(events.iter().filter_map(|event| read(event, now_ms))),
            Err(trouble) => return (said, Some(format!("Events are not counted: {}", trouble.message))),
        }
    }
    said.sort_by_key(|said| std::cmp::Reverse(said.at_ms));
    said.truncate(SHOWN);
    (said, None)
}

fn read(event: &Event, now_ms: i64) -> Option<Said> {
    if event.reporting_controller.as_deref() != Some(REPORTER) {
        return None;
    }
    let regarding = event.regarding.clone().unwrap_or_default();
    let last = event.series.as_ref().map(|series| &series.last_observed_time);
    let time = last.or(event.event_time.as_ref());
    let created = event.metadata.creation_timestamp.as_ref();
    let at_ms = time.map(|time| time.0.as_millisecond());
    Some(Said {
        reason: event.reason.clone().unwrap_or_default(),
        message: event.note.clone().unwrap_or_default(),
        about: format!(
            "{}/{}",
            regarding.kind.unwrap_or_default(),
            regarding.name.unwrap_or_default()
        ),
        age: time.map_or_else(|| age(created, now_ms), |time| since(Some(time), now_ms)),
        at_ms: at_ms
            .or_else(|| created.map(|time| time.0.as_millisecond()))
            .unwrap_or_default(),
    })
}

/// All of them for people.
pub(super) fn lines(said: &[Said]) -> String {
    if said.is_empty() {
        return "events: none\n".into();
    }
    let lines = said.iter().map(
        |Said {
             reason,
             message,
             about,
             age,
             ..
         }| format!("  {age} {about} {reason}: {message}\n"),
    );
    format!("events:\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_operators_events_count_and_the_last_time_is_theirs() {
        let event = |reporter: &str| -> Event {
            serde_json::from_value(json!({
                "metadata": {"name": "e", "namespace": "shop"}, "eventTime": "2026-01-01T00:00:00.000000Z",
                "reportingController": reporter, "reason": "InjectionSkipped", "note": "HostNetwork",
                "regarding": {"kind": "Deployment", "name": "chat"},
                "series": {"count": 3, "lastObservedTime": "2026-01-01T00:10:00.000000Z"},
            }))
            .unwrap()
        };
        let now_ms = 1_767_226_200_000;
        assert_eq!(read(&event("kubelet"), now_ms), None);
        let said = read(&event(REPORTER), now_ms).unwrap();
        assert_eq!(
            lines(&[said]),
            "events:\n  0s Deployment/chat InjectionSkipped: HostNetwork\n"
        );
        assert_eq!(lines(&[]), "events: none\n");
    }
}
