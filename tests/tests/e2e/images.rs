//! The images that only tests use do what the tests rely on.

use llmcache_tests::kit::{Namespace, eventually};
use serde_json::{Value, json};

use super::namespace;

/// A Python program with the official SDKs; it asks the provider and prints what it is told.
const ASK: &str = r#"
from anthropic import Anthropic
from openai import OpenAI
anthropic = Anthropic(base_url="http://provider:8080", api_key="any")
said = anthropic.messages.create(model="claude-haiku-5-5", max_tokens=20, messages=[{"role": "user", "content": "Hello"}])
openai = OpenAI(base_url="http://provider:8080/v1", api_key="any")
also = openai.chat.completions.create(model="gpt-6.1-terra", messages=[{"role": "user", "content": "Hello"}])
print("anthropic", said.model, "openai", also.model)
"#;

#[tokio::test]
async fn python_pod_with_the_official_sdks_talks_to_the_provider_pod() -> anyhow::Result<()> {
    let Some(namespace) = namespace("sdk").await? else {
        return Ok(());
    };
    for image in ["fake-provider", "python"] {
        namespace.cluster.load_image(image).await?;
    }
    run(
        &namespace,
        pod(
            "provider",
            "fake-provider",
            &json!({"args": ["--listen", "0.0.0.0:8080"]}),
        ),
    )
    .await?;
    let selector = json!({"selector": {"app": "provider"}, "ports": [{"port": 8080}]});
    apply(
        &namespace,
        &json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "provider"}, "spec": selector}),
    )
    .await?;
    run(
        &namespace,
        pod("app", "python", &json!({"command": ["python", "-c", ASK]})),
    )
    .await?;
    eventually("the app has ended well", async || {
        phase(&namespace, "app").await == "Succeeded"
    })
    .await?;
    let log = namespace
        .cluster
        .kubectl(&["logs", "app", "-n", &namespace.name])
        .await?
        .ok()?;
    assert_eq!(log.trim(), "anthropic claude-haiku-5-5 openai gpt-6.1-terra");
    Ok(())
}

#[tokio::test]
async fn redis_and_prometheus_pods_run_as_nobody_with_a_read_only_root() -> anyhow::Result<()> {
    let Some(namespace) = namespace("stores").await? else {
        return Ok(());
    };
    for (image, arguments, ask) in [
        (
            "redis",
            json!(["--save", "", "--dir", "/tmp"]),
            ["redis-cli", "ping"].as_slice(),
        ),
        (
            "prometheus",
            json!(["--config.file=/dev/null", "--storage.tsdb.path=/tmp/data"]),
            &["wget", "-qO-", "http://127.0.0.1:9090/-/ready"],
        ),
    ] {
        namespace.cluster.load_image(image).await?;
        run(&namespace, pod(image, image, &json!({"args": arguments}))).await?;
        let exec = [["exec", image, "-n", &namespace.name, "--"].as_slice(), ask].concat();
        eventually("it answers", async || {
            let done = namespace.cluster.kubectl(&exec).await;
            done.is_ok_and(|done| done.code == 0 && (done.stdout.contains("PONG") || done.stdout.contains("Ready")))
        })
        .await?;
    }
    Ok(())
}

/// A pod of one container as the strictest namespaces want it, labelled with its name.
fn pod(name: &str, image: &str, more: &Value) -> Value {
    let mut container = json!({
        "name": name, "image": format!("localhost/{image}:e2e"),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 1000, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    container
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap());
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "volumes": [{"name": "tmp", "emptyDir": {}}], "containers": [container],
        },
    })
}

/// Creates a pod and waits until it runs, or has ended.
async fn run(namespace: &Namespace<'_>, pod: Value) -> anyhow::Result<()> {
    apply(namespace, &pod).await?;
    let name = pod["metadata"]["name"].as_str().unwrap();
    eventually("the pod runs", async || {
        let phase = phase(namespace, name).await;
        phase == "Running" || phase == "Succeeded"
    })
    .await
}

async fn apply(namespace: &Namespace<'_>, object: &Value) -> anyhow::Result<()> {
    let apply = ["apply", "-n", &namespace.name, "-f", "-"];
    namespace
        .cluster
        .kubectl_with(&apply, &object.to_string())
        .await?
        .ok()?;
    Ok(())
}

async fn phase(namespace: &Namespace<'_>, pod: &str) -> String {
    let get = [
        "get",
        "pod",
        pod,
        "-n",
        &namespace.name,
        "-o",
        "jsonpath={.status.phase}",
    ];
    namespace
        .cluster
        .kubectl(&get)
        .await
        .map(|done| done.stdout)
        .unwrap_or_default()
}
