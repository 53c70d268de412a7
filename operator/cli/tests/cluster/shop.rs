//! Namespace `shop`: two policies, three pods of one Deployment, what their sidecars say.

use serde_json::{Value, json};

use super::fake::{World, list};

pub(crate) const POLICIES: &str = "/apis/llmcache.dev/v1alpha1/namespaces/shop/llmcachepolicies";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const INVALIDATIONS: &str = "/apis/llmcache.dev/v1alpha1/namespaces/shop/llmcacheinvalidations";
const SINCE: &str = "2026-01-01T00:00:00Z";

/// Ten requests: three exact hits, one read of the provider's cache; 0.3 dollars and a nano saved gross.
const METRICS: &str = "\
llmcache_requests_total{endpoint=\"messages\",layer=\"none\",outcome=\"miss\",policy=\"p\",tier=\"none\"} 6
llmcache_requests_total{endpoint=\"messages\",layer=\"result_cache\",outcome=\"hit\",policy=\"p\",tier=\"none\"} 3
llmcache_requests_total{endpoint=\"messages\",layer=\"none\",outcome=\"bypass\",policy=\"p\",tier=\"none\"} 1
llmcache_prompt_cache_requests_total{result=\"read\"} 1
llmcache_tokens_total{kind=\"input\",model=\"a\"} 600
llmcache_tokens_total{kind=\"cache_read\",model=\"a\"} 100
llmcache_saved_tokens_total{layer=\"result_cache\"} 400
llmcache_cost_usd_total{model=\"a\"} 0.300000002
llmcache_saved_usd_total{layer=\"result_cache\"} 0.300000001
llmcache_overhead_usd_total{kind=\"write_premium\",layer=\"prompt_cache\"} 0.1
llmcache_push_connected 1
";

/// All of it is well.
pub(crate) fn world() -> World {
    let mut world = World::default();
    let support = json!({"selector": {"matchLabels": {"app": "support-bot"}}, "resultCache": {}});
    let policies = vec![
        policy(
            "support-bot",
            &support,
            &json!({"sidecars": counts(2, 0), "conditions": conditions("True", "Programmed", "all")}),
        ),
        policy("everyone", &json!({}), &json!({"sidecars": counts(0, 0)})),
    ];
    world.objects.insert(POLICIES.into(), list(policies));
    let pods = vec![
        pod("chat-1", "Running"),
        pod("chat-2", "Running"),
        pod("chat-3", "Pending"),
    ];
    world.objects.insert(PODS.into(), list(pods));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "n"}});
    world.objects.insert("/api/v1/namespaces/shop".into(), namespace);
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "llmcache-operator", "namespace": "tools"},
        "data": {"settings.yaml": "sidecar: {image: i}"},
    });
    world
        .objects
        .insert("/api/v1/namespaces/tools/configmaps/llmcache-operator".into(), settings);
    owners(&mut world, "chat");
    let snapshot = json!({"revision": revision(), "snapshot": {}}).to_string();
    for pod in ["chat-1", "chat-2"] {
        world.pages.insert(format!("{pod}:15490/metrics"), METRICS.into());
        world
            .pages
            .insert(format!("{pod}:15480/llmcache/snapshot"), snapshot.clone());
    }
    world
}

/// The revision that `support-bot` has.
fn revision() -> String {
    let support = json!({"selector": {"matchLabels": {"app": "support-bot"}}, "resultCache": {}});
    let mut written = policy("support-bot", &support, &json!({}));
    written.as_object_mut().unwrap().remove("status");
    let loaded = llmcache_operator::load(&written.to_string()).unwrap();
    llmcache_operator::compile(&loaded.policies[0].0).revision().0
}

fn owners(world: &mut World, name: &str) {
    let deployment = json!({"metadata": {"name": name, "namespace": "shop", "uid": format!("d-{name}")}});
    let set = json!({"metadata": {"name": format!("{name}-5d"), "namespace": "shop", "uid": format!("r-{name}"), "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": format!("d-{name}"), "controller": true}]}});
    for (plural, object) in [("deployments", deployment), ("replicasets", set)] {
        let path = format!("/apis/apps/v1/namespaces/shop/{plural}");
        let all = world.objects.entry(path).or_insert_with(|| list(Vec::new()));
        all["items"].as_array_mut().unwrap().push(object);
    }
}

fn policy(name: &str, spec: &Value, status: &Value) -> Value {
    let mut status = status.clone();
    status["observedGeneration"] = 1.into();
    status["revision"] = "9f2c31".into();
    json!({
        "apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCachePolicy",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("p-{name}"), "generation": 1, "creationTimestamp": SINCE},
        "spec": spec, "status": status,
    })
}

fn counts(serving: i32, rejected: i32) -> Value {
    let matched = serving + rejected;
    json!({
        "summary": format!("{serving}/{matched}"), "matched": matched, "serving": serving, "pending": 0, "stale": 0,
        "rejected": rejected, "outdated": 0,
    })
}

fn conditions(programmed: &str, reason: &str, message: &str) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE});
    json!([
        condition("Accepted", "True", "Accepted", "fine"),
        condition("Programmed", programmed, reason, message),
        condition("Healthy", "True", "Healthy", "fine"),
    ])
}

fn pod(name: &str, phase: &str) -> Value {
    let sidecar = json!({
        "name": "llmcache", "image": "i", "restartPolicy": "Always",
        "env": [{"name": "LLMCACHE_OPERATOR", "value": "https://llmcache-operator.tools.svc:15443"}],
        "command": ["/llmcache"],
    });
    let running = json!({"name": "llmcache", "state": {"running": {}}, "image": "i", "imageID": "", "ready": true, "restartCount": 0});
    let mut pod = bare(name, "chat", phase);
    pod["metadata"]["labels"]["llmcache.dev/injected"] = "true".into();
    pod["spec"]["initContainers"] = json!([sidecar]);
    pod["status"]["initContainerStatuses"] = json!([running]);
    pod
}

fn bare(name: &str, owner: &str, phase: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("u-{name}"), "creationTimestamp": SINCE,
            "labels": {"app": "support-bot", "pod-template-hash": "5d"},
            "annotations": {"llmcache.dev/inject-from-owner": "enabled"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{owner}-5d"),
                "uid": format!("r-{owner}"), "controller": true}],
        },
        "spec": {"containers": [{"name": "app", "image": "i"}]},
        "status": {"phase": phase},
    })
}

/// The same, asked for in all namespaces.
pub(crate) fn world_wide() -> World {
    let mut world = world();
    let within = std::mem::take(&mut world.objects);
    let wide = within
        .into_iter()
        .map(|(path, object)| (path.replace("/namespaces/shop/", "/"), object));
    world.objects = wide.collect();
    world
}

/// One sidecar refuses the revision.
pub(crate) fn reject(world: &mut World) {
    let status = &mut world.objects.get_mut(POLICIES).unwrap()["items"][0]["status"];
    status["sidecars"] = counts(1, 1);
    status["conditions"] = conditions("False", "Rejected", "pod chat-2: memory");
}

/// One pod asks for a sidecar and has none.
pub(crate) fn add_uninjected(world: &mut World) {
    owners(world, "late");
    let pods = world.objects.get_mut(PODS).unwrap()["items"].as_array_mut().unwrap();
    pods.push(bare("late-1", "late", "Running"));
}

/// Invalidations that are written end so.
pub(crate) fn complete(world: &mut World, status: &str, reason: &str) {
    let complete =
        json!({"type": "Complete", "status": status, "reason": reason, "message": "so", "lastTransitionTime": SINCE});
    let mut object = json!({
        "apiVersion": "llmcache.dev/v1alpha1", "kind": "LLMCacheInvalidation",
        "metadata": {"name": "cli-x", "namespace": "shop", "uid": "i", "resourceVersion": "1"},
        "spec": {"pattern": "a"},
    });
    world.posts.insert(INVALIDATIONS.into(), (201, object.clone()));
    object["status"] = json!({"matched": 3, "sidecars": "2/2", "conditions": [complete]});
    world.objects.insert(INVALIDATIONS.into(), list(vec![object.clone()]));
    world.objects.insert(format!("{INVALIDATIONS}/cli-x"), object);
}
