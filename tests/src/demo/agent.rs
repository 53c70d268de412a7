//! Recorded agent conversations (OpenAI chat form) as the Anthropic Messages calls an agent would have made.
//!
//! One call per assistant turn, with the whole history before it; the recorded turn is the answer.
//! Tokens are characters / 4 of what was recorded, so that they do not depend on this conversion.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Value, json};

use super::play::{Api, Player};
use crate::fake::{Answer, Part as Said, json_chars, tokens_of};

/// The model that the traces are priced on.
pub(crate) const MODEL: &str = "claude-sonnet-5-5";
/// The provider's time between two calls.
const BETWEEN: Duration = Duration::from_secs(10);

/// Tools and conversations of one agent.
#[derive(Debug)]
pub(crate) struct Traces {
    pub(crate) tools: Vec<Value>,
    /// Characters of the recorded tools' JSON.
    pub(crate) tools_chars: u64,
    pub(crate) conversations: Vec<Conversation>,
}

/// One conversation, converted.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) system: Part,
    pub(crate) turns: Vec<Turn>,
}

/// Consecutive parts of one role; the API wants roles to alternate.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) role: &'static str,
    pub(crate) parts: Vec<Part>,
}

/// One content block and what it counts.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) block: Value,
    /// Characters of the recorded text or of the recorded call's function JSON.
    pub(crate) chars: u64,
}

/// What the recording holds, for comparing with what others count on it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) conversations: usize,
    pub(crate) calls: usize,
    /// Characters of all prompts as recorded.
    pub(crate) prompt_chars: u64,
}

#[derive(Deserialize)]
struct Recorded {
    id: String,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    role: Role,
    content: Option<String>,
    #[serde(default)]
    tool_calls: Vec<ToolCall>,
    tool_call_id: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Role {
    Assistant,
    System,
    Tool,
    User,
}

#[derive(Deserialize)]
struct ToolCall {
    id: String,
    function: Value,
}

/// Call ids are unique in a conversation for the API, not in the recording: each is minted anew, results follow the latest.
#[derive(Default)]
struct CallIds {
    latest: HashMap<String, String>,
    minted: usize,
}

impl Traces {
    /// Reads `agent-conversations.jsonl.gz` and `agent-tools.json` of a folder.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("agent-tools.json");
        let recorded: Vec<Value> =
            serde_json::from_reader(open(&path)?).with_context(|| format!("{} is not tools", path.display()))?;
        let tools = recorded.iter().map(convert_tool).collect::<anyhow::Result<_>>()?;
        let path = folder.join("agent-conversations.jsonl.gz");
        let lines = BufReader::new(GzDecoder::new(open(&path)?)).lines();
        let conversations = lines
            .map(|line| Conversation::read(&line?))
            .collect::<anyhow::Result<Vec<_>>>();
        Ok(Self {
            tools,
            tools_chars: json_chars(&Value::Array(recorded)),
            conversations: conversations.with_context(|| format!("cannot read {}", path.display()))?,
        })
    }

    /// Plays every conversation to its end, one after another.
    pub(crate) async fn play(&self, player: &mut Player<'_>) -> anyhow::Result<()> {
        player.begin(self.calls()).await?;
        for conversation in &self.conversations {
            for answer in conversation.answers() {
                let body = conversation.request(&self.tools, answer);
                player
                    .call(Api::Anthropic, body, conversation.turns[answer].said()?)
                    .await?;
                player.advance(BETWEEN);
            }
        }
        Ok(())
    }

    /// How much there is to play.
    pub(crate) fn facts(&self) -> Facts {
        let prompts = self
            .conversations
            .iter()
            .flat_map(|it| it.answers().map(|answer| it.prompt_chars(answer)));
        let chars = prompts.map(|chars| chars + self.tools_chars).sum();
        Facts {
            conversations: self.conversations.len(),
            calls: self.calls(),
            prompt_chars: chars,
        }
    }

    fn calls(&self) -> usize {
        self.conversations
            .iter()
            .map(|conversation| conversation.answers().count())
            .sum()
    }
}

impl Conversation {
    fn read(line: &str) -> anyhow::Result<Self> {
        let Recorded { id, messages } = serde_json::from_str(line)?;
        let mut messages = messages.into_iter();
        let first = messages.next().filter(|message| message.role == Role::System);
        let system = first
            .and_then(|message| message.content)
            .with_context(|| format!("conversation {id} has no system text"))?;
        let (mut turns, mut ids) = (Vec::<Turn>::new(), CallIds::default());
        for message in messages {
            let role = if message.role == Role::Assistant {
                "assistant"
            } else {
                "user"
            };
            let parts = message
                .into_parts(&mut ids)
                .with_context(|| format!("conversation {id}"))?;
            match turns.last_mut() {
                // Two answers in a row are two calls; everything else of one role is one turn.
                Some(last) if last.role == role => last.parts.extend(parts),
                _ => turns.push(Turn { role, parts }),
            }
        }
        Ok(Self {
            system: Part::text(&system),
            turns,
        })
    }

    /// Positions of the turns that a call answered with.
    pub(crate) fn answers(&self) -> impl Iterator<Item = usize> {
        self.turns
            .iter()
            .enumerate()
            .filter(|(_, turn)| turn.role == "assistant")
            .map(|(index, _)| index)
    }

    /// The request body that the turn at `answer` is the answer of.
    pub(crate) fn request(&self, tools: &[Value], answer: usize) -> Value {
        json!({
            "model": MODEL,
            "max_tokens": 4096,
            "system": [self.system.block],
            "tools": tools,
            "messages": self.turns[..answer].iter().map(Turn::message).collect::<Vec<_>>(),
        })
    }

    /// Characters of that request, tools aside.
    pub(crate) fn prompt_chars(&self, answer: usize) -> u64 {
        self.system.chars + self.turns[..answer].iter().map(Turn::chars).sum::<u64>()
    }
}

impl Turn {
    /// Characters of the whole turn.
    pub(crate) fn chars(&self) -> u64 {
        self.parts.iter().map(|part| part.chars).sum()
    }

    fn message(&self) -> Value {
        let blocks: Vec<&Value> = self.parts.iter().map(|part| &part.block).collect();
        json!({"role": self.role, "content": blocks})
    }

    /// The turn as the model's answer, billed as recorded.
    fn said(&self) -> anyhow::Result<Answer> {
        let parts = self.parts.iter().map(Part::said).collect::<anyhow::Result<_>>()?;
        Ok(Answer {
            parts,
            output_tokens: Some(tokens_of(self.chars())),
            ..Answer::default()
        })
    }
}

impl Part {
    fn text(text: &str) -> Self {
        Self {
            block: json!({"type": "text", "text": text}),
            chars: chars(text),
        }
    }

    fn said(&self) -> anyhow::Result<Said> {
        let text = |field: &str| {
            self.block[field]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("a block has no {field}"))
        };
        Ok(match self.block["type"].as_str() {
            Some("text") => Said::Text(text("text")?),
            _ => Said::Tool {
                name: text("name")?,
                input: self.block["input"].clone(),
                id: Some(text("id")?),
            },
        })
    }
}

impl Message {
    fn into_parts(self, ids: &mut CallIds) -> anyhow::Result<Vec<Part>> {
        let text = self.content.unwrap_or_default();
        if self.role == Role::Tool {
            let id = ids
                .latest
                .get(self.tool_call_id.as_deref().unwrap_or_default())
                .context("a tool result answers no call")?;
            let block = json!({"type": "tool_result", "tool_use_id": id, "content": text});
            return Ok(vec![Part {
                block,
                chars: chars(&text),
            }]);
        }
        ensure!(self.role != Role::System, "a system message must come first");
        let text = (!text.is_empty()).then(|| Part::text(&text));
        let calls = self
            .tool_calls
            .iter()
            .map(|call| call.part(ids))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(text.into_iter().chain(calls).collect())
    }
}

impl ToolCall {
    fn part(&self, ids: &mut CallIds) -> anyhow::Result<Part> {
        let name = self.function["name"]
            .as_str()
            .context("a tool call has no function.name")?;
        let arguments = self.function["arguments"]
            .as_str()
            .context("a tool call has no function.arguments")?;
        let input: Value =
            serde_json::from_str(arguments).with_context(|| format!("arguments of {name} are not JSON"))?;
        let block = json!({"type": "tool_use", "id": ids.mint(&self.id), "name": name, "input": input});
        Ok(Part {
            block,
            chars: json_chars(&self.function),
        })
    }
}

impl CallIds {
    fn mint(&mut self, recorded: &str) -> String {
        self.minted += 1;
        let id = format!("toolu_{:04}", self.minted);
        self.latest.insert(recorded.to_owned(), id.clone());
        id
    }
}

/// `{"type": "function", "function": {name, description, parameters}}` → `{name, description, input_schema}`.
fn convert_tool(recorded: &Value) -> anyhow::Result<Value> {
    let function = recorded["function"]
        .as_object()
        .context("agent-tools.json: every entry needs a function")?;
    let field = |name: &str| {
        function
            .get(name)
            .with_context(|| format!("agent-tools.json: a function has no {name}"))
    };
    Ok(json!({"name": field("name")?, "description": field("description")?, "input_schema": field("parameters")?}))
}

fn chars(text: &str) -> u64 {
    text.chars().count() as u64
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests;
