//! `POST /v1/chat/completions`, plain and streamed.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Admitted, Refusal, admit, dress, error, finish, overload, parse, prompt_details, refused_plain, speak};
use crate::fake::answer::{Answer, Part};
use crate::fake::bill::Tokens;
use crate::fake::call::{Caller, Due, Reply};
use crate::fake::playback::Piece;
use crate::fake::prices::Model;
use crate::fake::sse::{bare, pieces};
use crate::fake::tokens::text_chars;

/// Choices a request may ask for.
const CHOICES: u64 = 128;

/// What every chunk and the plain answer say alike.
struct Said {
    id: String,
    created: u64,
    name: String,
    tier: &'static str,
    model: &'static Model,
    tokens: Tokens,
    call_ids: Vec<String>,
}

/// A completion.
pub(crate) async fn chat(caller: Caller, body: Bytes) -> Reply {
    match begin(&caller, &body).await {
        Ok(reply) => dress(reply, &caller),
        Err(refusal) => error(&caller, &refusal),
    }
}

async fn begin(caller: &Caller, body: &Bytes) -> Result<Reply, Refusal> {
    let request = parse(body)?;
    let choices = check(&request)?;
    let admitted = admit(caller, &request)?;
    let shared = &caller.shared;
    let said = Said {
        id: shared.id("chatcmpl-"),
        created: shared.clock.unix_seconds(),
        name: request["model"].as_str().unwrap_or_default().to_owned(),
        tier: admitted.tier,
        model: admitted.model,
        tokens: admitted.plan.tokens,
        call_ids: (0..8).map(|_| shared.id("call_")).collect(),
    };
    let charge = admitted.call.open(Due {
        id: said.id.clone(),
        path: caller.path,
        model: admitted.model.id.clone(),
        tariff: admitted.tariff.clone(),
        tokens: admitted.plan.tokens,
    });
    let streams = request["stream"] == true;
    admitted.call.think(streams).await;
    if admitted.call.fails_plain() && !streams {
        charge.waive();
        return Err(refused_plain());
    }
    if !admitted.call.breaks_head() {
        shared.openai.begin(&admitted.plan);
    }
    let answers = answers(caller, &admitted, &request, choices);
    if !streams {
        return Ok(admitted
            .call
            .reply_plain(said.completion(&answers), &answers, charge)
            .await);
    }
    let options = &request["stream_options"];
    let pads = options["include_obfuscation"] != false;
    let counts = options["include_usage"] == true;
    let chunks = said.chunks(&answers, shared.config.event_chars, (counts, pads));
    let failure = bare(&json!({"error": overload()}));
    Ok(admitted.call.reply_stream(chunks, &answers, failure, charge))
}

fn answers(caller: &Caller, admitted: &Admitted, request: &Value, choices: u64) -> Vec<Answer> {
    let max = request["max_completion_tokens"]
        .as_u64()
        .or_else(|| request["max_tokens"].as_u64());
    (0..choices).map(|_| speak(caller, admitted, request, max)).collect()
}

/// The number of choices of a legal request.
fn check(request: &Value) -> Result<u64, Refusal> {
    let messages = request["messages"].as_array();
    if messages.is_none_or(Vec::is_empty) {
        return Err(Refusal::bad(
            Some("messages"),
            "Invalid 'messages': expected a non-empty array.",
        ));
    }
    let known = ["system", "developer", "user", "assistant", "tool", "function"];
    let roles = messages
        .into_iter()
        .flatten()
        .map(|message| message["role"].as_str().unwrap_or_default());
    if let Some((at, role)) = roles.enumerate().find(|(_, role)| !known.contains(role)) {
        return Err(Refusal::bad(
            Some(&format!("messages[{at}].role")),
            format!("Invalid value: '{role}'."),
        ));
    }
    if request["model"] == "gpt-6-astra" && request["tools"].as_array().is_some_and(|tools| !tools.is_empty()) {
        return Err(Refusal::bad(
            Some("tools"),
            "Tools are not supported with this model in Chat Completions. Use the Responses API.",
        ));
    }
    if !request["stream_options"].is_null() && request["stream"] != true {
        return Err(Refusal::bad(
            Some("stream_options"),
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        ));
    }
    match request["n"].as_u64().unwrap_or(1) {
        choices @ 1..=CHOICES => Ok(choices),
        _ => Err(Refusal::bad(
            Some("n"),
            format!("Invalid 'n': integer must be between 1 and {CHOICES}."),
        )),
    }
}

impl Said {
    fn completion(&self, answers: &[Answer]) -> Bytes {
        let choices: Vec<Value> = answers
            .iter()
            .enumerate()
            .map(|(index, answer)| {
                json!({"index": index, "message": self.message(index, answer), "logprobs": null,
                    "finish_reason": finish(answer, answer.calls_tools())})
            })
            .collect();
        let body = json!({"id": self.id, "object": "chat.completion", "created": self.created, "model": self.name,
            "choices": choices, "usage": self.usage(answers), "service_tier": self.tier, "system_fingerprint": "fp_fake"});
        Bytes::from(body.to_string())
    }

    fn message(&self, choice: usize, answer: &Answer) -> Value {
        let texts = answer.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        });
        let text = texts.collect::<String>();
        let calls: Vec<Value> = answer
            .parts
            .iter()
            .enumerate()
            .filter_map(|(at, part)| match part {
                Part::Tool { name, input, id } => Some(json!({"id": self.call_id(choice, at, id.as_ref()),
                    "type": "function", "function": {"name": name, "arguments": input.to_string()}})),
                _ => None,
            })
            .collect();
        let content = if text.is_empty() && !calls.is_empty() {
            Value::Null
        } else {
            text.into()
        };
        let mut message = json!({"role": "assistant", "content": content, "refusal": null, "annotations": []});
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        message
    }

    fn usage(&self, answers: &[Answer]) -> Value {
        let (prompt, output) = (self.tokens.prompt(), answers.iter().map(Answer::output).sum::<u64>());
        let reasoning: u64 = answers.iter().map(Answer::thinking_tokens).sum();
        let mut details = prompt_details(self.model, &self.tokens);
        details["audio_tokens"] = 0.into();
        json!({"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
            "prompt_tokens_details": details,
            "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}})
    }

    /// The chunks of a stream, and its `[DONE]`; `options` = usage asked for, padding on.
    fn chunks(&self, answers: &[Answer], chars: usize, options: (bool, bool)) -> Vec<Piece> {
        let (counts, pads) = options;
        let mut chunks = Vec::new();
        let mut push = |index: usize, delta: &Value, finish: Option<&str>, carried: u64| {
            let choices = json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish}]);
            let mut chunk = self.chunk(&choices);
            if counts {
                chunk["usage"] = Value::Null;
            }
            if pads {
                chunk["obfuscation"] = padding(carried).into();
            }
            chunks.push(Piece {
                bytes: bare(&chunk),
                chars: carried,
            });
        };
        for (index, answer) in answers.iter().enumerate() {
            push(
                index,
                &json!({"role": "assistant", "content": "", "refusal": null}),
                None,
                0,
            );
            for (delta, carried) in self.deltas(index, answer, chars) {
                push(index, &delta, None, carried);
            }
            push(index, &json!({}), Some(finish(answer, answer.calls_tools())), 0);
        }
        if counts {
            let mut chunk = self.chunk(&json!([]));
            chunk["usage"] = self.usage(answers);
            chunks.push(Piece {
                bytes: bare(&chunk),
                chars: 0,
            });
        }
        chunks.push(Piece {
            bytes: Bytes::from_static(b"data: [DONE]\n\n"),
            chars: 0,
        });
        chunks
    }

    fn chunk(&self, choices: &Value) -> Value {
        json!({"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.name,
            "service_tier": self.tier, "system_fingerprint": "fp_fake", "choices": choices})
    }

    fn deltas(&self, choice: usize, answer: &Answer, chars: usize) -> Vec<(Value, u64)> {
        let mut deltas = Vec::new();
        let mut calls = 0;
        for (at, part) in answer.parts.iter().enumerate() {
            match part {
                Part::Text(text) => {
                    deltas.extend(pieces(text, chars).map(|piece| (json!({"content": piece}), text_chars(piece))));
                }
                Part::Tool { name, input, id } => {
                    let id = self.call_id(choice, at, id.as_ref());
                    let first = json!({"tool_calls": [{"index": calls, "id": id, "type": "function",
                        "function": {"name": name, "arguments": ""}}]});
                    deltas.push((first, text_chars(name)));
                    let written = input.to_string();
                    deltas.extend(pieces(&written, chars).map(|piece| {
                        let delta = json!({"tool_calls": [{"index": calls, "function": {"arguments": piece}}]});
                        (delta, text_chars(piece))
                    }));
                    calls += 1;
                }
                Part::Thinking(_) | Part::Raw(_) => {}
            }
        }
        deltas
    }

    fn call_id(&self, choice: usize, at: usize, given: Option<&String>) -> String {
        let own = || format!("{}{choice:x}{at:x}", self.call_ids[at % self.call_ids.len()]);
        given.cloned().unwrap_or_else(own)
    }
}

/// Padding that evens out the size of deltas.
fn padding(carried: u64) -> String {
    let letters = "aB3kZ9qLmX0pTr7w";
    let length = 16 - usize::try_from(carried).unwrap_or(0) % 16;
    letters[..length].to_owned()
}
