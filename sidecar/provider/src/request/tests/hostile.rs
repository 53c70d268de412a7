//! Bodies whose known names hold anything at all: every question has an answer and every splice leaves JSON.

use proptest::prelude::*;

use super::*;
use crate::json::tests::tree::{Tree, any_scalar};
use crate::models;
use crate::prompt::{Site, Ttl};
use crate::splice::{Splice, apply};

const NAMES: [&str; 36] = [
    "messages",
    "input",
    "system",
    "instructions",
    "tools",
    "functions",
    "content",
    "source",
    "output",
    "type",
    "role",
    "text",
    "cache_control",
    "ttl",
    "metadata",
    "user_id",
    "thinking",
    "reasoning",
    "effort",
    "tool_choice",
    "mode",
    "allowed_tools",
    "image_url",
    "url",
    "file",
    "file_id",
    "audio",
    "prompt",
    "prompt_cache_options",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "mcp_servers",
    "store",
    "data",
];
const WORDS: [&str; 20] = [
    "user",
    "assistant",
    "system",
    "tool",
    "text",
    "input_text",
    "tool_result",
    "tool_use",
    "thinking",
    "document",
    "image",
    "content",
    "base64",
    "url",
    "message",
    "function_call_output",
    "custom",
    "function",
    "namespace",
    "none",
];

fn any_shape() -> impl Strategy<Value = Tree> {
    let word = proptest::sample::select(WORDS.to_vec()).prop_map(Tree::text);
    prop_oneof![word, any_scalar()].prop_recursive(7, 80, 8, |inner| {
        let name = proptest::sample::select(NAMES.map(String::from).to_vec());
        let members = proptest::collection::vec((name, inner.clone()), 0..6);
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(Tree::Array),
            members.prop_map(Tree::Object)
        ]
    })
}

/// A body whose top level passes the type checks more often than chance would have it.
fn any_body() -> impl Strategy<Value = Tree> {
    let list = || proptest::collection::vec(any_shape(), 0..4).prop_map(Tree::Array);
    let name = proptest::sample::select(NAMES.map(String::from).to_vec());
    let rest = proptest::collection::btree_map(name, any_shape(), 0..6);
    (list(), list(), rest).prop_map(|(messages, tools, rest)| {
        let mut body = Tree::Object(rest.into_iter().collect());
        body.set("model", Tree::text("claude-sonnet-5-5"));
        body.set("messages", messages);
        body.set("tools", tools);
        for checked in ["system", "instructions", "input", "stream", "max_tokens"] {
            if let Tree::Object(members) = &mut body {
                members.retain(|(name, value)| name != checked || matches!(value, Tree::Array(_)));
            }
        }
        body
    })
}

/// Every change the request offers.
fn splices(request: &Request) -> Vec<Splice> {
    let sites: Vec<Site> = request.prompt().blocks.iter().map(|block| block.site).collect();
    let marks = sites.into_iter().map(|site| request.set_mark(site, Ttl::OneHour));
    let rest = [
        request.set_top_level_mark(Ttl::FiveMinutes),
        request.include_usage(),
        request.set_prompt_cache_key("k"),
    ];
    marks
        .chain(rest.into_iter().flatten())
        .chain([request.set_model("m")])
        .collect()
}

proptest! {
    #[test]
    fn any_shape_is_answered_and_stays_json(body in any_body(), seed: u64) {
        let json = body.spelled(seed);
        for endpoint in Endpoint::ALL {
            let Ok(request) = Request::parse(endpoint, json.clone().into()) else {
                continue;
            };
            for dialect in [Dialect::OpenAi, Dialect::Compatible] {
                request.no_key(dialect, true);
            }
            for facts in models::all() {
                request.may_think(Some(facts));
            }
            let _ = (request.end_users(), request.first_user_text(), request.last_user_text(), request.needs());
            let _ = (request.has_tools(), request.has_server_tools(), request.history_has_thinking());
            let _ = (request.ends_with_tool_result(), request.is_stateful(), request.is_claude_code());
            let _ = (request.temperature(), request.seed(), request.wants_usage(), request.echo());
            prop_assert!(key(&request).ends_with('\0'));
            prop_assert!(exact_prompt(&request).ends_with(b"\0"));
            request.write_conversation(&mut |_| {});
            let offered = splices(&request);
            for splice in &offered {
                let edited = apply(request.bytes(), &mut [splice.clone()]);
                prop_assert!(Request::parse(endpoint, edited).is_ok(), "{splice:?} in {json}");
            }
            let all = apply(request.bytes(), &mut offered.clone());
            prop_assert!(Request::parse(endpoint, all).is_ok(), "{offered:?} in {json}");
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes: Vec<u8>) {
        for endpoint in Endpoint::ALL {
            prop_assert!(Request::parse(endpoint, bytes.clone().into()).is_err());
        }
    }
}
