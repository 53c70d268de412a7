//! What is wrong with a pod, each with the exact command that mends it. Pure: facts in, findings out.

use std::collections::BTreeMap;

use llmcache_operator::facts::{Owner, Pod};
use llmcache_operator::plan::{Order, Placed};
use llmcache_operator::policy::names;
use serde_json::json;

use super::super::finding::Finding;
use super::super::sidecar::Sidecar;
use crate::scene::Injection;

/// What is known of one pod.
pub(super) struct Case<'a> {
    pub(super) pod: &'a Pod,
    pub(super) owner: Option<&'a Owner>,
    pub(super) injection: &'a Injection,
    pub(super) placed: Option<&'a Placed>,
    /// What its sidecar says.
    pub(super) sidecar: Option<&'a Sidecar>,
    /// Revision that it is to run; empty = none.
    pub(super) ordered: Option<&'a str>,
    /// Policies of the namespace with the labels that they select.
    pub(super) policies: &'a BTreeMap<String, BTreeMap<String, String>>,
    /// Where the operator runs.
    pub(super) install: &'a str,
}

/// Labels that say which app a pod is, the best first.
const APP_LABELS: [&str; 3] = ["app", "app.kubernetes.io/name", "app.kubernetes.io/instance"];

/// Everything that is wrong.
pub(super) fn findings(case: &Case<'_>) -> Vec<Finding> {
    if !case.injection.is_injected {
        let fix = case.injection.fix.as_deref();
        let fix = fix.unwrap_or("change what the message names; the next pod is judged anew");
        return vec![Finding::new(uninjected(case), fix)];
    }
    let of_sidecar = case.sidecar.and_then(|sidecar| of_sidecar(case, sidecar));
    let traffic = case.sidecar.and_then(|sidecar| without_traffic(case, sidecar));
    [of_policy(case), of_sidecar, traffic].into_iter().flatten().collect()
}

fn uninjected(case: &Case<'_>) -> String {
    format!("the pod has no sidecar: {}", case.injection.message)
}

fn of_policy(case: &Case<'_>) -> Option<Finding> {
    let placed = case.placed?;
    if let Some(missing) = &placed.missing {
        let fix = match case.policies.keys().next() {
            Some(name) => case.name_policy(name),
            None => case.new_policy(missing),
        };
        let problem = format!(
            "its annotation {} names the policy {missing}, which does not exist; everything passes through",
            names::ANNOTATION_POLICY
        );
        return Some(Finding::new(problem, fix));
    }
    if placed.policy.is_some() || placed.order != Order::PassThrough {
        return None;
    }
    let Some((name, selected)) = case.policies.iter().next() else {
        let problem = "no policy matches: the namespace has none; everything passes through";
        let app = case.app().map_or("llmcache", |(_, value)| value);
        return Some(Finding::new(problem, case.new_policy(app)));
    };
    let problem = format!(
        "no policy matches: {name} selects {}, and the pod has {}; everything passes through",
        labels(selected),
        labels(&case.pod.labels)
    );
    Some(Finding::new(problem, case.name_policy(name)))
}

fn of_sidecar(case: &Case<'_>, sidecar: &Sidecar) -> Option<Finding> {
    let (namespace, name) = (&case.pod.key.namespace, &case.pod.key.name);
    if let Some(trouble) = &sidecar.trouble {
        return Some(Finding::new(
            format!("the sidecar does not run: {trouble}"),
            format!(
                "kubectl -n {namespace} describe pod {name}, and mend what it says; the image is the chart value sidecar.image"
            ),
        ));
    }
    if sidecar.is_connected == Some(false) {
        return Some(Finding::new(
            "the sidecar is not connected to the operator: it runs what it had last",
            format!(
                "kubectl -n {} rollout status deployment/{}; where that is well, see kubectl -n {namespace} logs {name} -c llmcache",
                case.install,
                names::SERVICE
            ),
        ));
    }
    let (running, ordered) = (sidecar.revision.as_deref()?, case.ordered?);
    if running == ordered {
        return None;
    }
    let shown = |revision: &str| {
        if revision.is_empty() {
            "no policy".to_owned()
        } else {
            format!("revision {revision}")
        }
    };
    let policy = case.placed.and_then(|placed| placed.policy.as_ref());
    let fix = policy.map_or_else(
        || format!("kubectl -n {namespace} logs {name} -c llmcache"),
        |policy| {
            format!(
                "kubectl llmcache explain policy {} -n {namespace}, whose condition Programmed says why",
                policy.name
            )
        },
    );
    let problem = format!("the sidecar runs {} and is to run {}", shown(running), shown(ordered));
    Some(Finding::new(problem, fix))
}

/// Injected, connected as far as is known, and no request came.
fn without_traffic(case: &Case<'_>, sidecar: &Sidecar) -> Option<Finding> {
    if sidecar.requests != Some(0) || sidecar.is_connected == Some(false) {
        return None;
    }
    let (namespace, name) = (&case.pod.key.namespace, &case.pod.key.name);
    Some(Finding::new(
        "no request seen since start: base URL set in code, or no call made yet",
        format!(
            "take base_url / baseURL out of the program, so that the SDK reads ANTHROPIC_BASE_URL and OPENAI_BASE_URL; \
             kubectl -n {namespace} exec {name} -- env | grep BASE_URL shows where they point"
        ),
    ))
}

impl Case<'_> {
    /// Names a policy in the pod's template, which holds whatever it selects.
    fn name_policy(&self, policy: &str) -> String {
        match self.owner {
            Some(owner) if owner.kind != "Job" => {
                template(&self.pod.key.namespace, owner, names::ANNOTATION_POLICY, policy)
            }
            _ => format!(
                "kubectl -n {} annotate pod {} {}={policy} --overwrite",
                self.pod.key.namespace,
                self.pod.key.name,
                names::ANNOTATION_POLICY
            ),
        }
    }

    /// Writes a policy that selects the pod.
    fn new_policy(&self, name: &str) -> String {
        let selector = self.app().map_or_else(
            || json!({}),
            |(label, value)| json!({"selector": {"matchLabels": {label: value}}}),
        );
        let policy = json!({
            "apiVersion": "llmcache.dev/v1alpha1",
            "kind": "LLMCachePolicy",
            "metadata": {"name": name, "namespace": self.pod.key.namespace},
            "spec": selector,
        });
        format!("echo '{policy}' | kubectl apply -f -")
    }

    fn app(&self) -> Option<(&str, &str)> {
        let labels = &self.pod.labels;
        let found = APP_LABELS.iter().find_map(|label| labels.get_key_value(*label));
        found.map(|(label, value)| (label.as_str(), value.as_str()))
    }
}

/// Sets an annotation of an owner's pod template.
fn template(namespace: &str, owner: &Owner, name: &str, value: &str) -> String {
    let patch = json!({"template": {"metadata": {"annotations": {name: value}}}});
    let patch = match owner.kind.as_str() {
        "CronJob" => json!({"spec": {"jobTemplate": {"spec": patch}}}),
        _ => json!({"spec": patch}),
    };
    let kind = owner.kind.to_lowercase();
    format!(
        "kubectl -n {namespace} patch {kind} {} --type=merge -p '{patch}'",
        owner.key.name
    )
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let is_ours = |name: &str| name == names::LABEL_INJECTED || name == "pod-template-hash";
    let shown = labels.iter().filter(|(name, _)| !is_ours(name));
    let shown: Vec<String> = shown.map(|(name, value)| format!("{name}={value}")).collect();
    if shown.is_empty() {
        "no labels".into()
    } else {
        shown.join(",")
    }
}

#[cfg(test)]
mod tests;
