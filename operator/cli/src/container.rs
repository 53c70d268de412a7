//! The sidecar's container of a pod: whether it runs, and why not.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use llmcache_operator::policy::names::CONTAINER as NAME;

/// Why the sidecar of a pod does not run, if it has one that does not.
pub(crate) fn trouble(pod: &Pod) -> Option<String> {
    let state = status(pod)?.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        let message = waiting.message.as_deref().unwrap_or_default();
        // A pod that is only being made is no trouble.
        let is_starting = matches!(reason, "PodInitializing" | "ContainerCreating");
        return (!is_starting).then(|| format!("its container {NAME} waits: {reason}: {message}"));
    }
    let ended = state.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("ended");
    Some(format!(
        "its container {NAME} ended: {reason}, exit code {}",
        ended.exit_code
    ))
}

/// How often the container was started again.
pub(crate) fn restarts(pod: &Pod) -> i32 {
    status(pod).map_or(0, |status| status.restart_count)
}

/// Whether the container runs.
pub(crate) fn is_running(pod: &Pod) -> bool {
    let state = status(pod).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.running.is_some())
}

fn status(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.init_container_statuses.iter().flatten();
    statuses.into_iter().find(|status| status.name == NAME)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(state: &Value) -> Pod {
        let status =
            json!({"name": NAME, "state": state, "image": "i", "imageID": "", "ready": false, "restartCount": 2});
        serde_json::from_value(json!({"status": {"initContainerStatuses": [status]}})).unwrap()
    }

    #[test]
    fn only_a_sidecar_that_cannot_run_is_trouble() {
        for (state, expected) in [
            (json!({"running": {}}), None),
            (json!({"waiting": {"reason": "PodInitializing"}}), None),
            (
                json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}),
                Some("its container llmcache waits: ImagePullBackOff: no such image"),
            ),
            (
                json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
                Some("its container llmcache ended: OOMKilled, exit code 137"),
            ),
        ] {
            assert_eq!(trouble(&pod(&state)).as_deref(), expected, "{state}");
        }
        assert_eq!(trouble(&Pod::default()), None);
        let running = pod(&json!({"running": {}}));
        assert!(is_running(&running) && restarts(&running) == 2);
    }
}
