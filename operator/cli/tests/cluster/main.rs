//! The built binary against an API server that is played, ports of pods included: what it prints and how it ends.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;
mod shop;

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use fake::World;

/// What the binary left.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

/// The binary against a world.
async fn run(world: &World, args: &[&str]) -> Ran {
    let address = fake::serve(world.clone()).await;
    against(&format!("http://{address}"), args).await
}

async fn against(server: &str, args: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-llmcache"))
        .args(args)
        .args(["--kubeconfig", file.to_str().unwrap()])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn status_sums_what_every_sidecar_counted() {
    let ran = run(&shop::world(), &["status"]).await;
    assert!(
        ran.out
            .starts_with("NAME         MODE     ACCEPTED  PROGRAMMED  HEALTHY  SIDECARS  REVISION"),
        "{}",
        ran.out
    );
    for line in [
        "support-bot  Enforce  True      True        True     2/2       9f2c31",
        "sidecars: 2 serving, 0 pending, 0 stale, 0 rejected, 0 outdated; 3 pods injected, 0 without the sidecar they ask for",
        "20 requests in 2 sidecars since each started, 2 of them bypassed; 0 more were not understood and streamed through",
        "result cache           6       30.0 %     40.0 %",
        "combined               8       40.0 %     50.0 %",
        "without llmcache          1.000000006",
        "saved by result cache     0.600000002",
        "write premium of prompt cache  -0.200000000",
        "paid                      0.600000004",
        "unreachable: 1",
        "  shop/chat-3: the pod is Pending",
    ] {
        assert!(
            words(&ran.out).contains(&words(line)),
            "{line} not in {}\n{}",
            ran.out,
            ran.err
        );
    }
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

/// `LLMCACHE_GENERATE=write` writes them.
#[tokio::test]
async fn answers_are_as_committed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/answers");
    let mut wrong = shop::world();
    shop::reject(&mut wrong);
    shop::add_uninjected(&mut wrong);
    for (name, world, args) in [
        ("status", shop::world(), &["status"][..]),
        ("status-wrong", wrong.clone(), &["status"]),
        ("status-all", shop::world_wide(), &["status", "-A"]),
        ("explain-pod", shop::world(), &["explain", "pod", "chat-1"]),
        ("explain-pod-uninjected", wrong, &["explain", "pod", "late-1"]),
        ("explain-policy", shop::world(), &["explain", "policy", "everyone"]),
    ] {
        let path = folder.join(format!("{name}.txt"));
        let found = without_ages(&run(&world, args).await.out);
        if std::env::var_os("LLMCACHE_GENERATE").is_some_and(|wanted| wanted == "write") {
            std::fs::write(&path, &found).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap_or_default(),
            found,
            "{}",
            path.display()
        );
    }
}

/// The last word of a row is its age in days, which no file can hold.
fn without_ages(text: &str) -> String {
    let is_age = |word: &str| {
        word.strip_suffix('d')
            .is_some_and(|days| days.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let lines = text.lines().map(|line| match line.rsplit_once(' ') {
        Some((row, word)) if is_age(word) => format!("{row} 9d\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// One space between words: columns are as wide as they need.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn status_for_programs_is_exact() {
    let ran = run(&shop::world(), &["status", "-o", "json"]).await;
    let json = ran.json();
    assert_eq!(json["traffic"]["usd"]["net"], "0.400000002");
    assert_eq!(
        json["traffic"]["usd"]["overhead"]["prompt_cache"]["write_premium"],
        "0.200000000"
    );
    assert_eq!(
        json["traffic"]["hitRates"]["combined"]["byRequests"],
        json!({"part": 8, "whole": 20, "percent": "40.0"})
    );
    assert_eq!(
        json["traffic"]["unreachable"][0],
        json!({"pod": "shop/chat-3", "reason": "the pod is Pending"})
    );
    assert_eq!(json["policies"][1]["conditions"][0]["type"], "Accepted");
    assert_eq!(json["sidecars"]["serving"], 2);
}

#[tokio::test]
async fn status_names_what_is_wrong_and_fails() {
    let mut world = shop::world();
    shop::reject(&mut world);
    shop::add_uninjected(&mut world);
    world.pages.remove("chat-2:15490/metrics");
    let ran = run(&world, &["status"]).await;
    for line in [
        "shop/support-bot: Programmed=False Rejected: pod chat-2: memory",
        "shop/late-1: the pod asked for the sidecar and has none",
        "fix: kubectl -n shop rollout restart deployment/late",
        "unreachable: 2",
        "shop/chat-2: connection refused",
    ] {
        assert!(words(&ran.out).contains(line), "{line} not in {}", ran.out);
    }
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), "error: 2 problems found\n"));
}

#[tokio::test]
async fn explain_pod_shows_the_winner_and_the_effective_policy() {
    let ran = run(&shop::world(), &["explain", "pod", "chat-1"]).await;
    for line in [
        "pod shop/chat-1, made by Deployment/chat",
        "injection: Injected: the pod has the sidecar",
        "policy: support-bot: a selector wins over none, then the older policy, then the first by name",
        "over: everyone",
        "connected yes, revision",
        "requests since its start 10",
        "repeatWindow: 0s",
        "maxAge: 168h",
    ] {
        assert!(ran.out.contains(line), "{line} not in {}\n{}", ran.out, ran.err);
    }
    assert_eq!(ran.code, Some(0), "{}", ran.out);
}

#[tokio::test]
async fn explain_names_the_fix_where_no_policy_matches_and_where_no_request_came() {
    let mut world = shop::world();
    world.objects.insert(shop::POLICIES.into(), fake::list(Vec::new()));
    let snapshot = json!({"revision": "", "snapshot": null}).to_string();
    world.pages.insert("chat-1:15480/llmcache/snapshot".into(), snapshot);
    world
        .pages
        .insert("chat-1:15490/metrics".into(), "llmcache_push_connected 1\n".into());
    let ran = run(&world, &["explain", "pod", "chat-1"]).await;
    for line in [
        "problem: no policy matches: the namespace has none; everything passes through",
        "kubectl apply -f -",
        "problem: no request seen since start: base URL set in code, or no call made yet",
        "kubectl -n shop exec chat-1 -- env | grep BASE_URL",
    ] {
        assert!(ran.out.contains(line), "{line} not in {}\n{}", ran.out, ran.err);
    }
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), "error: 2 problems found\n"));
}

#[tokio::test]
async fn explain_names_the_fix_of_an_uninjected_pod() {
    let mut world = shop::world();
    shop::add_uninjected(&mut world);
    let ran = run(&world, &["explain", "pod", "late-1", "-o", "json"]).await;
    let json = ran.json();
    assert_eq!(json["injection"]["state"], "Missing");
    assert_eq!(
        json["findings"][0]["fix"],
        "kubectl -n shop rollout restart deployment/late"
    );
    let ran = run(&world, &["explain", "pod", "nobody"]).await;
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            Some(1),
            "error: NAME: no pod nobody in namespace shop; fix: there are chat-1, chat-2, chat-3, late-1; or give --namespace\n"
        )
    );
}

#[tokio::test]
async fn explain_policy_shows_conflicts_and_pods() {
    let ran = run(&shop::world(), &["explain", "policy", "everyone"]).await;
    for line in [
        "policy shop/everyone",
        "conflict: support-bot wins pods that it selects too",
        "problem: Conflicted: spec.selector",
    ] {
        assert!(ran.out.contains(line), "{line} not in {}\n{}", ran.out, ran.err);
    }
    assert_eq!(ran.code, Some(1));
    let ran = run(&shop::world(), &["explain", "policy", "support-bot"]).await;
    assert!(ran.out.contains("  chat-1: injected"), "{}", ran.out);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
}

#[tokio::test]
async fn invalidate_writes_the_object_and_waits_for_what_came_of_it() {
    let mut world = shop::world();
    shop::complete(&mut world, "True", "Complete");
    let args = [
        "invalidate",
        "user:123:*",
        "--policy",
        "support-bot",
        "--layer",
        "ResultCache",
        "--older-than",
        "1h",
        "--wait",
    ];
    let ran = run(&world, &args).await;
    let expected = "shop/cli-x: forgot 3 answers, each counted where it was kept, in 2/2 sidecars\n";
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), expected), "{}", ran.err);
    let posted = world.posted.lock().unwrap().clone();
    assert_eq!(posted[0]["metadata"], json!({"generateName": "cli-"}));
    let spec = json!({"policy": "support-bot", "pattern": "user:123:*", "olderThan": "1h", "layer": "ResultCache"});
    assert_eq!(posted[0]["spec"], spec);

    shop::complete(&mut world, "False", "Failed");
    let ran = run(&world, &["invalidate", "a", "--wait=5s", "-o", "json"]).await;
    assert_eq!((ran.code, ran.json()["state"].as_str()), (Some(1), Some("Failed")));
    assert_eq!(ran.err, "error: shop/cli-x failed: so\n");

    shop::complete(&mut world, "False", "Pending");
    let ran = run(&world, &["invalidate", "a", "--wait=10ms"]).await;
    assert!(
        ran.err
            .starts_with("error: shop/cli-x is not complete after 0.01 s: so; fix: "),
        "{ran:?}"
    );
    let ran = run(&world, &["invalidate", "a"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[tokio::test]
async fn usage_is_judged_before_anything_is_asked() {
    let nowhere = "http://127.0.0.1:1";
    let ran = against(nowhere, &["invalidate", "a b", "--model", "x*"]).await;
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("error: --model: ") && ran.err.contains("error: PATTERN: "),
        "{}",
        ran.err
    );
    let ran = against(nowhere, &["invalidate", "--dry-run"]).await;
    assert!(ran.err.contains("nothing says which answers are meant"), "{}", ran.err);
    let ran = against(nowhere, &["status", "--context", "other"]).await;
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("--kubeconfig: ") && ran.err.contains("--context"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_is_its_own_exit_code() {
    let ran = against("http://127.0.0.1:1", &["status"]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.err.contains("http://127.0.0.1:1/ cannot be asked: ") && ran.err.contains("; fix: "),
        "{}",
        ran.err
    );
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let ran = against(
        &format!("http://{address}"),
        &["invalidate", "a", "--request-timeout", "100ms"],
    )
    .await;
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.err
            .contains("did not answer within 0.1 s to create llmcacheinvalidations.llmcache.dev"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn what_is_not_allowed_says_the_verb_and_the_resource() {
    let mut world = shop::world();
    world.forbidden.push(shop::POLICIES.into());
    let ran = run(&world, &["status"]).await;
    assert_eq!(ran.code, Some(1));
    let expected = "error: not allowed: list llmcachepolicies.llmcache.dev in namespace shop; fix: have a role bound that allows \
                    the verb list on the resource llmcachepolicies.llmcache.dev, such as view or llmcache-view\n";
    assert_eq!(ran.err, expected);

    let mut world = shop::world();
    world.forbidden.push("/apis/apps/v1/namespaces/shop/deployments".into());
    let ran = run(&world, &["status"]).await;
    assert!(
        ran.out
            .contains("note: annotations of Deployments are not counted: not allowed: list deployments.apps"),
        "{}",
        ran.out
    );
}
