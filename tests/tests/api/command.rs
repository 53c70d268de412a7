//! `kubectl llmcache` against a real API server: objects made by hand, statuses written as the operator would.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use llmcache_crds::{LLMCacheInvalidation, LLMCachePolicy};
use llmcache_tests::kit::{self, Done, Namespace, eventually};
use serde_json::{Value, json};

use super::namespace;

const SINCE: &str = "2026-01-01T00:00:00Z";

/// The built binary where kubectl talks to the cluster.
async fn llmcache(namespace: &Namespace<'_>, arguments: &[&str]) -> anyhow::Result<Done> {
    let program = kit::binary("kubectl-llmcache")?;
    let program = program.to_str().unwrap_or_default();
    let arguments = [arguments, &["-n", &namespace.name]].concat();
    namespace.cluster.run(program, &arguments, "").await
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE})
}

/// A pod that no node runs.
async fn pod(namespace: &Namespace<'_>, name: &str, annotations: Value) -> anyhow::Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": "bot"}, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "none"}]},
    }))?;
    namespace.api::<Pod>().create(&PostParams::default(), &pod).await?;
    Ok(())
}

async fn policy(namespace: &Namespace<'_>, name: &str, spec: Value, conditions: &[Value]) -> anyhow::Result<()> {
    let policies: Api<LLMCachePolicy> = namespace.api();
    let object = LLMCachePolicy::new(name, serde_json::from_value(spec)?);
    policies.create(&PostParams::default(), &object).await?;
    let status = json!({"status": {
        "observedGeneration": 1, "revision": "9f2c31", "conditions": conditions,
        "sidecars": {"summary": "0/1", "matched": 1, "serving": 0, "pending": 0, "stale": 1, "rejected": 0, "outdated": 0},
    }});
    let merge = Patch::Merge(status);
    policies.patch_status(name, &PatchParams::default(), &merge).await?;
    Ok(())
}

#[tokio::test]
async fn status_shows_what_the_operator_wrote_and_what_pods_lack() -> anyhow::Result<()> {
    let Some(namespace) = namespace("status").await? else {
        return Ok(());
    };
    let stale = [
        condition("Accepted", "True", "Accepted", "fine"),
        condition("Programmed", "False", "Stale", "pod late is silent"),
    ];
    policy(
        &namespace,
        "bot",
        json!({"selector": {"matchLabels": {"app": "bot"}}}),
        &stale,
    )
    .await?;
    pod(&namespace, "late", json!({"llmcache.dev/inject": "enabled"})).await?;
    let done = llmcache(&namespace, &["status"]).await?;
    for words in [
        "bot",
        "9f2c31",
        "Programmed=False Stale: pod late is silent",
        "1 without the sidecar they ask for",
    ] {
        assert!(done.stdout.contains(words), "{words} not in {done:?}");
    }
    assert_eq!((done.code, done.stderr.as_str()), (1, "error: 2 problems found\n"));
    let json: Value = serde_json::from_str(&llmcache(&namespace, &["status", "-o", "json"]).await?.stdout)?;
    assert_eq!(
        json["sidecars"]["missing"][0]["pod"],
        format!("{}/late", namespace.name)
    );
    let all = llmcache(&namespace, &["status", "-A"]).await?;
    assert!(all.stdout.starts_with("NAMESPACE"), "{all:?}");
    Ok(())
}

#[tokio::test]
async fn explain_shows_the_winner_the_events_and_the_effective_policy() -> anyhow::Result<()> {
    let Some(namespace) = namespace("explain").await? else {
        return Ok(());
    };
    policy(
        &namespace,
        "bot",
        json!({"selector": {"matchLabels": {"app": "bot"}}, "resultCache": {}}),
        &[],
    )
    .await?;
    policy(&namespace, "all", json!({}), &[]).await?;
    pod(&namespace, "late", json!({"llmcache.dev/inject": "enabled"})).await?;
    let event: Event = serde_json::from_value(json!({
        "metadata": {"name": "late.1"}, "type": "Warning", "action": "Watch", "reason": "InjectionMissing",
        "note": "it has no sidecar", "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "llmcache-operator", "reportingInstance": "llmcache-operator-0",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "late", "namespace": namespace.name},
    }))?;
    namespace.api::<Event>().create(&PostParams::default(), &event).await?;

    let done = llmcache(&namespace, &["explain", "pod", "late"]).await?;
    for words in [
        "injection: Missing: ",
        "policy: bot: a selector wins over none",
        "  over: all",
        "Pod/late InjectionMissing: it has no sidecar",
        "storeBudget: 25ms",
        "  fix: ",
    ] {
        assert!(done.stdout.contains(words), "{words} not in {done:?}");
    }
    assert_eq!(done.code, 1);
    let done = llmcache(&namespace, &["explain", "policy", "all"]).await?;
    assert!(
        done.stdout.contains("conflict: bot wins pods that it selects too"),
        "{done:?}"
    );
    Ok(())
}

#[tokio::test]
async fn invalidate_waits_until_its_object_says_that_it_is_complete() -> anyhow::Result<()> {
    let Some(namespace) = namespace("invalidate").await? else {
        return Ok(());
    };
    let invalidations: Api<LLMCacheInvalidation> = namespace.api();
    let complete = async {
        let mut name = String::new();
        eventually("the invalidation is written", async || {
            let all = invalidations.list(&kube::api::ListParams::default()).await;
            let found = all.ok().and_then(|all| all.items.into_iter().next());
            name = found.and_then(|found| found.metadata.name).unwrap_or_default();
            !name.is_empty()
        })
        .await?;
        let conditions = [
            condition("Accepted", "True", "Accepted", "fine"),
            condition("Complete", "True", "Complete", "2 of 2 obey"),
        ];
        let status = json!({"status": {"matched": 5, "sidecars": "2/2", "conditions": conditions}});
        let merge = Patch::Merge(status);
        invalidations
            .patch_status(&name, &PatchParams::default(), &merge)
            .await?;
        anyhow::Ok(())
    };
    let arguments = ["invalidate", "user:123:*", "--older-than", "1h", "--wait=60s"];
    let (done, written) = tokio::join!(llmcache(&namespace, &arguments), complete);
    written?;
    let done = done?;
    assert!(
        done.stdout
            .contains("forgot 5 answers, each counted where it was kept, in 2/2 sidecars"),
        "{done:?}"
    );
    assert_eq!(done.code, 0);
    Ok(())
}

#[tokio::test]
async fn an_account_without_rights_is_told_what_it_needs() -> anyhow::Result<()> {
    let Some(namespace) = namespace("rights").await? else {
        return Ok(());
    };
    let account = ["create", "serviceaccount", "nobody", "-n", &namespace.name];
    namespace.cluster.kubectl(&account).await?.ok()?;
    let token = ["create", "token", "nobody", "-n", &namespace.name];
    let token = namespace.cluster.kubectl(&token).await?.ok()?;
    let view = ["config", "view", "--raw", "--minify", "--flatten", "-o", "json"];
    let mut config: Value = serde_json::from_str(&namespace.cluster.kubectl(&view).await?.ok()?)?;
    config["users"][0]["user"] = json!({"token": token.trim()});
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, config.to_string())?;
    let kubeconfig = file.to_str().unwrap_or_default();
    let done = llmcache(&namespace, &["status", "--kubeconfig", kubeconfig]).await?;
    let expected = format!(
        "error: not allowed: list llmcachepolicies.llmcache.dev in namespace {}; fix: ",
        namespace.name
    );
    assert!(done.stderr.starts_with(&expected), "{done:?}");
    let arguments = ["invalidate", "a", "--kubeconfig", kubeconfig];
    let done = llmcache(&namespace, &arguments).await?;
    assert!(
        done.stderr
            .contains("not allowed: create llmcacheinvalidations.llmcache.dev"),
        "{done:?}"
    );
    assert_eq!(done.code, 1);
    Ok(())
}
