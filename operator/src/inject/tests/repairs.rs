//! Second reviews, after other webhooks have been there.

use super::*;

fn repaired(pod: &Value) -> (Value, Vec<String>) {
    match judge(pod) {
        Outcome::Already { patch, warnings } => (applied(pod, &patch), warnings),
        other => panic!("judged as new: {other:#?}"),
    }
}

fn app() -> Value {
    asking(&json!([{"name": "app", "image": "a"}]))
}

fn env<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    environment::literal(container, name)
}

#[test]
fn the_installs_own_prices_go_with_the_sidecar() {
    let settings = Settings {
        prices: Some("{\"rows\":[]}".into()),
        ..settings()
    };
    let Outcome::Injected { patch, .. } = pod(&app(), &context(&settings, &Namespace::default())) else {
        panic!("a plain pod is injected");
    };
    let pod = applied(&app(), &patch);
    let ours = &pod["spec"]["initContainers"][0];
    assert_eq!(env(ours, "LLMCACHE_PRICE_ROWS"), Some("{\"rows\":[]}"));
}

#[test]
fn container_added_after_us_is_redirected_once() {
    let mut pod = injected(&app());
    let added = json!({"name": "added", "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:1"}]});
    pod["spec"]["containers"].as_array_mut().unwrap().push(added);
    let (repaired_pod, warnings) = repaired(&pod);
    let added = &repaired_pod["spec"]["containers"][1];
    assert_eq!(env(added, "OPENAI_BASE_URL"), Some("http://127.0.0.1:15480/openai/v1"));
    assert_eq!(env(added, "no_proxy"), Some("127.0.0.1,localhost"));
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(repaired(&repaired_pod), (repaired_pod, Vec::new()));
}

#[test]
fn container_added_after_us_with_its_own_upstream_is_left_alone() {
    let mut pod = injected(&app());
    let added = json!({"name": "added", "env": [{"name": "OPENAI_BASE_URL", "value": "https://b.example/v1"}]});
    pod["spec"]["containers"].as_array_mut().unwrap().push(added.clone());
    let (repaired_pod, warnings) = repaired(&pod);
    let kept = &repaired_pod["spec"]["containers"][1];
    assert_eq!(env(kept, "OPENAI_BASE_URL"), Some("https://b.example/v1"));
    assert_eq!(
        env(kept, "ANTHROPIC_BASE_URL"),
        Some("http://127.0.0.1:15480/anthropic")
    );
    assert!(warnings[0].contains("container added"), "{warnings:?}");
}

#[test]
fn container_added_to_a_pod_with_an_explicit_upstream_is_left_alone() {
    let env_of = json!([{"name": "OPENAI_BASE_URL", "value": "https://a.example/v1"}]);
    let mut pod = injected(&asking(&json!([{"name": "app", "env": env_of}])));
    pod["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "added"}));
    let (repaired_pod, _) = repaired(&pod);
    let added = &repaired_pod["spec"]["containers"][1];
    assert_eq!(
        env(added, "OPENAI_BASE_URL"),
        None,
        "its calls would go to the app's upstream"
    );
    assert_eq!(
        env(added, "ANTHROPIC_BASE_URL"),
        Some("http://127.0.0.1:15480/anthropic")
    );
}

#[test]
fn plain_init_container_put_before_us_is_passed_and_redirected() {
    let mut pod = injected(&app());
    let init = pod["spec"]["initContainers"].as_array_mut().unwrap();
    init.insert(0, json!({"name": "warm"}));
    init.insert(1, json!({"name": "istio-init"}));
    let (pod, _) = repaired(&pod);
    let init = &pod["spec"]["initContainers"];
    assert_eq!(
        [&init[0], &init[1], &init[2]].map(text_of),
        ["llmcache", "warm", "istio-init"]
    );
    assert_eq!(
        env(&init[1], "OPENAI_API_BASE"),
        Some("http://127.0.0.1:15480/openai/v1")
    );
    assert_eq!(init[2].get("env"), None);
    assert_eq!(repaired(&pod), (pod, Vec::new()));
}

#[test]
fn mesh_containers_put_before_us_keep_their_place() {
    let mut pod = injected(&app());
    let init = pod["spec"]["initContainers"].as_array_mut().unwrap();
    init.insert(0, json!({"name": "istio-proxy", "restartPolicy": "Always"}));
    init.insert(0, json!({"name": "vault-agent-init"}));
    assert_eq!(repaired(&pod), (pod, Vec::new()));
}

#[test]
fn what_others_changed_of_our_container_stays() {
    let mut pod = injected(&app());
    let ours = &mut pod["spec"]["initContainers"][0];
    ours["image"] = "mirror.example/llmcache-sidecar:0.1.0".into();
    ours["resources"] = json!({"limits": {"cpu": "2"}});
    ours["env"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"name": "OTEL", "value": "1"}));
    assert_eq!(repaired(&pod), (pod, Vec::new()));
}

#[test]
fn what_others_took_from_us_comes_back() {
    let whole = injected(&app());
    let mut pod = whole.clone();
    pod["spec"]["volumes"].as_array_mut().unwrap().remove(0);
    pod["metadata"].as_object_mut().unwrap().shift_remove("labels");
    pod["spec"]["containers"][0]
        .as_object_mut()
        .unwrap()
        .shift_remove("env");
    let (repaired_pod, _) = repaired(&pod);
    assert_eq!(repaired_pod["metadata"]["labels"], whole["metadata"]["labels"]);
    assert_eq!(repaired_pod["spec"]["containers"], whole["spec"]["containers"]);
    assert_eq!(repaired_pod["spec"]["volumes"].as_array().unwrap().len(), 2);
}

#[test]
fn sidecar_of_another_install_learns_where_the_operator_is() {
    let mut pod = injected(&app());
    let ours = &mut pod["spec"]["initContainers"][0];
    for entry in ours["env"].as_array_mut().unwrap() {
        if entry["name"] == "LLMCACHE_CA" || entry["name"] == "LLMCACHE_OPERATOR" {
            entry["value"] = "old".into();
        }
    }
    let (pod, _) = repaired(&pod);
    let ours = &pod["spec"]["initContainers"][0];
    assert_eq!(env(ours, "LLMCACHE_CA"), Some(settings().ca_bundle.as_str()));
    assert_eq!(env(ours, "LLMCACHE_OPERATOR"), Some(settings().operator.as_str()));
}
