use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::index::{Change, Delta, Index};
use crate::plan::{Plan, Planner};
use crate::settings::Settings;

/// One policy and its pods, planned at 100 000 ms.
struct Scene {
    plan: Plan,
    sightings: HashMap<String, Sighting>,
    last_heard_ms: HashMap<String, i64>,
    before: Option<LLMCachePolicyStatus>,
}

const PLANNED_MS: i64 = 100_000;

impl Scene {
    fn new(pods: usize) -> Self {
        let mut index = Index::default();
        let policy = json!({
            "apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCachePolicy", "spec": {},
            "metadata": {"namespace": "shop", "name": "p", "uid": "u", "generation": 3},
        });
        index.apply(Change::Policies(Delta::One(serde_json::from_value(policy).unwrap())));
        for at in 0..pods {
            index.apply(Change::Pods(Delta::One(Box::new(Pod {
                key: crate::facts::Key {
                    namespace: "shop".into(),
                    name: format!("chat-{at}"),
                },
                uid: format!("pod-{at}"),
                labels: [("llmcache.dev/injected".to_owned(), "true".to_owned())].into(),
                annotations: std::collections::BTreeMap::default(),
                owner: None,
                created_ms: 0,
                is_leaving: false,
            }))));
        }
        let settings = Settings::parse("sidecar: {image: \"s:1\"}").unwrap();
        Self {
            plan: Planner::default().plan(&index, &settings, PLANNED_MS),
            sightings: HashMap::new(),
            last_heard_ms: HashMap::new(),
            before: None,
        }
    }

    fn revision(&self) -> String {
        let judged = self.plan.policies.values().next().unwrap();
        judged.program.as_ref().unwrap().revision.clone()
    }

    fn connect(&mut self, pod: usize, change: impl FnOnce(&mut Sighting)) {
        let mut sighting = Sighting {
            pod_uid: format!("pod-{pod}"),
            pod: format!("chat-{pod}"),
            version: "1".into(),
            connected_ms: 90_000,
            ..Sighting::default()
        };
        change(&mut sighting);
        self.sightings.insert(sighting.pod_uid.clone(), sighting);
    }

    fn ack(&mut self, pod: usize) {
        let revision = self.revision();
        self.connect(pod, |sighting| sighting.acked = Some(revision));
    }

    fn at(&mut self, now_ms: i64) -> LLMCachePolicyStatus {
        let mut judged = self.plan.policies.values().next().unwrap().clone();
        let mut policy = llmcache_crds::LLMCachePolicy::clone(&judged.policy);
        policy.status.clone_from(&self.before);
        judged.policy = Arc::new(policy);
        let facts = Facts {
            judged: &judged,
            pods: judged.pods.iter().map(|uid| &*self.plan.pods[uid].pod).collect(),
            sightings: &self.sightings,
            last_heard_ms: &self.last_heard_ms,
            since_ms: 0,
            version: "2",
            invalidations: Vec::new(),
            now_ms,
        };
        let status = status(&facts, &mut Health::default());
        self.before = Some(status.clone());
        status
    }
}

fn said(status: &LLMCachePolicyStatus, kind: &str) -> (String, String) {
    let mut found = status.conditions.iter().filter(|known| known.type_ == kind);
    let known = found.next().unwrap();
    (known.status.clone(), known.reason.clone())
}

fn programmed_of(status: &LLMCachePolicyStatus) -> (String, String) {
    said(status, condition::PROGRAMMED)
}

fn pair(status: &str, reason: &str) -> (String, String) {
    (status.into(), reason.into())
}

#[test]
fn it_is_programmed_when_every_sidecar_acknowledged_and_not_before() {
    let mut scene = Scene::new(2);
    assert_eq!(
        programmed_of(&scene.at(PLANNED_MS)),
        pair("False", "Stale"),
        "the pods are old and silent"
    );
    scene.connect(0, |_| {});
    scene.ack(1);
    assert_eq!(programmed_of(&scene.at(PLANNED_MS + 1)), pair("False", "Pending"));
    scene.ack(0);
    let status = scene.at(PLANNED_MS + 2);
    assert_eq!(programmed_of(&status), pair("True", "Programmed"));
    let counts = status.sidecars.unwrap();
    assert_eq!(
        (counts.summary.as_str(), counts.matched, counts.serving, counts.outdated),
        ("2/2", 2, 2, 2)
    );
    assert_eq!(status.revision, Some(scene.revision()));
    assert_eq!(
        said(&scene.at(PLANNED_MS + 3), condition::ACCEPTED),
        pair("True", "Accepted")
    );
}

#[test]
fn an_ack_of_another_revision_is_none() {
    let mut scene = Scene::new(1);
    scene.connect(0, |sighting| sighting.acked = Some("older".into()));
    assert_eq!(programmed_of(&scene.at(PLANNED_MS + 1)), pair("False", "Pending"));
    assert_eq!(
        programmed_of(&scene.at(PLANNED_MS + SILENCE_MS + 1)),
        pair("False", "Stale")
    );
}

#[test]
fn a_refusal_is_told_with_its_pod() {
    let mut scene = Scene::new(2);
    scene.ack(0);
    let revision = scene.revision();
    scene.connect(1, |sighting| {
        sighting.nacked = revision;
        sighting.nack_reason = "too large".into();
    });
    let status = scene.at(PLANNED_MS + 1);
    assert_eq!(programmed_of(&status), pair("False", "Rejected"));
    assert!(
        status.conditions[1].message.contains("chat-1: too large"),
        "{:?}",
        status.conditions[1]
    );
}

#[test]
fn a_pod_that_restarts_does_not_flip_the_condition_within_its_grace() {
    let mut scene = Scene::new(2);
    scene.ack(0);
    scene.ack(1);
    let before = scene.at(PLANNED_MS);
    scene.sightings.remove("pod-1");
    scene.last_heard_ms.insert("pod-1".into(), PLANNED_MS);
    let status = scene.at(PLANNED_MS + SILENCE_MS);
    assert_eq!(programmed_of(&status), pair("True", "Programmed"));
    assert_eq!(status.sidecars.as_ref().unwrap().summary, "1/2");
    assert_eq!(
        status.conditions[1].last_transition_time,
        before.conditions[1].last_transition_time
    );
    let status = scene.at(PLANNED_MS + SILENCE_MS + 1);
    assert_eq!(programmed_of(&status), pair("False", "Stale"));
    assert!(
        status.conditions[1].message.contains("chat-1"),
        "{:?}",
        status.conditions[1]
    );
}

#[test]
fn without_pods_nothing_is_known_and_the_fix_is_said() {
    let status = Scene::new(0).at(PLANNED_MS);
    assert_eq!(programmed_of(&status), pair("Unknown", "NoSidecars"));
    let message = &status.conditions[1].message;
    assert!(
        message.contains("kubectl -n shop annotate deployment NAME llmcache.dev/inject=enabled"),
        "{message}"
    );
}

#[test]
fn counts_add_up_and_layers_say_what_differs() {
    let mut scene = Scene::new(4);
    scene.ack(0);
    scene.connect(1, |sighting| sighting.connected_ms = 100_000);
    let revision = scene.revision();
    scene.connect(2, |sighting| sighting.nacked = revision);
    let report = llmcache_policy::push::Report {
        layers: vec![llmcache_policy::push::Layer {
            name: "resultCache".into(),
            state: "Paused".into(),
            message: "no store".into(),
        }],
        ..llmcache_policy::push::Report::default()
    };
    scene.sightings.get_mut("pod-0").unwrap().report = Some(report);
    let status = scene.at(PLANNED_MS + 1);
    let counts = status.sidecars.unwrap();
    assert_eq!(
        (counts.serving, counts.pending, counts.rejected, counts.stale),
        (1, 1, 1, 1)
    );
    assert_eq!(counts.matched, 4);
    let cache = status.layers.iter().find(|layer| layer.name == "resultCache").unwrap();
    assert_eq!((cache.state.as_str(), cache.message.as_str()), ("Paused", "no store"));
    assert_eq!(
        status
            .layers
            .iter()
            .find(|layer| layer.name == "promptCache")
            .unwrap()
            .state,
        "Enforcing"
    );
}
