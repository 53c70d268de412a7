mod answers;
mod bodies;
mod edits;
mod embeddings;
mod gates;
mod hostile;
mod keys;
mod prompts;

use bytes::Bytes;

use super::*;

pub(crate) fn read(endpoint: Endpoint, json: &str) -> Request {
    Request::parse(endpoint, Bytes::copy_from_slice(json.as_bytes())).unwrap()
}

pub(crate) fn messages(json: &str) -> Request {
    read(Endpoint::AnthropicMessages, json)
}

pub(crate) fn chat(json: &str) -> Request {
    read(Endpoint::OpenAiChat, json)
}

pub(crate) fn responses(json: &str) -> Request {
    read(Endpoint::OpenAiResponses, json)
}

pub(crate) fn embeddings(json: &str) -> Request {
    read(Endpoint::OpenAiEmbeddings, json)
}

pub(crate) fn key(request: &Request) -> String {
    let mut key = Vec::new();
    request.write_key(&mut |bytes| key.extend_from_slice(bytes));
    String::from_utf8(key).unwrap()
}

pub(crate) fn exact_prompt(request: &Request) -> Vec<u8> {
    let mut prompt = Vec::new();
    request.write_exact_prompt(&mut |bytes| prompt.extend_from_slice(bytes));
    prompt
}
