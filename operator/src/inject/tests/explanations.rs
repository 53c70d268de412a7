//! What people are told about a running pod.

use super::*;

fn of_deployment(annotations: &Value) -> Value {
    let owner =
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-6d4b", "uid": "u", "controller": true});
    json!({
        "metadata": {
            "name": "chat-6d4b-x7k2p", "namespace": "shop", "annotations": annotations,
            "labels": {"pod-template-hash": "6d4b"}, "ownerReferences": [owner],
        },
        "spec": {"containers": [{"name": "app"}]},
    })
}

fn explained(pod: &Value) -> Explanation {
    explained_by(pod, None, &Namespace::default())
}

fn explained_by(pod: &Value, controller: Option<&Controller>, namespace: &Namespace) -> Explanation {
    let settings = settings();
    explain(pod, controller, &context(&settings, namespace))
}

fn fix(explanation: &Explanation) -> &str {
    explanation.fix.as_deref().unwrap_or_default()
}

#[test]
fn injected_pod_needs_nothing() {
    let pod = injected(&of_deployment(&json!({"llmcache.dev/inject": "enabled"})));
    let explanation = explained(&pod);
    assert_eq!((explanation.state, explanation.fix), (State::Injected, None));
}

#[test]
fn pod_that_nobody_asked_for_names_the_command_that_asks() {
    let explanation = explained(&of_deployment(&json!({})));
    assert_eq!(explanation.state, State::NotAsked);
    assert_eq!(
        fix(&explanation),
        "kubectl -n shop annotate deployment chat llmcache.dev/inject=enabled --overwrite"
    );
}

#[test]
fn pod_from_before_the_word_is_restarted_by_its_owner() {
    let explanation = explained(&of_deployment(&json!({"llmcache.dev/inject-from-owner": "enabled"})));
    assert_eq!(explanation.state, State::Missing);
    assert_eq!(fix(&explanation), "kubectl -n shop rollout restart deployment/chat");
}

#[test]
fn owner_annotated_while_the_webhook_was_away_counts() {
    let mut controller = Controller::of(&of_deployment(&json!({}))).unwrap();
    controller.word = Some("enabled".into());
    let explanation = explained_by(&of_deployment(&json!({})), Some(&controller), &Namespace::default());
    assert_eq!(explanation.state, State::Missing);
    controller.word = Some("disabled".into());
    let explanation = explained_by(&of_deployment(&json!({})), Some(&controller), &Namespace::default());
    assert_eq!(explanation.state, State::Disabled);
}

#[test]
fn word_of_the_template_is_changed_in_the_template() {
    let explanation = explained(&of_deployment(&json!({"llmcache.dev/inject": "disabled"})));
    assert_eq!(explanation.state, State::Disabled);
    let patch = r#"{"spec":{"template":{"metadata":{"annotations":{"llmcache.dev/inject":"enabled"}}}}}"#;
    assert_eq!(
        fix(&explanation),
        format!("kubectl -n shop patch deployment chat --type=merge -p '{patch}'")
    );
}

#[test]
fn word_of_the_namespace_is_overruled_by_the_owner() {
    let namespace = Namespace {
        word: Some("on".into()),
        limits: Vec::new(),
    };
    let explanation = explained_by(&of_deployment(&json!({})), None, &namespace);
    assert_eq!(explanation.state, State::Unclear);
    assert!(
        explanation.message.contains("\"on\" on the namespace"),
        "{}",
        explanation.message
    );
    assert!(fix(&explanation).contains("annotate deployment chat"));
}

#[test]
fn skipped_pod_names_the_reason_and_the_annotation_that_mends_it() {
    let mut pod = of_deployment(&json!({"llmcache.dev/inject-from-owner": "enabled"}));
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 15480}]);
    let explanation = explained(&pod);
    assert_eq!(explanation.state, State::Skipped(Reason::PortCollision));
    assert!(
        fix(&explanation).contains(r#""llmcache.dev/proxy-port":"15481""#),
        "{}",
        fix(&explanation)
    );
    pod["spec"]["hostNetwork"] = true.into();
    assert_eq!(explained(&pod).state, State::Skipped(Reason::HostNetwork));
}

#[test]
fn jobs_and_bare_pods_are_made_again() {
    let bare = asking(&json!([{"name": "app"}]));
    let explanation = explained(&bare);
    assert_eq!(explanation.state, State::Missing);
    assert!(fix(&explanation).contains("create it again"));
    let controller = |kind: &str| Controller {
        kind: kind.into(),
        name: "nightly".into(),
        word: None,
    };
    let explanation = explained_by(&bare, Some(&controller("CronJob")), &Namespace::default());
    assert_eq!(
        fix(&explanation),
        "kubectl -n shop create job nightly-again --from=cronjob/nightly"
    );
    let explanation = explained_by(&bare, Some(&controller("Rollout")), &Namespace::default());
    assert_eq!(fix(&explanation), "kubectl -n shop delete pod chat");
}
