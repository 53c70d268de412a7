//! Start-up: a setting that cannot work is told before anything is served, and all problems at once.

use std::net::TcpListener;

use llmcache_tests::kit::{Launch, policy};

use crate::setup::NOTHING;

#[tokio::test]
async fn a_bad_policy_is_refused_with_every_problem_at_once() -> anyhow::Result<()> {
    let spec =
        "  mode: off\n  resultCache: {maxEntry: 64Gi, sampled: Sometimes}\n  promptCache: {hold: 9h}\n  tag: [a]";
    let (status, log) = Launch::new(policy(spec), "http://127.0.0.1:1").refuse().await?;
    assert_eq!(status.code(), Some(1), "{log}");
    for field in [
        "spec.mode",
        "spec.resultCache.maxEntry",
        "spec.resultCache.sampled",
        "spec.promptCache.hold",
        "spec.tag",
    ] {
        assert!(log.contains(field), "{field} is missing:\n{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_redis_url_ends_the_start_and_a_dead_redis_does_not() -> anyhow::Result<()> {
    let launch = || Launch::new(policy(NOTHING), "http://127.0.0.1:1");
    for url in ["localhost:6379", "redis://", "http://127.0.0.1"] {
        let (status, log) = launch().args(["--redis", url]).refuse().await?;
        assert_eq!(status.code(), Some(2), "{url}: {log}");
        assert!(log.contains("--redis"), "{log}");
    }
    let sidecar = launch().args(["--redis", "redis://127.0.0.1:1"]).start().await?;
    let ready = sidecar.admin().send(&llmcache_tests::kit::Call::get("/readyz")).await?;
    assert_eq!(ready.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_flag() -> anyhow::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for flag in ["--listen", "--admin"] {
        let launch = Launch::new(policy(NOTHING), "http://127.0.0.1:1");
        let args = [flag, address.as_str()];
        let (status, log) = launch.args(args).refuse().await?;
        assert_eq!(status.code(), Some(2), "{log}");
        assert!(log.contains(flag) && log.contains(&address), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_price_file_or_upstream_ends_the_start() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let prices = folder.path().join("prices.json");
    std::fs::write(&prices, "{\"models\": 7")?;
    let prices = prices.to_string_lossy().into_owned();
    let launch = Launch::new(policy(NOTHING), "ftp://127.0.0.1");
    let (status, log) = launch.args(["--prices", prices.as_str()]).refuse().await?;
    assert_eq!(status.code(), Some(2), "{log}");
    for name in [prices.as_str(), "--anthropic-upstream", "--openai-upstream"] {
        assert!(log.contains(name), "{name} is missing:\n{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_ca_bundle_without_certificates_is_refused() -> anyhow::Result<()> {
    let spec = format!("{NOTHING}\n  upstreams: {{anthropic: {{url: \"https://127.0.0.1:1\", caBundle: \"no pem\"}}}}");
    let (status, log) = Launch::new(policy(&spec), "").refuse().await?;
    assert!(status.code().is_some_and(|code| code == 1 || code == 2), "{log}");
    assert!(log.contains("caBundle"), "{log}");
    Ok(())
}
