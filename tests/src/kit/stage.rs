//! A provider with a sidecar before it, and questions to ask.

use serde_json::{Value, json};

use super::{Call, Client, Launch, Reply, Sidecar};
use crate::fake::{Fake, FakeConfig};

/// A fake provider, a sidecar before it and a client of the sidecar.
pub struct Stage {
    /// The provider.
    pub fake: Fake,
    /// The sidecar.
    pub sidecar: Sidecar,
    /// A client of the proxy.
    pub client: Client,
}

impl Stage {
    /// Starts both under a policy.
    pub async fn start(policy: impl Into<String>) -> anyhow::Result<Self> {
        Self::start_with(policy, FakeConfig::default(), []).await
    }

    /// Starts both with a provider of this kind and further arguments of `local`.
    pub async fn start_with<'a>(
        policy: impl Into<String>,
        fake: FakeConfig,
        args: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<Self> {
        let fake = Fake::start(fake).await?;
        let sidecar = Launch::new(policy, fake.url()).args(args).start().await?;
        let client = sidecar.client();
        Ok(Self { fake, sidecar, client })
    }

    /// Sends an Anthropic Messages request.
    pub async fn messages(&self, body: &Value) -> anyhow::Result<Reply> {
        self.client.send(&Call::messages(body)).await
    }

    /// The models asked so far, in the order of the provider's log.
    pub fn asked(&self) -> Vec<String> {
        let model = |body: Value| body["model"].as_str().unwrap_or_default().to_owned();
        self.fake.log().iter().map(|received| model(received.json())).collect()
    }

    /// The metrics page.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.sidecar.admin().send(&Call::get("/metrics")).await?.text())
    }
}

/// A Messages request of one user text.
pub fn question(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 256, "messages": [{"role": "user", "content": text}]})
}

/// The sum of a family's samples whose labels contain all of these words, such as `layer="routing"`.
pub fn metric(page: &str, family: &str, labels: &[&str]) -> f64 {
    let samples = page.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let (family_name, set) = name.split_once('{').unwrap_or((name, ""));
        (family_name == family && labels.iter().all(|label| set.contains(label))).then_some(value)
    });
    samples.filter_map(|value| value.parse::<f64>().ok()).sum()
}
