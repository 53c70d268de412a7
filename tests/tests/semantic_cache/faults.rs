//! An embedder that is killed, frozen or broken costs the layer and no request.

use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Call, Launch, Stage, eventually, metric};
use rustix::process::{Pid, Signal, kill_process};

use crate::{ask, enforced, open, pairs, stage, stage_of, wait_for_embedder};

/// The child of the sidecar that makes vectors.
fn embedder(stage: &Stage) -> Option<Pid> {
    let parent = stage.sidecar.pid()?.as_raw_nonzero();
    let processes = std::fs::read_dir("/proc").ok()?;
    let mut ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let id = ids.find(|id| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let is_child = status.lines().any(|line| line == format!("PPid:\t{parent}"));
        is_child && !status.contains("State:\tZ")
    })?;
    Pid::from_raw(id)
}

#[tokio::test]
async fn a_killed_embedder_is_started_again() {
    let stage = stage(enforced("")).await.unwrap();
    let left = open(&stage).await.unwrap();
    let first = embedder(&stage).unwrap();
    kill_process(first, Signal::KILL).unwrap();
    for pair in left.iter().take(10) {
        assert_eq!(stage.messages(&ask(&pair.a)).await.unwrap().status, 200);
    }
    eventually("another embedder", async || {
        // It is started for a text.
        _ = stage.messages(&ask("Is anybody there to look after the lamps?")).await;
        embedder(&stage).is_some_and(|child| child != first)
    })
    .await
    .unwrap();
    wait_for_embedder(&stage.sidecar).await.unwrap();
    let page = stage.metrics().await.unwrap();
    assert!(metric(&page, "llmcache_embedder_restarts_total", &[]) >= 1.0);
    eventually("a paraphrase is served again", async || {
        for pair in left.iter().rev().take(10) {
            _ = stage.messages(&ask(&pair.a)).await;
            if stage.messages(&ask(&pair.b)).await.is_ok_and(|reply| reply.is_hit()) {
                return true;
            }
        }
        false
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_frozen_embedder_is_a_miss() {
    let stage = stage(enforced("")).await.unwrap();
    let left = open(&stage).await.unwrap();
    let child = embedder(&stage).unwrap();
    kill_process(child, Signal::STOP).unwrap();
    for pair in left.iter().take(20) {
        for text in [&pair.a, &pair.b] {
            let reply = stage.messages(&ask(text)).await.unwrap();
            assert_eq!((reply.status.as_u16(), reply.is_hit()), (200, false), "{text}");
        }
    }
    let page = stage.metrics().await.unwrap();
    // Stopped it would not see that its sidecar is gone.
    kill_process(child, Signal::CONT).unwrap();
    let bypassed = |reason| metric(&page, "llmcache_bypass_total", &["semantic_cache", reason]);
    assert!(bypassed("\"late\"") > 0.0 && bypassed("\"late\"") + bypassed("\"busy\"") + bypassed("\"down\"") >= 40.0);
}

#[tokio::test]
async fn a_broken_model_is_told_and_nothing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::env::var("LLMCACHE_MODEL_DIR").unwrap();
    for entry in std::fs::read_dir(good).unwrap() {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        let is_model = entry.file_name() == "model.onnx";
        let kept = if is_model {
            &bytes[..bytes.len() / 2]
        } else {
            &bytes[..]
        };
        std::fs::write(folder.path().join(entry.file_name()), kept).unwrap();
    }
    let args = ["--model", folder.path().to_str().unwrap()];
    off(Launch::new(enforced(""), "").args(args), "model.onnx")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_missing_model_is_told_and_nothing_fails() {
    off(Launch::new(enforced(""), "").args(["--model", "/nowhere"]), "/nowhere")
        .await
        .unwrap();
}

/// Starts it, sees what `/readyz` and the metrics say, and that questions are answered.
async fn off(launch: Launch, said: &str) -> anyhow::Result<()> {
    let fake = Fake::start(FakeConfig::default()).await?;
    let launch = Launch {
        upstream: fake.url(),
        ..launch
    };
    let sidecar = launch.start().await?;
    let client = sidecar.client();
    let stage = Stage { fake, sidecar, client };
    eventually("the reason", async || {
        let ready = stage.sidecar.admin().send(&Call::get("/readyz")).await;
        ready.is_ok_and(|reply| {
            reply.status == 200 && reply.text().contains("semantic cache: off") && reply.text().contains(said)
        })
    })
    .await?;
    for pair in pairs().into_iter().take(5) {
        let reply = stage.messages(&ask(&pair.a)).await?;
        assert_eq!((reply.status.as_u16(), reply.is_hit()), (200, false));
        assert!(reply.header("x-llmcache-reason").contains("semantic_cache=off"));
    }
    let page = stage.metrics().await?;
    assert!(metric(&page, "llmcache_embedder_up", &[]) < 0.5);
    assert!(metric(&page, "llmcache_bypass_total", &["semantic_cache", "\"off\""]) >= 5.0);
    Ok(())
}

#[tokio::test]
async fn the_embedder_ends_with_the_sidecar() {
    let mut stage = stage_of(Launch::new(enforced(""), "")).await.unwrap();
    let child = embedder(&stage).unwrap();
    stage.sidecar.signal(Signal::KILL).unwrap();
    stage.sidecar.wait().await.unwrap();
    eventually("the child ends", async || {
        rustix::process::test_kill_process(child).is_err()
    })
    .await
    .unwrap();
}
