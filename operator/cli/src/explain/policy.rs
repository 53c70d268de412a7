//! One policy: the verdict, conflicts, its pods by state, what sidecars execute under its name.

use std::fmt::Write as _;

use llmcache_crds::status::{SidecarCounts, condition};
use llmcache_operator::facts::Key;
use llmcache_operator::plan::Judged;
use serde::Serialize;
use serde_json::{Value, json};

use super::events::{self, Said};
use super::finding::{Finding, lines};
use super::{Answer, effective, unknown};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::scene::Scene;
use crate::status::policies::Row;

/// Everything about one policy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(flatten)]
    row: Row,
    /// What the operator's code says of the generation that is written now; null = it is accepted.
    refusal: Option<String>,
    /// Revision that follows from what is written now, or from the last accepted generation.
    ordered: Option<String>,
    pods: Vec<Won>,
    /// Who wins pods that it selects too.
    loses_to: Option<String>,
    effective: Option<Value>,
    findings: Vec<Finding>,
    events: Vec<Said>,
    notes: Vec<String>,
}

/// A pod that it wins.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Won {
    pod: String,
    is_injected: bool,
}

/// Pods that people are shown; programs get all.
const SHOWN: usize = 20;

/// Reads, judges and writes.
pub(super) async fn explain(cluster: &Cluster, scene: &Scene, name: &str, now_ms: i64) -> Result<Answer, Failure> {
    let key = Key {
        namespace: cluster.namespace.clone(),
        name: name.into(),
    };
    let Some(judged) = scene.plan.policies.get(&key) else {
        let known: Vec<String> = scene.plan.policies.keys().map(|key| key.name.clone()).collect();
        return Err(unknown("policy", cluster, name, &known));
    };
    let (events, note) = events::about(cluster, &[("LLMCachePolicy", name)], now_ms).await;
    let row = Row::new(&judged.policy, now_ms);
    let written = judged.refusal.is_none().then_some(&judged.policy.spec);
    let program = judged.program.as_ref();
    let pods = won(scene, judged);
    let report = Report {
        refusal: judged
            .refusal
            .as_ref()
            .map(|refusal| format!("{}: {}", refusal.reason, refusal.message)),
        ordered: program.map(|program| program.revision.clone()),
        loses_to: judged.loses_to.as_ref().map(|key| key.name.clone()),
        effective: program.map(|program| effective::spec(&program.snapshot, written)),
        findings: findings(&row, judged, &pods),
        pods,
        row,
        events,
        notes: scene.notes.iter().cloned().chain(note).collect(),
    };
    Ok(Answer {
        text: report.text(),
        json: json!(report),
        findings: report.findings,
    })
}

fn won(scene: &Scene, judged: &Judged) -> Vec<Won> {
    let placed = judged.pods.iter().filter_map(|uid| scene.plan.pods.get(uid));
    let mut pods: Vec<Won> = placed
        .map(|placed| Won {
            pod: placed.pod.key.name.clone(),
            is_injected: placed.pod.is_injected(),
        })
        .collect();
    pods.sort_by(|one, other| one.pod.cmp(&other.pod));
    pods
}

fn findings(row: &Row, judged: &Judged, pods: &[Won]) -> Vec<Finding> {
    let (namespace, name) = (&row.namespace, &row.name);
    let mut findings = Vec::new();
    let is_said = row.word(condition::ACCEPTED) == "False";
    // Its message names field, value and fix itself.
    let edit = format!("kubectl -n {namespace} edit lcp {name}");
    if let Some(refusal) = judged.refusal.as_ref().filter(|_| !is_said) {
        findings.push(Finding::new(
            format!("{}: {}", refusal.reason, refusal.message),
            edit.clone(),
        ));
    }
    for (kind, fix) in [
        (condition::ACCEPTED, edit),
        (
            condition::PROGRAMMED,
            format!("kubectl llmcache explain pod NAME -n {namespace}, for a pod that the message names"),
        ),
        (
            condition::HEALTHY,
            format!("kubectl llmcache status -n {namespace}, which shows what each layer saves and costs"),
        ),
    ] {
        findings.extend(
            row.wrong(kind)
                .map(|said| Finding::new(format!("{kind}=False {}: {}", said.reason, said.message), fix)),
        );
    }
    for won in pods.iter().filter(|won| !won.is_injected) {
        let fix = format!("kubectl llmcache explain pod {} -n {namespace}", won.pod);
        findings.push(Finding::new(format!("pod {} has no sidecar", won.pod), fix));
    }
    findings
}

impl Report {
    fn text(&self) -> String {
        let Row {
            namespace,
            name,
            generation,
            conditions,
            sidecars,
            layers,
            ..
        } = &self.row;
        let mut text = format!("policy {namespace}/{name}, generation {generation}\n");
        for said in conditions {
            let _ = writeln!(
                text,
                "{}: {} {}: {}",
                said.type_, said.status, said.reason, said.message
            );
        }
        let lines_of_row = self.row.lines();
        for line in lines_of_row.iter().filter(|line| line.contains("the operator has")) {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "revision: {}", self.ordered.as_deref().unwrap_or("none"));
        text += &of_pods(sidecars, &self.pods);
        if let Some(winner) = &self.loses_to {
            let _ = writeln!(text, "conflict: {winner} wins pods that it selects too");
        }
        for layer in layers {
            let _ = writeln!(text, "layer {}: {} {}", layer.name, layer.state, layer.message);
        }
        text += &lines(&self.findings);
        text += &events::lines(&self.events);
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        if let Some(effective) = &self.effective {
            let _ = write!(text, "effective policy:\n{}", effective::yaml(effective));
        }
        text
    }
}

fn of_pods(counts: &SidecarCounts, pods: &[Won]) -> String {
    let mut text = format!(
        "sidecars: {} matched, {} serving, {} pending, {} stale, {} rejected, {} outdated\n",
        counts.matched, counts.serving, counts.pending, counts.stale, counts.rejected, counts.outdated
    );
    for won in pods.iter().take(SHOWN) {
        let word = if won.is_injected { "injected" } else { "without sidecar" };
        let _ = writeln!(text, "  {}: {word}", won.pod);
    }
    if pods.len() > SHOWN {
        let _ = writeln!(text, "  and {} more; -o json has all", pods.len() - SHOWN);
    }
    text
}
