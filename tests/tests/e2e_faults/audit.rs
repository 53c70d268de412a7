//! The API server's own account of what the operator asked for: nobody but the leader writes what is the leader's.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use llmcache_tests::kit::Cluster;
use serde_json::Value;

const OPERATOR: &str = "system:serviceaccount:llmcache-system:llmcache-operator";

/// One call of the operator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    /// Name of the pod that called.
    pub(crate) pod: String,
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With its part, such as `llmcachepolicies/status`; empty = no resource.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) code: u64,
    /// When it came and when it was answered, microseconds since 1970.
    pub(crate) came_us: i64,
    pub(crate) answered_us: i64,
}

/// All calls of the operator, as they were answered.
pub(crate) fn read(cluster: &Cluster) -> anyhow::Result<Vec<Call>> {
    let text = std::fs::read_to_string(cluster.audit_log())?;
    let mut calls = Vec::new();
    for line in text.lines().filter(|line| line.contains(OPERATOR)) {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if event["user"]["username"] == OPERATOR && event["stage"] == "ResponseComplete" {
            calls.push(call(&event)?);
        }
    }
    ensure!(!calls.is_empty(), "the audit log has no call of {OPERATOR}");
    calls.sort_by_key(|call| call.came_us);
    Ok(calls)
}

fn call(event: &Value) -> anyhow::Result<Call> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let time = |name: &str| -> anyhow::Result<i64> {
        let time: Timestamp = text(&event[name])
            .parse()
            .with_context(|| format!("{name} of {event}"))?;
        Ok(time.as_microsecond())
    };
    let object = &event["objectRef"];
    let part = text(&object["subresource"]);
    let resource = text(&object["resource"]);
    Ok(Call {
        pod: text(&event["user"]["extra"]["authentication.kubernetes.io/pod-name"][0]),
        verb: text(&event["verb"]),
        group: text(&object["apiGroup"]),
        resource: if part.is_empty() {
            resource
        } else {
            format!("{resource}/{part}")
        },
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        path: text(&event["requestURI"]),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
        came_us: time("requestReceivedTimestamp")?,
        answered_us: time("stageTimestamp")?,
    })
}

impl Call {
    fn is_election(&self) -> bool {
        self.resource == "leases" && self.verb != "get"
    }

    /// Whether only a leader may do it.
    fn is_duty(&self) -> bool {
        let is_ours = matches!(
            self.resource.as_str(),
            "llmcachepolicies/status"
                | "llmcacheinvalidations"
                | "llmcacheinvalidations/status"
                | "secrets"
                | "mutatingwebhookconfigurations"
        );
        is_ours && !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// Fails when a call that is the leader's came from a pod after another had the lease; says how many there were.
pub(crate) fn only_leaders_write(calls: &[Call]) -> anyhow::Result<String> {
    let (judged, turns, problems) = judge(calls);
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    ensure!(
        judged > 0 && turns > 1,
        "{judged} writes of {turns} leaders are too few to judge"
    );
    Ok(format!(
        "audit: {judged} writes of {turns} leaders, each by whoever had the lease"
    ))
}

fn judge(calls: &[Call]) -> (usize, usize, Vec<String>) {
    let won = |call: &&Call| call.is_election() && matches!(call.code, 200 | 201);
    // Who had the lease since when; a renewal of the same pod is no turn.
    let mut leaders: BTreeMap<i64, &str> = BTreeMap::new();
    let mut writes: Vec<&Call> = calls.iter().filter(won).collect();
    writes.sort_by_key(|call| call.answered_us);
    for call in writes {
        if leaders.values().next_back() != Some(&call.pod.as_str()) {
            leaders.insert(call.answered_us, &call.pod);
        }
    }
    let mut problems = Vec::new();
    let mut judged = 0;
    for call in calls.iter().filter(|call| call.is_duty()) {
        judged += 1;
        let leader = leaders.range(..=call.came_us).next_back().map(|(_, pod)| *pod);
        if leader != Some(&call.pod) {
            problems.push(format!(
                "{} did {} {} {} at {} us while {} had the lease",
                call.pod,
                call.verb,
                call.resource,
                call.name,
                call.came_us,
                leader.unwrap_or("nobody")
            ));
        }
    }
    (judged, leaders.len(), problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(pod: &str, verb: &str, resource: &str, at: i64) -> Call {
        Call {
            pod: pod.into(),
            verb: verb.into(),
            resource: resource.into(),
            code: 200,
            came_us: at,
            answered_us: at + 1,
            ..Call::default()
        }
    }

    #[test]
    fn a_write_after_the_lease_went_on_is_found() {
        let mut calls = vec![
            call("a", "create", "leases", 0),
            call("a", "patch", "llmcachepolicies/status", 5),
            call("b", "update", "leases", 10),
            call("b", "patch", "llmcachepolicies/status", 15),
        ];
        assert_eq!(judge(&calls), (2, 2, vec![]));
        calls.push(call("a", "patch", "llmcachepolicies/status", 20));
        let (_, _, problems) = judge(&calls);
        assert!(problems[0].contains("while b had the lease"), "{problems:?}");
    }

    #[test]
    fn an_election_that_failed_gives_nothing() {
        let mut lost = call("b", "update", "leases", 10);
        lost.code = 409;
        let calls = [
            call("a", "create", "leases", 0),
            lost,
            call("b", "update", "secrets", 20),
        ];
        assert_eq!(judge(&calls).2.len(), 1);
    }
}
