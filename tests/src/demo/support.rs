//! The support bot: a sample of the project's own writing, played as SDKs would send it.

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Reply;
use super::play::{Api, Player};
use crate::fake::{Answer, Part};

const SAMPLE: &str = include_str!("../../samples/support-bot.json");
/// The id of a turn's tool call; a conversation has at most one call a turn.
const CALL_ID: &str = "toolu_sample";

#[derive(Deserialize)]
struct Sample {
    system: Vec<String>,
    tools: Vec<Tool>,
    conversations: Vec<Conversation>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
    description: String,
    input_schema: Value,
}

#[derive(Deserialize)]
struct Conversation {
    api: Api,
    model: String,
    /// How often it is held in a run.
    times: usize,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    tools: bool,
    /// The end user, when the app names one.
    user: Option<String>,
    turns: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    user: String,
    /// The tool that the model asks for before it answers.
    call: Option<Call>,
    answer: String,
}

#[derive(Deserialize)]
struct Call {
    name: String,
    input: Value,
    result: String,
}

/// A conversation under way: the body that grows with every turn.
struct Held<'a> {
    conversation: &'a Conversation,
    body: Value,
}

/// Holds the sample's conversations in rounds, so that repeats come from different times.
pub(crate) async fn play(player: &mut Player<'_>) -> anyhow::Result<()> {
    let sample: Sample = serde_json::from_str(SAMPLE).context("the sample is not what it should be")?;
    player
        .begin(
            sample
                .conversations
                .iter()
                .map(|conversation| conversation.times * conversation.calls())
                .sum(),
        )
        .await?;
    let rounds = sample
        .conversations
        .iter()
        .map(|conversation| conversation.times)
        .max()
        .unwrap_or(0);
    for round in 0..rounds {
        for conversation in sample
            .conversations
            .iter()
            .filter(|conversation| round < conversation.times)
        {
            conversation.hold(&sample, player).await?;
        }
    }
    Ok(())
}

impl Conversation {
    fn calls(&self) -> usize {
        self.turns.iter().map(|turn| 1 + usize::from(turn.call.is_some())).sum()
    }

    async fn hold(&self, sample: &Sample, player: &mut Player<'_>) -> anyhow::Result<()> {
        let mut held = Held {
            conversation: self,
            body: self.opening(sample),
        };
        for turn in &self.turns {
            held.push(json!({"role": "user", "content": turn.user}))?;
            if let Some(call) = &turn.call {
                held.ask(player, call.asked()).await?;
                held.push_call(call)?;
            }
            let reply = held.ask(player, Answer::text(&turn.answer)).await?;
            ensure!(
                self.says(&reply, &turn.answer),
                "asked {:?}, got {}",
                turn.user,
                String::from_utf8_lossy(&reply.body)
            );
            held.push(json!({"role": "assistant", "content": turn.answer}))?;
        }
        Ok(())
    }

    /// The body before the first user message.
    fn opening(&self, sample: &Sample) -> Value {
        let system = sample.system.join("\n");
        let mut body = match self.api {
            Api::Anthropic => json!({
                "model": self.model, "max_tokens": 1024,
                "system": [{"type": "text", "text": system}], "messages": [],
            }),
            Api::Openai => json!({"model": self.model, "messages": [{"role": "system", "content": system}]}),
        };
        if self.stream {
            body["stream"] = true.into();
        }
        if self.tools {
            body["tools"] = sample.tools.iter().map(|tool| tool.definition(self.api)).collect();
        }
        match (&self.user, self.api) {
            (Some(user), Api::Anthropic) => body["metadata"] = json!({"user_id": user}),
            (Some(user), Api::Openai) => body["user"] = json!(user),
            (None, _) => {}
        }
        body
    }

    /// Whether the reply is the whole answer, in the form that was asked for.
    fn says(&self, reply: &Reply, answer: &str) -> bool {
        let text = String::from_utf8_lossy(&reply.body);
        match (self.api, self.stream) {
            (Api::Anthropic, true) => {
                stream_text(&text, "/delta/text") == answer && text.contains("event: message_stop")
            }
            (Api::Openai, true) => {
                stream_text(&text, "/choices/0/delta/content") == answer && text.contains("data: [DONE]")
            }
            (Api::Anthropic, false) => plain_text(&text, "/content/0/text") == answer,
            (Api::Openai, false) => plain_text(&text, "/choices/0/message/content") == answer,
        }
    }
}

impl Held<'_> {
    async fn ask(&self, player: &mut Player<'_>, answer: Answer) -> anyhow::Result<Reply> {
        player.call(self.conversation.api, self.body.clone(), answer).await
    }

    fn push(&mut self, message: Value) -> anyhow::Result<()> {
        self.body["messages"]
            .as_array_mut()
            .context("messages is a list")?
            .push(message);
        Ok(())
    }

    /// The model's call and the tool's result, as each API writes them.
    fn push_call(&mut self, call: &Call) -> anyhow::Result<()> {
        let Call { name, input, result } = call;
        let [asked, told] = match self.conversation.api {
            Api::Anthropic => [
                json!({"role": "assistant", "content": [{"type": "tool_use", "id": CALL_ID, "name": name, "input": input}]}),
                json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": CALL_ID, "content": result}]}),
            ],
            Api::Openai => [
                json!({"role": "assistant", "content": null, "tool_calls": [
                    {"id": CALL_ID, "type": "function", "function": {"name": name, "arguments": input.to_string()}}]}),
                json!({"role": "tool", "tool_call_id": CALL_ID, "content": result}),
            ],
        };
        self.push(asked)?;
        self.push(told)
    }
}

impl Call {
    fn asked(&self) -> Answer {
        let part = Part::Tool {
            name: self.name.clone(),
            input: self.input.clone(),
            id: Some(CALL_ID.to_owned()),
        };
        Answer {
            parts: vec![part],
            ..Answer::default()
        }
    }
}

impl Tool {
    fn definition(&self, api: Api) -> Value {
        let Self {
            name,
            description,
            input_schema,
        } = self;
        match api {
            Api::Anthropic => json!({"name": name, "description": description, "input_schema": input_schema}),
            Api::Openai => json!({"type": "function", "function":
                {"name": name, "description": description, "parameters": input_schema}}),
        }
    }
}

/// The text at a pointer of a JSON body, or "".
fn plain_text(body: &str, pointer: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body.pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The text at a pointer of each event, joined.
fn stream_text(body: &str, pointer: &str) -> String {
    let events = body.lines().filter_map(|line| line.strip_prefix("data: "));
    events.map(|event| plain_text(event, pointer)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_what_the_demo_promises() {
        let sample: Sample = serde_json::from_str(SAMPLE).unwrap();
        let has = |wanted: &dyn Fn(&Conversation) -> bool| sample.conversations.iter().any(wanted);
        for api in [Api::Anthropic, Api::Openai] {
            assert!(
                has(&|it| it.api == api && it.stream) && has(&|it| it.api == api && !it.stream),
                "{api:?}"
            );
            assert!(has(&|it| it.api == api
                && it.turns.len() > 1
                && it.turns.iter().any(|turn| turn.call.is_some())));
        }
        assert!(has(&|it| it.model == "auto") && has(&|it| it.times > 1));
    }

    #[test]
    fn a_conversation_grows_by_call_result_and_answer() {
        let sample: Sample = serde_json::from_str(SAMPLE).unwrap();
        let conversation = sample
            .conversations
            .iter()
            .find(|it| it.tools && it.api == Api::Openai)
            .unwrap();
        let mut held = Held {
            conversation,
            body: conversation.opening(&sample),
        };
        held.push_call(conversation.turns[0].call.as_ref().unwrap()).unwrap();
        let roles: Vec<_> = held.body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| &message["role"])
            .collect();
        assert_eq!(roles, ["system", "assistant", "tool"]);
        assert_eq!(
            held.body["messages"][2]["tool_call_id"],
            held.body["messages"][1]["tool_calls"][0]["id"]
        );
    }
}
