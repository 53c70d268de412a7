//! What the Messages API refuses with a 400 or 404, by model and by version.

use std::collections::HashSet;

use serde_json::Value;

use super::Refusal;
use crate::fake::call::Caller;
use crate::fake::prices::{Model, Provider, find};

/// The API versions in use.
const VERSIONS: [&str; 2] = ["2023-06-01", NO_SAMPLING];

/// The version that no longer knows sampling fields.
const NO_SAMPLING: &str = "2026-10-21";

/// Checks everything that needs no token count.
pub(crate) fn check(caller: &Caller, request: &Value) -> Result<&'static Model, Refusal> {
    let model = check_head(caller, request)?;
    let Some(max) = request["max_tokens"].as_u64() else {
        return Err(Refusal::bad("max_tokens: Field required"));
    };
    if max > model.max_output {
        return Err(Refusal::bad(format!(
            "max_tokens: {max} > {}, which is the maximum allowed number of output tokens for {}",
            model.max_output, model.id
        )));
    }
    check_thinking(model, request, max)?;
    check_tool_choice(model, request)?;
    if max == 0 {
        check_prewarm(request)?;
    }
    if request["speed"] == "fast" && model.fast_mode_multiplier.is_none() {
        return Err(Refusal::bad(format!("speed: 'fast' is not supported by {}", model.id)));
    }
    Ok(model)
}

/// Checks version, model and messages: what token counts need too.
pub(crate) fn check_head(caller: &Caller, request: &Value) -> Result<&'static Model, Refusal> {
    let version = caller.header("anthropic-version");
    match version {
        None => return Err(Refusal::bad("anthropic-version: header is required")),
        Some(version) if !VERSIONS.contains(&version) => {
            return Err(Refusal::bad(format!(
                "anthropic-version: '{version}' is not a valid version"
            )));
        }
        _ => {}
    }
    if version == Some(NO_SAMPLING) {
        for field in ["temperature", "top_p", "top_k"] {
            if !request[field].is_null() {
                return Err(Refusal::bad(format!("{field}: Extra inputs are not permitted")));
            }
        }
    }
    let Some(name) = request["model"].as_str() else {
        return Err(Refusal::bad("model: Field required"));
    };
    let Some(model) = find(Provider::Anthropic, name) else {
        return Err(Refusal::new(404, format!("model: {name}")));
    };
    check_messages(model, request, version == Some(NO_SAMPLING))?;
    Ok(model)
}

/// Checks the prompt against the context window.
pub(crate) fn check_length(model: &Model, request: &Value, prompt: u64) -> Result<(), Refusal> {
    let window = model.context_window;
    if prompt > window {
        return Err(Refusal::bad(format!(
            "prompt is too long: {prompt} tokens > {window} maximum"
        )));
    }
    let max = request["max_tokens"].as_u64().unwrap_or(0);
    if prompt + max > window {
        return Err(Refusal::bad(format!(
            "input length and `max_tokens` exceed context limit: {prompt} + {max} > {window}, decrease input length or `max_tokens` and try again"
        )));
    }
    Ok(())
}

fn check_messages(model: &Model, request: &Value, newest: bool) -> Result<(), Refusal> {
    let Some(messages) = request["messages"].as_array() else {
        return Err(Refusal::bad("messages: Field required"));
    };
    let Some(last) = messages.last() else {
        return Err(Refusal::bad("messages: at least one message is required"));
    };
    let mut calls = HashSet::new();
    let mut open = HashSet::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        match role {
            "user" | "assistant" => {}
            "system" if reads_system_messages(model) => {}
            _ => {
                return Err(Refusal::bad(format!(
                    "messages: Unexpected role \"{role}\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role."
                )));
            }
        }
        if message["content"].is_null() {
            return Err(Refusal::bad(format!("messages.{at}.content: Field required")));
        }
        check_blocks(at, message, newest)?;
        check_results(at, message, &mut calls, &mut open)?;
    }
    if last["role"] == "assistant" && !takes_prefill(model) {
        return Err(Refusal::bad(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    Ok(())
}

fn check_blocks(at: usize, message: &Value, newest: bool) -> Result<(), Refusal> {
    for (block, value) in message["content"].as_array().into_iter().flatten().enumerate() {
        let place = format!("messages.{at}.content.{block}");
        let Some(kind) = value["type"].as_str() else {
            return Err(Refusal::bad(format!("{place}.type: Field required")));
        };
        if newest && kind == "document" && message["role"] == "assistant" {
            return Err(Refusal::bad(format!(
                "{place}: document blocks are not permitted in assistant messages"
            )));
        }
        let cites = value["citations"]
            .as_array()
            .is_some_and(|citations| !citations.is_empty());
        if newest && kind == "text" && cites && message["role"] == "user" {
            return Err(Refusal::bad(format!(
                "{place}.citations: Extra inputs are not permitted"
            )));
        }
    }
    Ok(())
}

/// Every tool call is answered in the next message, and no id comes twice.
fn check_results<'a>(
    at: usize,
    message: &'a Value,
    calls: &mut HashSet<&'a str>,
    open: &mut HashSet<&'a str>,
) -> Result<(), Refusal> {
    let blocks = message["content"].as_array().map_or(&[][..], Vec::as_slice);
    for (block, value) in blocks
        .iter()
        .enumerate()
        .filter(|(_, value)| value["type"] == "tool_result")
    {
        let id = value["tool_use_id"].as_str().unwrap_or_default();
        if !open.remove(id) {
            return Err(Refusal::bad(format!(
                "messages.{at}.content.{block}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        }
    }
    if let Some(id) = open.iter().min() {
        let before = at.saturating_sub(1);
        return Err(Refusal::bad(format!(
            "messages.{before}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
        )));
    }
    for (block, value) in blocks
        .iter()
        .enumerate()
        .filter(|(_, value)| value["type"] == "tool_use")
    {
        let id = value["id"].as_str().unwrap_or_default();
        if !calls.insert(id) {
            return Err(Refusal::bad(format!(
                "messages.{at}.content.{block}: `tool_use` ids must be unique"
            )));
        }
        open.insert(id);
    }
    Ok(())
}

fn check_thinking(model: &Model, request: &Value, max: u64) -> Result<(), Refusal> {
    let thinking = &request["thinking"];
    let Some(kind) = thinking["type"].as_str() else {
        return Ok(());
    };
    let legal = match kind {
        "disabled" => !always_thinks(model) && model.id != "claude-sonnet-5-5",
        "enabled" => model.id != "claude-sonnet-5-5",
        "adaptive" | "between_tools" => true,
        _ => false,
    };
    if !legal {
        return Err(Refusal::bad(format!(
            "thinking.type: '{kind}' is not supported for this model"
        )));
    }
    if kind == "enabled" {
        let budget = thinking["budget_tokens"].as_u64().unwrap_or(0);
        if budget < 1_024 {
            return Err(Refusal::bad(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            ));
        }
        if budget >= max && max > 0 {
            return Err(Refusal::bad(
                "`max_tokens` must be greater than `thinking.budget_tokens`.",
            ));
        }
    }
    Ok(())
}

fn check_tool_choice(model: &Model, request: &Value) -> Result<(), Refusal> {
    let kind = request["tool_choice"]["type"].as_str();
    let forced = matches!(kind, Some("any" | "tool"));
    if forced && refuses_forced_tools(model) {
        return Err(Refusal::bad(
            "tool_choice: 'any' and 'tool' are not supported for this model",
        ));
    }
    if forced && request["thinking"]["type"] == "enabled" {
        return Err(Refusal::bad(
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    if kind.is_some() && kind != Some("none") && request["tools"].as_array().is_none_or(Vec::is_empty) {
        return Err(Refusal::bad("tool_choice may only be specified while providing tools"));
    }
    Ok(())
}

/// `max_tokens: 0` only writes the cache.
fn check_prewarm(request: &Value) -> Result<(), Refusal> {
    let refused = [
        ("stream", request["stream"] == true),
        ("thinking.type", request["thinking"]["type"] == "enabled"),
        ("output_config.format", !request["output_config"]["format"].is_null()),
        (
            "tool_choice",
            matches!(request["tool_choice"]["type"].as_str(), Some("any" | "tool")),
        ),
    ];
    match refused.iter().find(|(_, refused)| *refused) {
        Some((field, _)) => Err(Refusal::bad(format!("max_tokens: 0 is not supported with {field}"))),
        None => Ok(()),
    }
}

/// Models whose thinking cannot be switched off.
fn always_thinks(model: &Model) -> bool {
    model.id == "claude-opus-5-5" || is_fable_or_mythos(model)
}

fn refuses_forced_tools(model: &Model) -> bool {
    model.id == "claude-opus-5-5" || (is_fable_or_mythos(model) && model.id.contains("-5-"))
}

fn is_fable_or_mythos(model: &Model) -> bool {
    model.id.starts_with("claude-fable-") || model.id.starts_with("claude-mythos-")
}

/// Prefill of the last assistant turn ended with 4.6.
fn takes_prefill(model: &Model) -> bool {
    model.id.contains("-4-5-")
}

/// System messages inside `messages`: Fable and Mythos from 5, Opus from 4.8, the 5.5 generation.
fn reads_system_messages(model: &Model) -> bool {
    is_fable_or_mythos(model)
        || model.id.contains("-5-5")
        || ["claude-opus-4-8", "claude-opus-5"].contains(&model.id.as_str())
}
