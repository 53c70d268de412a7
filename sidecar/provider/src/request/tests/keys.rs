//! What changes a key and what does not.

use proptest::prelude::*;

use super::bodies::{RECORDED, any_chat, any_messages};
use super::*;
use crate::json::tests::tree::{Tree, any_tree};

/// Every field in a key and none of its gates, with a value that no generated body has there.
const IN_KEY: [(Endpoint, &[&str]); 3] = [
    (
        Endpoint::AnthropicMessages,
        &[
            "system",
            "max_tokens",
            "tool_choice",
            "stop_sequences",
            "thinking",
            "output_config",
            "output_format",
            "temperature",
            "top_p",
            "top_k",
            "context_management",
            "fallbacks",
            "inference_geo",
            "speed",
            "tools",
            "messages",
            "mcp_servers",
            "container",
            "compaction",
            "thread",
            "fallback_credit_token",
        ],
    ),
    (
        Endpoint::OpenAiChat,
        &[
            "messages",
            "tools",
            "tool_choice",
            "functions",
            "function_call",
            "parallel_tool_calls",
            "response_format",
            "max_tokens",
            "max_completion_tokens",
            "stop",
            "n",
            "seed",
            "temperature",
            "top_p",
            "frequency_penalty",
            "presence_penalty",
            "logit_bias",
            "logprobs",
            "top_logprobs",
            "reasoning_effort",
            "verbosity",
            "modalities",
            "audio",
            "prediction",
            "web_search_options",
            "moderation",
            "a_field_of_tomorrow",
        ],
    ),
    (
        Endpoint::OpenAiResponses,
        &[
            "input",
            "instructions",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "max_output_tokens",
            "max_tool_calls",
            "reasoning",
            "text",
            "include",
            "truncation",
            "temperature",
            "top_p",
            "top_logprobs",
            "context_management",
            "access_programs",
            "image",
            "moderation",
            "prompt",
            "previous_response_id",
            "conversation",
            "background",
        ],
    ),
];

const OUT_OF_KEY: [(Endpoint, &[&str]); 3] = [
    (
        Endpoint::AnthropicMessages,
        &[
            "metadata",
            "service_tier",
            "diagnostics",
            "billing_policy",
            "user_profile_id",
            "cache_control",
        ],
    ),
    (
        Endpoint::OpenAiChat,
        &[
            "user",
            "safety_identifier",
            "metadata",
            "store",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "service_tier",
            "stream_options",
        ],
    ),
    (
        Endpoint::OpenAiResponses,
        &[
            "user",
            "safety_identifier",
            "metadata",
            "store",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "service_tier",
            "stream_options",
            "background_options",
        ],
    ),
];

fn base(endpoint: Endpoint) -> Tree {
    let input = if endpoint == Endpoint::OpenAiResponses {
        "input"
    } else {
        "messages"
    };
    Tree::parse(&format!(r#"{{"model":"m","{input}":[]}}"#))
}

/// A value of the type the field is checked for.
fn value(field: &str) -> Tree {
    Tree::parse(match field {
        "messages" | "input" | "tools" | "functions" => r#"[{"role":"user","name":"x","content":"new"}]"#,
        "max_tokens" | "temperature" => "17",
        "system" | "instructions" => r#""new""#,
        _ => r#"{"any":"thing"}"#,
    })
}

/// Every block mark, mention by mention, taken out of the blocks of an Anthropic body.
fn unmarked(tree: &Tree, is_block: bool) -> Tree {
    match tree {
        Tree::Array(elements) => Tree::Array(elements.iter().map(|element| unmarked(element, is_block)).collect()),
        Tree::Object(members) => {
            let kept = members
                .iter()
                .filter(|(name, _)| !(is_block && name == "cache_control"));
            let below = |name: &str| matches!(name, "messages" | "system" | "tools" | "content");
            let descend = |(name, value): &(String, Tree)| {
                let value = if below(name) {
                    unmarked(value, true)
                } else {
                    value.clone()
                };
                (name.clone(), value)
            };
            Tree::Object(kept.map(descend).collect())
        }
        Tree::Scalar(_) => tree.clone(),
    }
}

proptest! {
    #[test]
    fn order_and_white_space_do_not_change_a_key(body in any_messages(), seed: u64, other: u64) {
        prop_assert_eq!(key(&messages(&body.spelled(seed))), key(&messages(&body.spelled(other))));
    }

    #[test]
    fn order_and_white_space_do_not_change_a_chat_key(body in any_chat(), seed: u64, other: u64) {
        prop_assert_eq!(key(&chat(&body.spelled(seed))), key(&chat(&body.spelled(other))));
    }

    #[test]
    fn marks_on_blocks_do_not_change_a_key(body in any_messages(), seed: u64) {
        let mut plain = unmarked(&body, true);
        plain.set("model", Tree::text("another"));
        prop_assert_eq!(key(&messages(&body.spelled(seed))), key(&messages(&plain.plain())));
    }

    #[test]
    fn equal_keys_mean_equal_requests(one in any_messages(), other in any_messages()) {
        let (mut left, mut right) = (unmarked(&one, true), unmarked(&other, true));
        let is_same = key(&messages(&one.plain())) == key(&messages(&other.plain()));
        prop_assert_eq!(is_same, left == right);
        // One change anywhere in what a key holds is another key.
        left.set("max_tokens", Tree::Scalar("65".into()));
        right.set("max_tokens", Tree::Scalar("65.0".into()));
        prop_assert_ne!(key(&messages(&left.plain())), key(&messages(&one.plain())));
        prop_assert_ne!(key(&messages(&left.plain())), key(&messages(&right.plain())));
    }

    #[test]
    fn a_tools_input_is_data_whatever_its_names(input in any_tree(), extra in any_tree()) {
        let body = |input: &Tree| {
            let block = format!(r#"{{"type":"tool_use","id":"t","name":"n","input":{{"cache_control":{},"content":[{}]}}}}"#, input.plain(), input.plain());
            let tool = format!(r#"{{"name":"n","input_schema":{{"cache_control":{}}}}}"#, input.plain());
            format!(r#"{{"model":"m","tools":[{tool}],"messages":[{{"role":"assistant","content":[{block}]}}]}}"#)
        };
        let is_same = key(&messages(&body(&input))) == key(&messages(&body(&extra)));
        prop_assert_eq!(is_same, input == extra);
    }
}

#[test]
fn each_field_in_the_key_changes_it() {
    for (endpoint, fields) in IN_KEY {
        let mut keys = vec![key(&read(endpoint, &base(endpoint).plain()))];
        for field in fields {
            let mut body = base(endpoint);
            body.set(field, value(field));
            keys.push(key(&read(endpoint, &body.plain())));
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "{endpoint:?}");
        let is_prefix = |pair: &[String]| pair[1].starts_with(&pair[0]);
        assert!(!keys.windows(2).any(is_prefix), "a key is the beginning of another");
    }
}

#[test]
fn fields_out_of_the_key_do_not_change_it() {
    for (endpoint, fields) in OUT_OF_KEY {
        let plain = key(&read(endpoint, &base(endpoint).plain()));
        for field in fields {
            let mut body = base(endpoint);
            body.set(field, value(field));
            body.set("stream", Tree::Scalar("true".into()));
            body.set("model", Tree::text("another"));
            assert_eq!(key(&read(endpoint, &body.plain())), plain, "{field}");
        }
    }
}

#[test]
fn numbers_are_told_apart_as_written() {
    let keys = ["1", "1.0", "1e0", "1e400", "100000000000000000000000", "null"].map(|number| {
        key(&messages(&format!(
            r#"{{"model":"m","messages":[],"temperature":{number}}}"#
        )))
    });
    let mut distinct = keys.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn marks_of_openai_parts_and_eager_tools_are_out() {
    let pairs = [
        (
            Endpoint::OpenAiChat,
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"MARK}]}]}"#,
        ),
        (
            Endpoint::OpenAiResponses,
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a"MARK}]}]}"#,
        ),
    ];
    for (endpoint, body) in pairs {
        let marked = body.replace("MARK", r#","prompt_cache_breakpoint":{"mode":"explicit"}"#);
        assert_eq!(
            key(&read(endpoint, &marked)),
            key(&read(endpoint, &body.replace("MARK", "")))
        );
    }
    let tool = |extra| format!(r#"{{"model":"m","messages":[],"tools":[{{"name":"t"{extra}}}]}}"#);
    assert_eq!(
        key(&messages(&tool(r#","eager_input_streaming":true"#))),
        key(&messages(&tool("")))
    );
    assert_ne!(key(&messages(&tool(r#","strict":true"#))), key(&messages(&tool(""))));
}

#[test]
fn recorded_bodies_have_stable_keys() {
    for (endpoint, json) in RECORDED {
        let request = read(endpoint, json);
        let shuffled = Tree::parse(json).spelled(7);
        assert_eq!(key(&request), key(&read(endpoint, &shuffled)));
    }
    let agent = key(&messages(RECORDED[1].1));
    assert!(!agent.contains("ephemeral"), "{agent}");
    assert!(
        agent.contains(r#""input":{"cache_control":{"type":"mine"},"city":"Málaga"}"#),
        "{agent}"
    );
}
