//! The golden answers under `testdata/answers`, for the tests of this crate.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::raw::{self, Members};
use super::{Answer, NotAnswer, StreamReader};
use crate::Endpoint;

pub(crate) const ENDPOINTS: [Endpoint; 3] = [
    Endpoint::AnthropicMessages,
    Endpoint::OpenAiChat,
    Endpoint::OpenAiResponses,
];

/// A fixture's bytes; `name` ends in `.sse` or `.json`.
pub(crate) fn load(endpoint: Endpoint, name: &str) -> Bytes {
    let path = folder(endpoint).join(name);
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .into()
}

/// All fixture names of an endpoint with this extension, sorted.
pub(crate) fn names(endpoint: Endpoint, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(folder(endpoint)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(extension)).collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

/// The cases that have both a stream and the plain answer it must assemble to.
pub(crate) fn pairs() -> Vec<(Endpoint, String)> {
    let mut pairs = Vec::new();
    for endpoint in ENDPOINTS {
        let plain = names(endpoint, ".json");
        for name in names(endpoint, ".sse") {
            let case = name.trim_end_matches(".sse");
            if plain.contains(&format!("{case}.json")) {
                pairs.push((endpoint, case.to_owned()));
            }
        }
    }
    assert!(pairs.len() > 30);
    pairs
}

/// Reads a whole stream in one piece.
pub(crate) fn read_stream(endpoint: Endpoint, stream: &[u8]) -> Result<Answer, NotAnswer> {
    let mut reader = StreamReader::new(endpoint, usize::MAX);
    reader.feed(stream);
    reader.finish()
}

/// JSON with members sorted, strings decoded and numbers as written, to compare by meaning.
pub(crate) fn canonical(json: &[u8]) -> String {
    canonical_value(serde_json::from_slice(json).unwrap())
}

fn canonical_value(value: &RawValue) -> String {
    if let Some(members) = Members::read(value) {
        let members = members.0.into_iter();
        let mut members: Vec<String> = members
            .map(|(name, value)| format!("{name:?}:{}", canonical_value(value)))
            .collect();
        members.sort();
        return format!("{{{}}}", members.join(","));
    }
    if let Some(items) = raw::items(value) {
        let items: Vec<String> = items.into_iter().map(canonical_value).collect();
        return format!("[{}]", items.join(","));
    }
    raw::text(value).map_or_else(|| value.get().to_owned(), |text| format!("{text:?}"))
}

fn folder(endpoint: Endpoint) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/answers");
    root.join(match endpoint {
        Endpoint::AnthropicMessages | Endpoint::AnthropicCountTokens => "messages",
        Endpoint::OpenAiChat => "chat_completions",
        Endpoint::OpenAiResponses => "responses",
        Endpoint::OpenAiEmbeddings => "embeddings",
    })
}
