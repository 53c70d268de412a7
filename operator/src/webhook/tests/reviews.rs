//! What is answered, counted and told.

use super::*;

async fn ask(stage: &Stage, path: &str, review: &Value) -> Value {
    Client::connect(stage, Protocol::Both).await.review(path, review).await
}

#[tokio::test]
async fn pod_is_injected_once_however_often_it_is_reviewed() {
    let mut stage = Stage::start().await;
    let first = ask(&stage, "/mutate/pods", &pod_review()).await;
    assert_eq!(first["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    let pod = patched(&pod(), &first);
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "llmcache");
    let second = ask(&stage, "/mutate/pods", &review("Pod", "CREATE", &pod)).await;
    assert_eq!(patch(&second), Vec::<Value>::new());
    assert_eq!(stage.metric("injections_total{result=\"injected\"}"), 1);
    assert_eq!(stage.metric("injections_total{result=\"already\"}"), 1);
    let notice = stage.notices.try_recv().unwrap();
    let regarding = Regarding {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        name: "chat-6d4b".into(),
        uid: Some("u".into()),
    };
    assert_eq!((notice.namespace.as_str(), notice.topic), ("shop", Topic::Injected));
    assert_eq!(notice.regarding, regarding);
    assert!(stage.notices.try_recv().is_err(), "one Event for one pod");
}

#[tokio::test]
async fn skipped_pod_is_told_to_user_owner_and_metrics() {
    let mut stage = Stage::start().await;
    let mut pod = pod();
    pod["spec"]["hostNetwork"] = true.into();
    let answer = ask(&stage, "/mutate/pods", &review("Pod", "CREATE", &pod)).await;
    assert_eq!(patch(&answer), Vec::<Value>::new());
    assert!(
        warnings(&answer)[0].starts_with("llmcache: not injected: HostNetwork: "),
        "{answer}"
    );
    assert_eq!(stage.metric("injections_total{result=\"skipped\"}"), 1);
    assert_eq!(stage.metric("injection_skips_total{reason=\"HostNetwork\"}"), 1);
    let notice = stage.notices.try_recv().unwrap();
    assert_eq!(notice.topic, Topic::InjectionSkipped);
    assert!(notice.message.starts_with("HostNetwork: "), "{}", notice.message);
}

#[tokio::test]
async fn dry_run_is_answered_and_leaves_no_trace() {
    let mut stage = Stage::start().await;
    let mut review = pod_review();
    review["request"]["dryRun"] = true.into();
    assert!(!patch(&ask(&stage, "/mutate/pods", &review).await).is_empty());
    assert_eq!(stage.metric("injections_total{result=\"injected\"}"), 0);
    assert!(stage.notices.try_recv().is_err());
}

#[tokio::test]
async fn full_queue_of_events_delays_nobody() {
    let stage = Stage::start().await;
    for _ in 0..5 {
        assert!(!patch(&ask(&stage, "/mutate/pods", &pod_review()).await).is_empty());
    }
    assert_eq!(stage.notices.len(), 2);
}

#[tokio::test]
async fn garbage_is_allowed_and_counted() {
    let stage = Stage::start().await;
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        r#"{"request":null}"#,
        r#"{"request":[]}"#,
        r#"{"request":{"uid":7}}"#,
        r#"{"request":{"uid":""}}"#,
        r#"{"request":{"uid":"u"}}"#,
        r#"{"request":{"uid":"u","object":null}}"#,
        r#"{"request":{"uid":"u","object":[1]}}"#,
        "\u{feff}{}",
        "{\"request\":{\"uid\":\"\\ud800\"}}",
    ];
    for body in bodies {
        let mut client = Client::connect(&stage, Protocol::Both).await;
        let answer = client.bytes("/mutate/pods", Bytes::from_static(body.as_bytes())).await;
        assert!(warnings(&answer)[0].contains("no AdmissionReview"), "{body}: {answer}");
    }
    let deep = "[".repeat(1 << 20);
    let answer = Client::connect(&stage, Protocol::Both)
        .await
        .bytes("/mutate/pods", deep.into())
        .await;
    assert_eq!(patch(&answer), Vec::<Value>::new());
    let counted = u64::try_from(bodies.len()).unwrap() + 1;
    assert_eq!(stage.metric("webhook_errors_total{path=\"/mutate/pods\"}"), counted);
}

#[tokio::test]
async fn uid_comes_back_where_only_the_object_is_bad() {
    let stage = Stage::start().await;
    let answer = ask(&stage, "/mutate/owners", &review("Deployment", "CREATE", &Value::Null)).await;
    assert_eq!(answer["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(stage.metric("webhook_errors_total{path=\"/mutate/owners\"}"), 1);
    assert_eq!(
        stage.metric("injections_total{result=\"error\"}"),
        0,
        "an owner is no pod"
    );
}

#[tokio::test]
async fn pod_comes_up_without_us_until_there_are_certificates() {
    let stage = Stage::start().await;
    stage.facts.store(Arc::new(Facts::default()));
    let answer = ask(&stage, "/mutate/pods", &pod_review()).await;
    assert_eq!(patch(&answer), Vec::<Value>::new());
    assert!(warnings(&answer)[0].contains("no certificates"), "{answer}");
    stage.facts.store(Arc::new(facts()));
    assert!(!patch(&ask(&stage, "/mutate/pods", &pod_review()).await).is_empty());
}

#[tokio::test]
async fn pod_without_a_word_comes_from_a_labelled_namespace() {
    let stage = Stage::start().await;
    let mut review = pod_review();
    review["request"]["object"]["metadata"]["annotations"] = Value::Null;
    let with = |word: Option<&str>| {
        let namespace = Namespace {
            word: word.map(str::to_owned),
            limits: Vec::new(),
        };
        let mut facts = facts();
        facts.namespaces.insert("shop".into(), Arc::new(namespace));
        Arc::new(facts)
    };
    assert!(
        !patch(&ask(&stage, "/mutate/pods", &review).await).is_empty(),
        "not seen yet"
    );
    stage.facts.store(with(None));
    assert!(
        !patch(&ask(&stage, "/mutate/pods", &review).await).is_empty(),
        "its label not seen yet"
    );
    stage.facts.store(with(Some("disabled")));
    assert!(patch(&ask(&stage, "/mutate/pods", &review).await).is_empty());
    assert_eq!(stage.metric("injections_total{result=\"disabled\"}"), 1);
}

#[tokio::test]
async fn word_of_an_owner_reaches_its_template() {
    let stage = Stage::start().await;
    let object = |word: Value, template: Value| json!({"metadata": {"name": "chat", "annotations": {"llmcache.dev/inject": word}}, "spec": {"template": template}});
    let enabled = object("enabled".into(), json!({"metadata": {}}));
    let answer = ask(&stage, "/mutate/owners", &review("Deployment", "UPDATE", &enabled)).await;
    let annotations = json!({"llmcache.dev/inject-from-owner": "enabled"});
    assert_eq!(
        patched(&enabled, &answer)["spec"]["template"]["metadata"]["annotations"],
        annotations
    );
    let old = object(Value::Null, json!({"metadata": {"annotations": annotations}}));
    let answer = ask(&stage, "/mutate/owners", &review("Deployment", "UPDATE", &old)).await;
    assert_eq!(
        patched(&old, &answer)["spec"]["template"]["metadata"]["annotations"],
        json!({})
    );
}

#[tokio::test]
async fn job_is_changed_at_its_creation_only() {
    let stage = Stage::start().await;
    let annotations = json!({"llmcache.dev/inject": "enabled"});
    let job = json!({"metadata": {"annotations": annotations}, "spec": {"template": {"metadata": {}}}});
    let created = ask(&stage, "/mutate/jobs", &review("Job", "CREATE", &job)).await;
    assert_eq!(patch(&created).len(), 1);
    let updated = ask(&stage, "/mutate/jobs", &review("Job", "UPDATE", &job)).await;
    assert_eq!(patch(&updated), Vec::<Value>::new());
}

#[tokio::test]
async fn warnings_fit_into_what_the_api_server_passes_on() {
    let stage = Stage::start().await;
    let mut review = pod_review();
    let word = format!("{}\u{7}\n{}", "é".repeat(300), "x".repeat(70_000));
    let annotations = &mut review["request"]["object"]["metadata"]["annotations"];
    for name in ["proxy-port", "admin-port", "log-level", "resources"] {
        annotations[format!("llmcache.dev/{name}")] = word.clone().into();
    }
    let answer = ask(&stage, "/mutate/pods", &review).await;
    let warnings = warnings(&answer);
    assert_eq!(warnings.len(), 4);
    for warning in warnings {
        assert!(
            warning.len() <= 256 + '…'.len_utf8() && !warning.contains(char::is_control),
            "{warning}"
        );
    }
}
