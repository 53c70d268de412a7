//! Embeddings: a unit vector made from each text, equal for equal text; the price list has no price for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Refusal, dress, error, parse};
use crate::fake::answer::Answer;
use crate::fake::bill::{Tariff, Tokens};
use crate::fake::call::{Caller, Due, Reply};
use crate::fake::script::{Skew, Trouble};
use crate::fake::tokens::{text_chars, tokens_of};

/// Inputs of one request.
const INPUTS: usize = 2_048;

/// `POST /v1/embeddings`.
pub(crate) async fn embeddings(caller: Caller, body: Bytes) -> Reply {
    match embed(&caller, &body).await {
        Ok(reply) => dress(reply, &caller),
        Err(refusal) => error(&caller, &refusal),
    }
}

async fn embed(caller: &Caller, body: &Bytes) -> Result<Reply, Refusal> {
    let request = parse(body)?;
    let name = request["model"].as_str().unwrap_or_default();
    let size = size(&request)?;
    let items = items(&request["input"])?;
    let tokens = items.iter().map(|item| tokens_in(item)).sum();
    let call = caller.meet(name);
    if let Some((status, code, retry_after)) = call.refused() {
        return Err(Refusal::scripted(status, code, retry_after));
    }
    caller.shared.accept(caller.path);
    let skew = match call.trouble {
        Some(Trouble::Vectors(skew)) => Some(skew),
        _ => None,
    };
    let model = if skew == Some(Skew::OtherModel) {
        "text-embedding-next"
    } else {
        name
    };
    let vectors = items.iter().map(|item| vector(model, item, size)).collect();
    let data = listed(skewed(vectors, skew), request["encoding_format"] == "base64");
    let charge = call.open(Due {
        id: caller.shared.id("embd-"),
        path: caller.path,
        model: name.to_owned(),
        tariff: Tariff {
            model: None,
            factors: Vec::new(),
            date: String::new(),
        },
        tokens: Tokens {
            input: tokens,
            ..Tokens::default()
        },
    });
    call.think(false).await;
    let mut body = json!({"object": "list", "data": data, "model": model});
    if skew != Some(Skew::NoUsage) {
        body["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    }
    Ok(call
        .reply_plain(Bytes::from(body.to_string()), &[Answer::default()], charge)
        .await)
}

/// Numbers of each vector.
fn size(request: &Value) -> Result<u64, Refusal> {
    let name = request["model"].as_str().unwrap_or_default();
    let size = match name {
        "text-embedding-3-small" | "text-embedding-ada-002" => 1_536,
        "text-embedding-3-large" => 3_072,
        _ => return Err(Refusal::no_model(name)),
    };
    match request["dimensions"].as_u64() {
        Some(wanted) if (1..=size).contains(&wanted) => Ok(wanted),
        Some(_) => Err(Refusal::bad(
            Some("dimensions"),
            format!("dimensions must be between 1 and {size}"),
        )),
        None => Ok(size),
    }
}

fn listed(vectors: Vec<(usize, Vec<f32>)>, is_base64: bool) -> Vec<Value> {
    let element = |(index, vector): (usize, Vec<f32>)| {
        let embedding = if is_base64 {
            Value::from(packed(&vector))
        } else {
            Value::from(vector)
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    vectors.into_iter().map(element).collect()
}

/// A string, strings, token numbers, or lists of token numbers.
fn items(input: &Value) -> Result<Vec<&Value>, Refusal> {
    let items = match input {
        Value::String(_) => vec![input],
        Value::Array(list) if list.first().is_some_and(Value::is_number) => vec![input],
        Value::Array(list) if !list.is_empty() && list.len() <= INPUTS => list.iter().collect(),
        _ => {
            return Err(Refusal::bad(
                Some("input"),
                "'input' must be a string or a list of 1 to 2048 items",
            ));
        }
    };
    let is_empty = |item: &&Value| item.as_str() == Some("") || item.as_array().is_some_and(Vec::is_empty);
    if items.iter().any(is_empty) {
        return Err(Refusal::bad(Some("input"), "input cannot be an empty string."));
    }
    Ok(items)
}

/// Vectors with their indexes, gone wrong as scripted.
fn skewed(vectors: Vec<Vec<f32>>, skew: Option<Skew>) -> Vec<(usize, Vec<f32>)> {
    let mut all: Vec<_> = vectors.into_iter().enumerate().collect();
    let last = all.len() - 1;
    match skew {
        None | Some(Skew::OtherModel | Skew::NoUsage) => {}
        Some(Skew::Reversed) => all.reverse(),
        Some(Skew::Missing) => all.truncate(last),
        Some(Skew::Doubled) => all[0] = all[last].clone(),
        Some(Skew::Extra) => all.push((last + 1, all[last].1.clone())),
        Some(Skew::Beyond) => all[last].0 += 1,
        Some(Skew::Short) => drop(all[last].1.pop()),
        Some(Skew::Half) => all.iter_mut().for_each(|(_, vector)| vector.truncate(vector.len() / 2)),
    }
    all
}

fn tokens_in(item: &Value) -> u64 {
    match item {
        Value::String(text) => tokens_of(text_chars(text)),
        _ => item.as_array().map_or(0, |numbers| numbers.len() as u64),
    }
}

fn vector(model: &str, item: &Value, size: u64) -> Vec<f32> {
    let seed = Sha256::digest(format!("{model} {item}"));
    let mut state = seed
        .iter()
        .take(8)
        .fold(1_u64, |state, byte| state << 8 | u64::from(*byte))
        | 1;
    let mut vector: Vec<f32> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // 16 bits are exact in an f32.
            f32::from(u16::try_from(state >> 48).unwrap_or_default()) - 32_768.0
        })
        .collect();
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    for value in &mut vector {
        *value /= length;
    }
    vector
}

fn packed(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
