//! Questions, and what must come back: the text of the question, the number of the call that bought it, a filling.

use anyhow::{Context, bail, ensure};
use llmcache_tests::fake::Answer;
use llmcache_tests::kit::{Call, Reply, question};
use serde_json::{Value, json};

/// Makes an answer large enough that the in-process tier cannot hold all.
const FILLING: usize = 6 << 10;

/// One question of one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) credential: usize,
    pub(crate) is_chat: bool,
    pub(crate) is_stream: bool,
}

/// The provider's answer to the call of this number.
pub(crate) fn answer(request: &Value, number: usize) -> Answer {
    let text = request["messages"][0]["content"].as_str().unwrap_or_default();
    Answer::text(whole(text, number))
}

fn whole(text: &str, number: usize) -> String {
    format!("{text}/{number};{}", "x".repeat(FILLING))
}

impl Question {
    pub(crate) fn call(&self) -> Call {
        let key = format!("key-{}", self.credential);
        let model = if self.is_chat { "gpt-6-luna" } else { "claude-haiku-5-5" };
        let mut body = question(model, &self.text);
        body["max_tokens"] = json!(8_192);
        if self.is_stream {
            body["stream"] = json!(true);
        }
        if self.is_chat {
            let mut body = body;
            body["max_completion_tokens"] = body["max_tokens"].take();
            let members = body.as_object_mut();
            members.map(|members| members.remove("max_tokens"));
            Call::chat(&body).header("authorization", &format!("Bearer {key}"))
        } else {
            Call::messages(&body).header("x-api-key", &key)
        }
    }

    /// Number of the upstream call whose answer this is; an error where it is no whole answer to this question.
    pub(crate) fn number(&self, reply: &Reply) -> anyhow::Result<usize> {
        let text = self.said(reply)?;
        let head: String = text.chars().take(80).collect();
        let number = text.strip_prefix(&self.text).and_then(|rest| rest.strip_prefix('/'));
        let number = number.and_then(|rest| rest.split_once(';')?.0.parse().ok());
        let number = number.with_context(|| format!("{:?} was answered {head:?}", self.text))?;
        ensure!(
            text == whole(&self.text, number),
            "{:?} was answered in part: {head:?}",
            self.text
        );
        Ok(number)
    }

    fn said(&self, reply: &Reply) -> anyhow::Result<String> {
        match (self.is_stream, self.is_chat) {
            (true, _) => self.streamed(&reply.text()),
            (false, true) => text_of(&reply.json()?["choices"][0]["message"]["content"]),
            (false, false) => text_of(&reply.json()?["content"][0]["text"]),
        }
    }

    fn streamed(&self, body: &str) -> anyhow::Result<String> {
        let mut said = String::new();
        for data in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
            if data == "[DONE]" {
                return Ok(said);
            }
            let event: Value = serde_json::from_str(data)?;
            if event["type"] == "message_stop" {
                return Ok(said);
            }
            ensure!(
                event["type"] != "error" && event["error"].is_null(),
                "an error event: {event}"
            );
            let piece = if self.is_chat {
                &event["choices"][0]["delta"]["content"]
            } else {
                &event["delta"]["text"]
            };
            said.push_str(piece.as_str().unwrap_or_default());
        }
        bail!("the stream did not end")
    }
}

fn text_of(value: &Value) -> anyhow::Result<String> {
    value.as_str().map(str::to_owned).context("no text")
}
