//! The sidecar of a pod against an operator that says what it is told: what is executed, what is kept, what is
//! answered.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bans;
mod commands;
mod connection;
mod credentials;
mod generations;
mod last_good;
mod policies;
mod versions;

use llmcache_operator::compile;
use llmcache_operator::validate::load;
use llmcache_policy::Snapshot;
use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Authority, Call, Operator, Pod, Reply, Volumes, eventually, metric, policy, question};

/// A model that the price table knows.
const MODEL: &str = "claude-opus-5-5";

/// A provider, an operator and a pod between them.
struct Scene {
    fake: Fake,
    authority: Authority,
    operator: Operator,
    pod: Pod,
}

impl Scene {
    /// Starts all three and waits until they are connected.
    async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with further environment of the pod.
    async fn start_with(environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let fake = Fake::start(FakeConfig::default()).await?;
        let authority = Authority::new()?;
        let operator = Operator::start(&authority).await?;
        let pod = pod(
            &fake,
            &authority,
            operator.port(),
            Volumes::new("token-1")?,
            environment,
        )?;
        pod.ready(1).await?;
        operator.connected(1).await?;
        Ok(Self {
            fake,
            authority,
            operator,
            pod,
        })
    }

    /// Puts a policy with this spec in force.
    async fn apply(&self, generation: i64, spec: &str) -> anyhow::Result<()> {
        let (revision, json) = compiled(generation, spec)?;
        self.operator.apply(&revision, json).await?;
        Ok(())
    }

    async fn ask(&self, text: &str) -> anyhow::Result<Reply> {
        self.pod.client().send(&Call::messages(&question(MODEL, text))).await
    }
}

/// Starts a pod whose operator is behind a port, and whose app had the fake provider as its base URL.
fn pod(
    fake: &Fake,
    authority: &Authority,
    port: u16,
    volumes: Volumes,
    environment: &[(&str, &str)],
) -> anyhow::Result<Pod> {
    let (url, operator) = (fake.url(), format!("https://localhost:{port}"));
    let openai = format!("{url}/v1");
    let mut all = vec![
        ("LLMCACHE_OPERATOR", operator.as_str()),
        ("LLMCACHE_CA", authority.pem()),
        ("LLMCACHE_NAMESPACE", "shop"),
        ("LLMCACHE_SERVICE_ACCOUNT", "chat"),
        ("LLMCACHE_UPSTREAM_ANTHROPIC", url.as_str()),
        ("LLMCACHE_UPSTREAM_OPENAI", openai.as_str()),
    ];
    all.extend_from_slice(environment);
    Pod::start(volumes, &all)
}

/// Revision and JSON of a policy.
fn compiled(generation: i64, spec: &str) -> anyhow::Result<(String, Vec<u8>)> {
    written(&snapshot(generation, spec))
}

fn written(snapshot: &Snapshot) -> anyhow::Result<(String, Vec<u8>)> {
    Ok((snapshot.revision().0, serde_json::to_vec(snapshot)?))
}

fn snapshot(generation: i64, spec: &str) -> Snapshot {
    let loaded = load(&policy(spec)).unwrap();
    let mut snapshot = compile(&loaded.policies[0].0);
    snapshot.identity.uid = "uid-of-test".into();
    snapshot.identity.generation = generation;
    snapshot
}

/// Waits until `/readyz` holds a text.
async fn says(pod: &Pod, text: &str) -> anyhow::Result<()> {
    eventually(text, async || {
        pod.page("/readyz").await.is_ok_and(|page| page.contains(text))
    })
    .await
}

/// Fails unless a family's samples with these labels sum up to a whole number.
fn shows(page: &str, family: &str, labels: &[&str], expected: f64) {
    let sum = metric(page, family, labels);
    assert!((sum - expected).abs() < 0.5, "{family} is {sum}, not {expected}");
}
