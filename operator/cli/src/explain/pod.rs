//! One pod: its sidecar, its policy, its traffic; each thing that is wrong with the command that mends it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use llmcache_operator::facts::{self, Key};
use llmcache_operator::plan::{Order, Placed};
use llmcache_operator::policy::names;
use serde::Serialize;
use serde_json::{Value, json};

use super::events::{self, Said};
use super::finding::{Finding, lines};
use super::sidecar::Sidecar;
use super::{Answer, effective, unknown};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::scene::{Injection, Scene};

mod diagnosis;

/// Pods of a namespace whose names an error lists.
const NAMES: usize = 8;

/// Everything about one pod.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Namespace and name.
    pod: String,
    /// Kind and name of what makes it again.
    owner: Option<String>,
    injection: Injection,
    policy: Option<Chosen>,
    sidecar: Option<Sidecar>,
    findings: Vec<Finding>,
    events: Vec<Said>,
    notes: Vec<String>,
}

/// The policy of one pod.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Chosen {
    /// Null = none, or the install's defaults.
    name: Option<String>,
    /// Why it and no other.
    why: String,
    /// Others that select the pod too.
    over: Vec<String>,
    /// The policy that the pod's annotation names and that does not exist.
    missing: Option<String>,
    /// What the sidecar is to run; empty = no policy, null = what it runs already.
    ordered: Option<String>,
    /// Why the written generation is not ordered.
    refusal: Option<String>,
    /// In the words of the format, all defaults filled in.
    effective: Option<Value>,
}

/// Reads, judges and writes.
pub(super) async fn explain(cluster: &Cluster, scene: &Scene, name: &str, now_ms: i64) -> Result<Answer, Failure> {
    let key = Key {
        namespace: cluster.namespace.clone(),
        name: name.into(),
    };
    let (Some(pod), Some(fact)) = (scene.pods.get(&key), scene.index.pods.get(&key)) else {
        let known: Vec<String> = scene.pods.keys().take(NAMES).map(|key| key.name.clone()).collect();
        return Err(unknown("pod", cluster, name, &known));
    };
    let owner = scene.index.root_owner(fact);
    let mut about = vec![("Pod", name)];
    about.extend(owner.iter().map(|owner| (owner.kind.as_str(), owner.key.name.as_str())));
    let (events, note) = events::about(cluster, &about, now_ms).await;
    let injection = scene.injection(pod, fact);
    let sidecar = if injection.is_injected {
        Some(Sidecar::ask(cluster, &key, pod).await)
    } else {
        None
    };
    let placed = scene.plan.pods.get(&fact.uid);
    let policy = placed.map(|placed| chosen(scene, fact, placed));
    let case = diagnosis::Case {
        pod: fact,
        owner: owner.as_ref(),
        injection: &injection,
        placed,
        sidecar: sidecar.as_ref(),
        ordered: policy.as_ref().and_then(|policy| policy.ordered.as_deref()),
        policies: &own_policies(scene, fact),
        install: &scene.install.namespace,
    };
    let report = Report {
        pod: key.to_string(),
        owner: owner.as_ref().map(|owner| format!("{}/{}", owner.kind, owner.key.name)),
        findings: diagnosis::findings(&case),
        policy,
        sidecar,
        injection,
        events,
        notes: scene.notes.iter().cloned().chain(note).collect(),
    };
    Ok(Answer {
        text: report.text(),
        json: json!(report),
        findings: report.findings,
    })
}

/// Policies of the pod's namespace with what they select.
fn own_policies(scene: &Scene, pod: &facts::Pod) -> BTreeMap<String, BTreeMap<String, String>> {
    let own = scene
        .index
        .policies
        .iter()
        .filter(|(key, _)| key.namespace == pod.key.namespace);
    own.map(|(key, policy)| {
        let selector = policy.spec.selector.as_ref();
        let labels = selector.and_then(|selector| selector.match_labels.clone());
        (key.name.clone(), labels.unwrap_or_default())
    })
    .collect()
}

fn chosen(scene: &Scene, pod: &facts::Pod, placed: &Placed) -> Chosen {
    let mut chosen = Chosen {
        missing: placed.missing.clone(),
        over: placed.losers.iter().map(|key| key.name.clone()).collect(),
        ..Chosen::default()
    };
    match &placed.order {
        Order::Run(program) => {
            let judged = placed.policy.as_ref().and_then(|key| scene.plan.policies.get(key));
            let written = judged.filter(|judged| judged.refusal.is_none());
            let written = written.map(|judged| &judged.policy.spec);
            chosen.ordered = Some(program.revision.clone());
            chosen.effective = Some(effective::spec(&program.snapshot, written));
        }
        Order::PassThrough => chosen.ordered = Some(String::new()),
        Order::Keep => {}
    }
    let judged = placed.policy.as_ref().and_then(|key| scene.plan.policies.get(key));
    let refusal = judged.and_then(|judged| judged.refusal.as_ref());
    chosen.refusal = refusal.map(|refusal| format!("{}: {}", refusal.reason, refusal.message));
    chosen.name = placed.policy.as_ref().map(|key| key.name.clone());
    chosen.why = match (&chosen.name, &placed.order) {
        (Some(_), _) if pod.annotations.contains_key(names::ANNOTATION_POLICY) => {
            format!("the pod's annotation {} names it", names::ANNOTATION_POLICY)
        }
        (Some(_), _) if !chosen.over.is_empty() => {
            "a selector wins over none, then the older policy, then the first by name".into()
        }
        (Some(_), _) => "no other selects the pod".into(),
        (None, Order::Run(_)) => "no policy selects the pod; these are the defaults of the install".into(),
        (None, _) => "everything passes through".into(),
    };
    chosen
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!("pod {}", self.pod);
        if let Some(owner) = &self.owner {
            let _ = write!(text, ", made by {owner}");
        }
        let _ = writeln!(
            text,
            "\ninjection: {}: {}",
            self.injection.state, self.injection.message
        );
        if let Some(policy) = &self.policy {
            text += &policy.text();
        }
        if let Some(sidecar) = &self.sidecar {
            text += &of_sidecar(sidecar);
        }
        text += &lines(&self.findings);
        text += &events::lines(&self.events);
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        if let Some(effective) = self.policy.as_ref().and_then(|policy| policy.effective.as_ref()) {
            let _ = write!(text, "effective policy:\n{}", effective::yaml(effective));
        }
        text
    }
}

impl Chosen {
    fn text(&self) -> String {
        let name = self.name.as_deref().unwrap_or("none");
        let mut text = format!("policy: {name}: {}\n", self.why);
        if !self.over.is_empty() {
            let _ = writeln!(text, "  over: {}", self.over.join(", "));
        }
        if let Some(refusal) = &self.refusal {
            let _ = writeln!(text, "  the written generation is not executed: {refusal}");
        }
        text
    }
}

fn of_sidecar(sidecar: &Sidecar) -> String {
    let revision = match sidecar.revision.as_deref() {
        None => "unknown",
        Some("") => "none, everything passes through",
        Some(revision) => revision,
    };
    let word = |known: Option<bool>| known.map_or("unknown", |is| if is { "yes" } else { "no" });
    let mut text = format!(
        "sidecar: runs {}, restarts {}, connected {}, revision {revision}, requests since its start {}\n",
        word(Some(sidecar.is_running)),
        sidecar.restarts,
        word(sidecar.is_connected),
        sidecar
            .requests
            .map_or_else(|| "unknown".into(), |requests| requests.to_string())
    );
    if let Some(reason) = &sidecar.unreachable {
        let _ = writeln!(text, "  it cannot be asked: {reason}");
    }
    text
}
