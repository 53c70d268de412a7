//! The semantic cache on a sample of the project's own writing: pairs of one question in two wordings, with an app that
//! says of every pair whether the stored answer fits.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::children::{Launch, Sidecar};
use super::client::{Client, Reply};
use super::fake_config;
use crate::fake::{Answer, Fake};

const SAMPLE: &str = include_str!("../../samples/paraphrases.jsonl");
const POLICY: &str = include_str!("../../samples/paraphrases.yaml");
/// Paraphrases asked once the class is open.
const SHOWN: usize = 60;
/// Wrong words in a row that close a class.
const WRONG: usize = 5;
/// Pairs asked at most before a step is given up: each is asked again where the sample ends.
const MOST: usize = 4_000;

#[derive(Deserialize)]
struct Pair {
    a: String,
    b: String,
}

/// The app, the sidecar it talks to and the pairs that it asks about.
struct Scene {
    client: Client,
    admin: Client,
    pairs: Vec<Pair>,
    at: usize,
}

/// What a second wording came to.
enum Came {
    /// The stored answer was served.
    Served(Reply),
    /// The provider answered and the app is asked about the stored answer.
    Drawn(Reply),
    /// Neither.
    Asked,
}

/// Plays the layer from observing to serving and back; gives the lines that tell it.
pub(crate) async fn play(binary: &Path) -> anyhow::Result<String> {
    let pairs: Vec<Pair> = SAMPLE
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("the sample of paraphrases is not what it should be")?;
    let provider = Fake::start(fake_config()).await.context("cannot start the provider")?;
    provider.set_answer(handbook(&pairs));
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let policy = folder.path().join("paraphrases.yaml");
    std::fs::write(&policy, POLICY)?;
    let openai = format!("{}/v1", provider.url());
    let launch = Launch {
        binary,
        policy: &policy,
        anthropic: &provider.url(),
        openai: &openai,
        is_at_usual_ports: false,
    };
    let sidecar = Sidecar::start(launch).await?;
    let mut scene = Scene {
        client: Client::new(&sidecar.proxy),
        admin: Client::new(&sidecar.admin),
        pairs,
        at: 0,
    };
    let told = scene.tell().await;
    sidecar.stop().await?;
    told
}

/// Says for both wordings of a pair what the handbook's entry says; prose, so that only the app can judge it.
fn handbook(pairs: &[Pair]) -> impl FnMut(&Value, usize) -> Answer + Send + 'static {
    let entries: HashMap<String, usize> = pairs
        .iter()
        .enumerate()
        .flat_map(|(entry, pair)| [(pair.a.clone(), entry), (pair.b.clone(), entry)])
        .collect();
    move |body, _| {
        let text = body["messages"][0]["content"].as_str().unwrap_or_default();
        let entry = entries.get(text).copied().unwrap_or_default();
        Answer::text(says(entry))
    }
}

fn says(entry: usize) -> String {
    format!("Entry {entry} of the handbook answers this at some length, and every customer is told the same.")
}

impl Scene {
    async fn tell(&mut self) -> anyhow::Result<String> {
        let ready = self.admin.fetch("/readyz").await?;
        let ready = String::from_utf8_lossy(&ready.body).into_owned();
        if let Some(reason) = ready.lines().find(|line| line.contains("semantic cache: off")) {
            return Ok(format!("\nsemantic cache    not shown; {reason}"));
        }
        let mut lines = vec![format!(
            "\nsemantic cache    {} pairs of one question in two wordings; at most 1 % of what is served may be wrong",
            self.pairs.len()
        )];
        let labels = self.open().await?;
        lines.push(format!(
            "  observing       {labels} would-be hits, all found right by the app (POST /llmcache/feedback)"
        ));
        lines.push(format!(
            "  open            from similarity {}",
            self.gauge("semantic_threshold").await?
        ));
        let (served, asked) = self.serve().await?;
        lines.push(format!(
            "  serving         {served} of the next {asked} paraphrases, none of them wrong"
        ));
        lines.push(self.end_one().await?);
        let wrong = self.close().await?;
        lines.push(format!(
            "  closed          after {wrong} wrong answers in a row; paraphrases go to the provider again"
        ));
        Ok(lines.join("\n"))
    }

    /// Asks pairs and finds every stored answer right, until one is served; gives how many that took.
    async fn open(&mut self) -> anyhow::Result<usize> {
        let mut labels = 0;
        for _ in 0..MOST {
            match self.next().await? {
                Came::Served(_) => return Ok(labels),
                Came::Drawn(reply) => {
                    labels += 1;
                    self.say(&reply, false).await?;
                }
                Came::Asked => {}
            }
        }
        anyhow::bail!("{labels} right answers did not open the class")
    }

    async fn serve(&mut self) -> anyhow::Result<(usize, usize)> {
        let mut served = 0;
        for _ in 0..SHOWN {
            match self.next().await? {
                Came::Served(_) => served += 1,
                Came::Drawn(reply) => self.say(&reply, false).await?,
                Came::Asked => {}
            }
        }
        ensure!(served > 0, "none of {SHOWN} paraphrases was served");
        Ok((served, SHOWN))
    }

    /// Finds a served answer wrong and asks again.
    async fn end_one(&mut self) -> anyhow::Result<String> {
        for _ in 0..MOST {
            if let Came::Served(reply) = self.next().await? {
                self.say(&reply, true).await?;
                let asked = self.pairs[(self.at - 1) % self.pairs.len()].b.clone();
                ensure!(
                    !self.ask(&asked).await?.is_hit(),
                    "an answer found wrong was served again"
                );
                return Ok(
                    "  found wrong     the first wrong word ended its entry: asked again, the provider answered".into(),
                );
            }
        }
        anyhow::bail!("nothing was served that could be found wrong")
    }

    /// Finds what the app is asked about wrong, until the class is closed; gives how many that took.
    async fn close(&mut self) -> anyhow::Result<usize> {
        let mut wrong = 0;
        for _ in 0..MOST {
            if let Came::Drawn(reply) = self.next().await? {
                self.say(&reply, true).await?;
                wrong += 1;
            }
            if wrong == WRONG {
                let threshold = self.gauge("semantic_threshold").await?;
                ensure!(
                    threshold == "0",
                    "still open from {threshold} after {WRONG} wrong answers"
                );
                return Ok(wrong);
            }
        }
        anyhow::bail!("too few answers were drawn to close the class")
    }

    /// Asks the next pair's both wordings.
    async fn next(&mut self) -> anyhow::Result<Came> {
        let entry = self.at % self.pairs.len();
        self.at += 1;
        let Pair { a, b } = &self.pairs[entry];
        self.ask(a).await?;
        let reply = self.ask(b).await?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        ensure!(text.contains(&says(entry)), "asked {b:?}, got {text}");
        Ok(if reply.is_hit() {
            Came::Served(reply)
        } else if reply.header("x-llmcache-feedback").is_empty() {
            Came::Asked
        } else {
            Came::Drawn(reply)
        })
    }

    async fn ask(&self, text: &str) -> anyhow::Result<Reply> {
        let body =
            json!({"model": "claude-haiku-5-5", "max_tokens": 256, "messages": [{"role": "user", "content": text}]});
        let reply = self
            .client
            .post("/anthropic/v1/messages", Bytes::from(body.to_string()))
            .await?;
        ensure!(reply.status.is_success(), "{text:?} was answered with {}", reply.status);
        Ok(reply)
    }

    async fn say(&self, of: &Reply, is_wrong: bool) -> anyhow::Result<()> {
        let body = json!({"request": of.header("x-llmcache-request-id"), "wrong": is_wrong});
        let reply = self
            .client
            .post("/llmcache/feedback", Bytes::from(body.to_string()))
            .await?;
        ensure!(reply.status == 202, "feedback was answered with {}", reply.status);
        Ok(())
    }

    /// A gauge of the one class.
    async fn gauge(&self, name: &str) -> anyhow::Result<String> {
        let page = self.admin.fetch("/metrics").await?;
        let page = String::from_utf8_lossy(&page.body).into_owned();
        let sample = page
            .lines()
            .find(|line| line.starts_with(&format!("llmcache_{name}{{")));
        let value = sample.and_then(|line| line.rsplit_once(' '));
        Ok(value.context("the gauge is missing")?.1.to_owned())
    }
}
