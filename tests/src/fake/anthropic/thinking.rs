//! Thinking bound to the conversation that made it: a signature over `system`, `tools` and all earlier messages.
//!
//! Another model's thinking is dropped in silence; a changed prefix, or another account's thinking, is a 400.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Refusal;

/// A signature for thinking made in answer to a request.
pub(crate) fn sign(request: &Value, key: &str, thought: &str) -> String {
    let messages = request["messages"].as_array().map_or(0, Vec::len);
    let model = request["model"].as_str().unwrap_or_default();
    format!(
        "{}.{}.{}",
        digest(&[model]),
        seal(request, messages, key),
        digest(&[thought])
    )
}

/// Checks each thinking block of a request, and takes out those of other models.
pub(crate) fn check(request: &mut Value, key: &str) -> Result<(), Refusal> {
    let own = digest(&[request["model"].as_str().unwrap_or_default()]);
    let count = request["messages"].as_array().map_or(0, Vec::len);
    let mut foreign = Vec::new();
    for message in 0..count {
        let blocks = request["messages"][message]["content"].as_array();
        for (at, block) in blocks
            .into_iter()
            .flatten()
            .enumerate()
            .filter(|(_, block)| block["type"] == "thinking")
        {
            let signature = block["signature"].as_str().unwrap_or_default();
            match signature.split('.').collect::<Vec<_>>()[..] {
                [model, _, _] if model != own => foreign.push((message, at)),
                [_, sealed, _] if sealed == seal(request, message, key) => {}
                _ => {
                    return Err(Refusal::bad(format!(
                        "messages.{message}.content.{at}: Invalid signature in thinking block. The block is bound to a different conversation"
                    )));
                }
            }
        }
    }
    for (message, at) in foreign.into_iter().rev() {
        if let Some(blocks) = request["messages"][message]["content"].as_array_mut() {
            blocks.remove(at);
        }
    }
    Ok(())
}

/// The conversation before a message, cache marks left out, under one account.
fn seal(request: &Value, before: usize, key: &str) -> String {
    let mut prefix = vec![request["system"].clone(), request["tools"].clone()];
    let messages = request["messages"].as_array().into_iter().flatten();
    prefix.extend(messages.take(before).cloned());
    prefix.iter_mut().for_each(strip);
    digest(&[key, &Value::from(prefix).to_string()])
}

fn strip(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(members) => {
            members.shift_remove("cache_control");
            members.values_mut().for_each(strip);
        }
        _ => {}
    }
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..12])
}
