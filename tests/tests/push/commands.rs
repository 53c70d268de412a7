//! The program's commands as the kubelet uses them.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::{Duration, Instant};

use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Authority, Call, Pod, Volumes, eventually, question};
use rustix::process::Signal;

use super::{MODEL, Scene, pod, says};

/// Runs a command to its end; gives its exit code.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Option<i32> {
    let volumes = Volumes::new("t").unwrap();
    let mut command = volumes.command(arguments, environment).unwrap();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.unwrap().code()
}

fn port(origin: &str) -> String {
    origin.rsplit(':').next().unwrap().to_owned()
}

#[tokio::test]
async fn told_to_stop_it_drains_and_ends_well() {
    let fake = Fake::start(FakeConfig {
        think: Duration::from_millis(500),
        ..FakeConfig::default()
    });
    let (fake, authority) = (fake.await.unwrap(), Authority::new().unwrap());
    for signal in [Signal::TERM, Signal::INT] {
        let mut pod = pod(&fake, &authority, 1, Volumes::new("t").unwrap(), &[]).unwrap();
        pod.ready(1).await.unwrap();
        let (client, received) = (pod.client(), fake.received());
        let answer = tokio::spawn(async move { client.send(&Call::messages(&question(MODEL, "slow?"))).await });
        eventually("the request is at the provider", async || fake.received() > received)
            .await
            .unwrap();
        pod.signal(signal).unwrap();
        assert_eq!(answer.await.unwrap().unwrap().status, 200);
        assert_eq!(pod.wait().await.unwrap().code(), Some(0));
    }
}

#[tokio::test]
async fn a_proxy_that_ends_is_started_again_and_the_next_call_works() {
    let scene = Scene::start().await.unwrap();
    for times in 2..4 {
        let before = scene.pod.proxy().unwrap();
        scene.pod.signal_proxy(Signal::KILL).unwrap();
        scene.pod.ready(times).await.unwrap();
        assert_ne!(scene.pod.proxy().unwrap(), before);
        assert_eq!(scene.ask("one?").await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn nothing_at_start_is_fatal() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy_port = taken.local_addr().unwrap().port().to_string();
    let admin = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let admin_port = admin.local_addr().unwrap().port().to_string();
    drop(admin);
    let fake = Fake::start(FakeConfig::default()).await.unwrap();
    let url = fake.url();
    let environment = [
        ("LLMCACHE_OPERATOR", "nonsense"),
        ("LLMCACHE_CA", "nonsense"),
        ("LLMCACHE_LOG_LEVEL", "nonsense"),
        ("LLMCACHE_UPSTREAM_OPENAI", "nonsense"),
        ("LLMCACHE_UPSTREAM_ANTHROPIC_0", "https://nowhere.example"),
        ("LLMCACHE_UPSTREAM_ANTHROPIC_1", url.as_str()),
        ("LLMCACHE_STATE_DIR", "/nowhere"),
        ("LLMCACHE_TOKEN_FILE", "/nowhere"),
        ("LLMCACHE_PROXY_PORT", proxy_port.as_str()),
        ("LLMCACHE_ADMIN_PORT", admin_port.as_str()),
    ];
    let mut pod = Pod::start(Volumes::new("t").unwrap(), &environment).unwrap();
    let admin = llmcache_tests::kit::Client::new(&format!("http://127.0.0.1:{admin_port}"));
    let page = async || {
        admin
            .send(&Call::get("/readyz"))
            .await
            .map(|reply| reply.text())
            .unwrap_or_default()
    };
    eventually("it says why it does not serve", async || {
        page().await.contains("degraded: proxy port")
    })
    .await
    .unwrap();
    let said = page().await;
    for problem in [
        "LLMCACHE_OPERATOR",
        "LLMCACHE_LOG_LEVEL",
        "LLMCACHE_UPSTREAM_OPENAI",
        "llmcache.dev/proxy-port",
    ] {
        assert!(said.contains(problem), "{problem} not in {said}");
    }
    let ports = [
        ("LLMCACHE_PROXY_PORT", proxy_port.as_str()),
        ("LLMCACHE_ADMIN_PORT", admin_port.as_str()),
    ];
    assert_eq!(run(&["probe"], &ports).await, Some(0), "idle is alive");
    drop(taken);
    pod.ready(1).await.unwrap();
    let call = Call::messages(&question(MODEL, "one?"));
    assert_eq!(pod.client().send(&call).await.unwrap().status, 200);
    pod.signal(Signal::TERM).unwrap();
    assert_eq!(pod.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn wait_ends_when_the_port_is_open_or_the_time_is_over_and_never_fails() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let number = closed.local_addr().unwrap().port().to_string();
    drop(closed);
    let environment = [("LLMCACHE_PROXY_PORT", number.as_str())];
    let started = Instant::now();
    for arguments in [&["wait", "100ms"][..], &["wait", "0s"], &["wait", "soon"], &["wait"]] {
        assert_eq!(run(arguments, &environment).await, Some(0), "{arguments:?}");
    }
    assert!(
        started.elapsed() >= Duration::from_millis(4_100),
        "it waits as long as it was told"
    );
    let _open = TcpListener::bind((Ipv4Addr::LOCALHOST, number.parse().unwrap())).unwrap();
    assert_eq!(run(&["wait", "1h"], &environment).await, Some(0));
    assert_eq!(run(&["wait"], &[("LLMCACHE_PROXY_PORT", "nonsense")]).await, Some(0));
}

#[tokio::test]
async fn probe_tells_a_frozen_proxy_from_a_living_one() {
    let scene = Scene::start().await.unwrap();
    let (proxy, admin) = scene.pod.origins();
    let (proxy, admin) = (port(&proxy), port(&admin));
    let ports = [
        ("LLMCACHE_PROXY_PORT", proxy.as_str()),
        ("LLMCACHE_ADMIN_PORT", admin.as_str()),
    ];
    assert_eq!(run(&["probe"], &ports).await, Some(0));
    scene.pod.signal_proxy(Signal::STOP).unwrap();
    assert_eq!(run(&["probe"], &ports).await, Some(1));
    scene.pod.signal_proxy(Signal::CONT).unwrap();
    assert_eq!(run(&["probe"], &ports).await, Some(0));
    says(&scene.pod, "ok\n").await.unwrap();
}

#[tokio::test]
async fn other_words_are_usage() {
    assert_eq!(run(&["serve"], &[]).await, Some(2));
    assert_eq!(run(&["--help"], &[]).await, Some(0));
    assert_eq!(run(&["--version"], &[]).await, Some(0));
}
