//! One stream through the real proxy: each question once, each drawn pair labelled by its intents.

use std::collections::HashMap;

use anyhow::ensure;
use serde_json::{Value, json};

use super::{Outcome, Plan, Question};
use crate::fake::{Answer, Fake, FakeConfig};
use crate::kit::{Call, Client, Launch, Reply, metric, policy, question};

/// Plays the stream under a budget.
pub(super) async fn play(plan: &Plan, questions: &[Question], budget: &str) -> anyhow::Result<Outcome> {
    let config = FakeConfig {
        log: false,
        ..FakeConfig::default()
    };
    let fake = Fake::start(config).await?;
    fake.set_answer(by_intent(questions));
    let spec = format!(
        "  promptCache: {{mode: Disabled}}\n  resultCache: {{mode: Disabled, storeBudget: 1s}}\n  semanticCache: {{mode: \
         Enforce, maxFalseHitRate: {budget}}}"
    );
    let model = plan.model.display().to_string();
    let sidecar = Launch::new(policy(&spec), fake.url())
        .args(["--model", &model])
        .start()
        .await?;
    let client = sidecar.client();
    let mut outcome = Outcome::default();
    for (at, question) in questions.iter().enumerate() {
        ask(&client, at, question, &mut outcome).await?;
    }
    let page = sidecar.admin().send(&Call::get("/metrics")).await?.text();
    ensure!(
        metric(&page, "llmcache_embedder_up", &[]) > 0.0,
        "the embedder is not up: {}",
        sidecar.log()
    );
    Ok(outcome)
}

async fn ask(client: &Client, at: usize, asked: &Question, outcome: &mut Outcome) -> anyhow::Result<()> {
    let body = question("claude-haiku-5-5", &asked.text);
    let reply = client.send(&Call::messages(&body)).await?;
    ensure!(reply.status.is_success(), "{}: {}", reply.status, reply.text());
    outcome.asked += 1;
    if reply.is_hit() {
        outcome.serve(at, says(&reply, &asked.intent));
    } else if let Some(candidate) = reply.header("x-llmcache-feedback").strip_prefix("wanted; candidate=") {
        outcome.labels += 1;
        let path = format!("/llmcache/candidate/{candidate}");
        let stored = client.send(&Call::get(&path).header("x-api-key", "key-a")).await?;
        let is_wrong = !says(&stored, &asked.intent);
        outcome.wrong_labels += usize::from(is_wrong);
        let word = json!({"request": reply.header("x-llmcache-request-id"), "wrong": is_wrong});
        let heard = client.send(&Call::post("/llmcache/feedback", word.to_string())).await?;
        ensure!(heard.status == 202, "feedback: {}", heard.text());
    }
    Ok(())
}

fn says(reply: &Reply, intent: &str) -> bool {
    reply.text().contains(&prose(intent))
}

fn prose(intent: &str) -> String {
    format!("Here is what our bank has to say about the matter of <{intent}>, at some length.")
}

/// Answers a question by its intent.
fn by_intent(questions: &[Question]) -> impl FnMut(&Value, usize) -> Answer + Send + 'static {
    let known: HashMap<String, String> = questions
        .iter()
        .map(|question| (question.text.clone(), question.intent.clone()))
        .collect();
    move |body, _| {
        let text = body["messages"][0]["content"].as_str().unwrap_or_default();
        Answer::text(prose(known.get(text).map_or("unknown", String::as_str)))
    }
}
