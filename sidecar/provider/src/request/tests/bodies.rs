//! Request bodies: generated ones, and what the official clients really sent.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::Endpoint;
use crate::json::tests::tree::{Tree, any_name, any_scalar, any_tree};

/// Bodies recorded from the official Python clients.
pub(crate) const RECORDED: [(Endpoint, &str); 7] = [
    (
        Endpoint::AnthropicMessages,
        include_str!("../../../testdata/messages.plain.json"),
    ),
    (
        Endpoint::AnthropicMessages,
        include_str!("../../../testdata/messages.agent.json"),
    ),
    (
        Endpoint::AnthropicMessages,
        include_str!("../../../testdata/messages.image_thinking.json"),
    ),
    (
        Endpoint::AnthropicCountTokens,
        include_str!("../../../testdata/count_tokens.plain.json"),
    ),
    (Endpoint::OpenAiChat, include_str!("../../../testdata/chat.tools.json")),
    (
        Endpoint::OpenAiResponses,
        include_str!("../../../testdata/responses.tools.json"),
    ),
    (
        Endpoint::OpenAiResponses,
        include_str!("../../../testdata/responses.plain.json"),
    ),
];

pub(crate) fn object<const N: usize>(members: [(&str, Tree); N]) -> Tree {
    Tree::Object(members.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

fn optional(members: Vec<(&str, Option<Tree>)>) -> Tree {
    let present = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Tree::Object(present.collect())
}

fn any_text() -> impl Strategy<Value = Tree> {
    "\\PC{0,30}".prop_map(|text| Tree::text(&text))
}

fn any_mark() -> impl Strategy<Value = Option<Tree>> {
    let marks = [r#"{"type":"ephemeral"}"#, r#"{"type":"ephemeral","ttl":"1h"}"#, "null"];
    option::weighted(0.3, proptest::sample::select(marks.map(Tree::parse).to_vec()))
}

fn any_text_block() -> impl Strategy<Value = Tree> {
    (any_text(), any_mark()).prop_map(|(text, mark)| {
        optional(vec![
            ("type", Some(Tree::text("text"))),
            ("text", Some(text)),
            ("cache_control", mark),
        ])
    })
}

fn any_block() -> impl Strategy<Value = Tree> {
    let image = Tree::parse(r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}"#);
    let thinking = Tree::parse(r#"{"type":"thinking","thinking":"hm","signature":"c2ln"}"#);
    let call = (any_tree(), any_mark()).prop_map(|(input, mark)| {
        let kind = Some(Tree::text("tool_use"));
        let members = vec![
            ("type", kind),
            ("id", Some(Tree::text("toolu_1"))),
            ("input", Some(input)),
        ];
        optional([members, vec![("cache_control", mark)]].concat())
    });
    let content = prop_oneof![any_text(), vec(any_text_block(), 0..3).prop_map(Tree::Array)];
    let result = (content, any_mark()).prop_map(|(content, mark)| {
        let kind = Some(Tree::text("tool_result"));
        optional(vec![
            ("type", kind),
            ("content", Some(content)),
            ("cache_control", mark),
        ])
    });
    prop_oneof![4 => any_text_block(), 1 => Just(image), 1 => Just(thinking), 1 => call, 1 => result]
}

fn any_message() -> impl Strategy<Value = Tree> {
    let role = proptest::sample::select(vec!["user", "assistant", "system"]).prop_map(Tree::text);
    let content = prop_oneof![any_text(), vec(any_block(), 0..4).prop_map(Tree::Array)];
    (role, content).prop_map(|(role, content)| object([("role", role), ("content", content)]))
}

fn any_tool() -> impl Strategy<Value = Tree> {
    (any_name(), any_tree(), any_mark()).prop_map(|(name, schema, mark)| {
        optional(vec![
            ("name", Some(Tree::text(&name))),
            ("input_schema", Some(object([("properties", schema)]))),
            ("cache_control", mark),
        ])
    })
}

/// Anthropic requests that have a key unless one of their members is unknown.
pub(crate) fn any_messages() -> impl Strategy<Value = Tree> {
    let system = prop_oneof![any_text(), vec(any_text_block(), 0..3).prop_map(Tree::Array)];
    let rest = (option::of(any_scalar()), any_mark(), option::weighted(0.1, any_tree()));
    let parts = (
        vec(any_message(), 0..5),
        option::of(system),
        option::of(vec(any_tool(), 0..3)),
        rest,
    );
    parts.prop_map(|(list, system, tools, (temperature, mark, unknown))| {
        optional(vec![
            ("model", Some(Tree::text("claude-sonnet-5-5"))),
            ("max_tokens", Some(Tree::Scalar("64".into()))),
            ("messages", Some(Tree::Array(list))),
            ("system", system),
            ("tools", tools.map(Tree::Array)),
            ("temperature", temperature),
            ("cache_control", mark),
            ("x_unknown", unknown),
        ])
    })
}

/// OpenAI chat requests with any mix of known and unknown members.
pub(crate) fn any_chat() -> impl Strategy<Value = Tree> {
    let options = option::of(prop_oneof![
        Just(Tree::parse(r#"{"include_usage":false}"#)),
        Just(Tree::parse(r#"{"include_usage":true}"#)),
        Just(Tree::parse("{}")),
        Just(Tree::parse("null")),
        Just(Tree::parse(r#"{"include_obfuscation":false}"#)),
    ]);
    let message = any_text().prop_map(|text| object([("role", Tree::text("user")), ("content", text)]));
    let parts = (
        vec(message, 0..4),
        any::<bool>(),
        options,
        option::of(any_text()),
        option::of(any_tree()),
    );
    parts.prop_map(|(list, streams, options, key, unknown)| {
        optional(vec![
            ("model", Some(Tree::text("gpt-6-sol"))),
            ("messages", Some(Tree::Array(list))),
            ("stream", Some(Tree::Scalar(streams.to_string()))),
            ("stream_options", options),
            ("prompt_cache_key", key),
            ("x_unknown", unknown),
        ])
    })
}
