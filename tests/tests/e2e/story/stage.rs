//! The stage: the node, its images, and how the story's people act on it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use llmcache_tests::kit::{Cluster, Level, binary};
use serde_json::Value;

/// Namespace of the install.
pub(crate) const SYSTEM: &str = "llmcache-system";

/// The node, with the app and its provider.
pub(crate) struct Stage(Node);

enum Node {
    Shared(&'static Cluster),
    Own(Box<Cluster>),
}

/// What the bot says of one answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) cache: String,
    pub(crate) model: String,
}

impl Stage {
    /// A node with every image; none where tests on a node are off.
    pub(crate) async fn set() -> anyhow::Result<Option<Self>> {
        match Cluster::shared(Level::Node).await? {
            Some(cluster) => Self(Node::Shared(cluster)).prepared().await.map(Some),
            None => Ok(None),
        }
    }

    /// The same on a node of its own.
    pub(crate) async fn set_alone() -> anyhow::Result<Option<Self>> {
        match Cluster::start(Level::Node).await? {
            Some(cluster) => Self(Node::Own(Box::new(cluster))).prepared().await.map(Some),
            None => Ok(None),
        }
    }

    /// The node itself.
    pub(crate) fn cluster(&self) -> &Cluster {
        match &self.0 {
            Node::Shared(cluster) => cluster,
            Node::Own(cluster) => cluster,
        }
    }

    async fn prepared(self) -> anyhow::Result<Self> {
        for image in [
            "llmcache-operator",
            "llmcache-sidecar",
            "fake-provider",
            "busybox",
            "redis",
            "prometheus",
            "python",
        ] {
            self.cluster().load_image(image).await?;
        }
        self.apply(&manifest("shop.yaml")).await?;
        let mut create: Vec<String> = ["-n", "shop", "create", "configmap", "bot"].map(str::to_owned).into();
        let files = [
            manifest("bot.py"),
            manifest("paraphrases.py"),
            repository("tests/samples/paraphrases.jsonl"),
        ];
        create.extend(files.map(|file| format!("--from-file={}", file.display())));
        self.kubectl(&create.iter().map(String::as_str).collect::<Vec<_>>())
            .await?;
        Ok(self)
    }

    /// Runs kubectl; its output, or what it complained of.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.cluster().kubectl(arguments).await?.ok()
    }

    /// Runs kubectl, which must fail; what it complained of.
    pub(crate) async fn refused(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let done = self.cluster().kubectl_with(arguments, input).await?;
        ensure!(done.code != 0, "kubectl {arguments:?} was accepted");
        Ok(done.stderr)
    }

    /// Applies a file as a user would.
    pub(crate) async fn apply(&self, file: &Path) -> anyhow::Result<()> {
        self.kubectl(&["apply", "-f", &file.display().to_string()]).await?;
        Ok(())
    }

    /// Applies text as a user would.
    pub(crate) async fn apply_text(&self, text: &str) -> anyhow::Result<()> {
        self.cluster().kubectl_with(&["apply", "-f", "-"], text).await?.ok()?;
        Ok(())
    }

    /// Runs `kubectl llmcache`; its output, and its exit code.
    pub(crate) async fn command(&self, arguments: &[&str]) -> anyhow::Result<(String, i32)> {
        let program = binary("kubectl-llmcache")?;
        let done = self
            .cluster()
            .run(&program.display().to_string(), arguments, "")
            .await?;
        Ok((format!("{}{}", done.stdout, done.stderr), done.code))
    }

    /// Names of the running pods with a label, the youngest last.
    pub(crate) async fn pods(&self, namespace: &str, label: &str) -> anyhow::Result<Vec<String>> {
        let get = ["-n", namespace, "get", "pods", "-l", label, "-o", "json"];
        let list: Value = serde_json::from_str(&self.kubectl(&get).await?)?;
        let pods = list["items"].as_array().context("kubectl gave no list")?;
        let alive = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let mut named: Vec<(String, String)> = alive
            .map(|pod| {
                let text = |name: &str| pod["metadata"][name].as_str().unwrap_or_default().to_owned();
                (text("creationTimestamp"), text("name"))
            })
            .collect();
        named.sort();
        Ok(named.into_iter().map(|(_, name)| name).collect())
    }

    /// Pods of the app, two of them.
    pub(crate) async fn chats(&self) -> anyhow::Result<Vec<String>> {
        self.pods("shop", "app=support-bot").await
    }

    /// Waits until a Deployment has rolled out and its old pods are gone.
    pub(crate) async fn rolled_out(&self, namespace: &str, deployment: &str) -> anyhow::Result<()> {
        let name = format!("deployment/{deployment}");
        self.kubectl(&["-n", namespace, "rollout", "status", &name, "--timeout", "90s"])
            .await?;
        Ok(())
    }

    /// Fetches a URL inside a pod's container.
    pub(crate) async fn fetch(&self, pod: &str, url: &str) -> anyhow::Result<String> {
        self.kubectl(&[
            "-n", "shop", "exec", pod, "-c", "app", "--", "wget", "-q", "-O", "-", url,
        ])
        .await
    }

    /// Asks the bot of a pod.
    pub(crate) async fn ask(&self, pod: &str, question: &str, user: &str) -> anyhow::Result<Answer> {
        let question = question.replace(' ', "+");
        let said = self
            .fetch(pod, &format!("http://127.0.0.1:8000/ask?q={question}&user={user}"))
            .await?;
        let said: Value = serde_json::from_str(&said)?;
        if let Some(error) = said["error"].as_str() {
            bail!("the bot of {pod} failed: {error}");
        }
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        Ok(Answer {
            text: text("answer"),
            cache: text("cache"),
            model: text("model"),
        })
    }

    /// Waits until the bot of a pod listens.
    pub(crate) async fn bot_ready(&self, pod: &str) -> anyhow::Result<()> {
        until("the bot listens", async || {
            Ok(self.fetch(pod, "http://127.0.0.1:8000/").await.is_ok())
        })
        .await
    }

    /// Has a bot chatter, or stop; how many calls went well and how many failed since it began.
    pub(crate) async fn traffic(&self, pod: &str, word: &str) -> anyhow::Result<(u64, u64, String)> {
        let said: Value = serde_json::from_str(&self.fetch(pod, &format!("http://127.0.0.1:8000/{word}")).await?)?;
        let number = |name: &str| said[name].as_u64().unwrap_or_default();
        Ok((number("ok"), number("failed"), said["last"].to_string()))
    }

    /// What a pod's sidecar executes.
    pub(crate) async fn snapshot(&self, pod: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(
            &self.fetch(pod, "http://127.0.0.1:15480/llmcache/snapshot").await?,
        )?)
    }

    /// A pod's ledger.
    pub(crate) async fn account(&self, pod: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(
            &self.fetch(pod, "http://127.0.0.1:15480/llmcache/account").await?,
        )?)
    }

    /// The policy with its status.
    pub(crate) async fn policy(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(
            &self
                .kubectl(&["-n", "shop", "get", "lcp", "support-bot", "-o", "json"])
                .await?,
        )?)
    }

    /// Status and reason of a condition of the policy.
    pub(crate) async fn condition(&self, kind: &str) -> anyhow::Result<(String, String, String)> {
        let policy = self.policy().await?;
        let all = policy["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|condition| condition["type"] == kind);
        let text = |name: &str| {
            found
                .map(|found| found[name].as_str().unwrap_or_default().to_owned())
                .unwrap_or_default()
        };
        Ok((text("status"), text("reason"), text("message")))
    }

    /// Waits until the policy is programmed in its written generation.
    pub(crate) async fn programmed(&self, sidecars: &str) -> anyhow::Result<()> {
        until("the policy is programmed", async || {
            let policy = self.policy().await?;
            let is_current = policy["status"]["observedGeneration"] == policy["metadata"]["generation"];
            let (status, ..) = self.condition("Programmed").await?;
            Ok(is_current && status == "True" && policy["status"]["sidecars"]["summary"] == sidecars)
        })
        .await
    }
}

/// A file of the story.
pub(crate) fn manifest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/e2e/manifests")
        .join(name)
}

/// A file of the repository.
pub(crate) fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The policy of the story as the repository has it, changed.
pub(crate) fn policy_with(change: impl FnOnce(String) -> String) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(repository("crds/examples/support-bot.yaml"))?;
    let changed = change(text.clone());
    ensure!(changed != text, "the example no longer has what the story changes");
    Ok(changed)
}

/// Waits until something holds, for at most 90 s.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(90);
    let mut last = None;
    while Instant::now() < deadline {
        match holds().await {
            Ok(true) => return Ok(()),
            Ok(false) => last = None,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    match last {
        Some(error) => Err(error.context(format!("{what}: not within 90 s"))),
        None => bail!("{what}: not within 90 s"),
    }
}
