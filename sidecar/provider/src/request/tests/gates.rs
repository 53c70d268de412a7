//! What has no key, and what is not understood at all.

use super::bodies::RECORDED;
use super::*;

fn reason(request: &Request) -> &'static str {
    request.no_key(Dialect::OpenAi, false).map_or("none", NoKey::word)
}

fn opaque(endpoint: Endpoint, json: &[u8]) -> Opaque {
    Request::parse(endpoint, Bytes::copy_from_slice(json)).unwrap_err()
}

#[test]
fn recorded_bodies_have_keys_as_their_endpoints_allow() {
    let reasons = RECORDED.map(|(endpoint, json)| reason(&read(endpoint, json)));
    assert_eq!(
        reasons,
        [
            "none",
            "none",
            "none",
            "count_tokens",
            "none",
            "none",
            "stored_response"
        ]
    );
    let stored = responses(RECORDED[6].1);
    assert_eq!(stored.no_key(Dialect::OpenAi, true), None);
}

#[test]
fn each_anthropic_gate_is_named() {
    let cases = [
        (r#""metadata":{"a":1,"a":2}"#, "duplicate_member"),
        (r#""stop_sequences":["\ud800"]"#, "lone_surrogate"),
        (r#""a_field_of_tomorrow":null"#, "unknown_field"),
        (r#""max_tokens":0"#, "prewarm"),
        (r#""thread":{"type":"create"}"#, "stateful"),
        (r#""container":"c_1""#, "stateful"),
        (r#""container":null"#, "none"),
        (r#""fallback_credit_token":"t""#, "fallback_token"),
        (r#""compaction":{"type":"auto"}"#, "compaction"),
        (r#""mcp_servers":[{"url":"u"}]"#, "hosted_tool"),
        (r#""tools":[{"type":"web_search_20260318","name":"s"}]"#, "hosted_tool"),
        (r#""tools":[{"type":"a_tool_of_tomorrow"}]"#, "hosted_tool"),
        (
            r#""tools":[{"type":"bash_20250124","name":"bash"},{"type":"custom"}]"#,
            "none",
        ),
        (r#""system":[{"type":"hologram"}]"#, "unknown_block"),
    ];
    for (member, word) in cases {
        assert_eq!(
            reason(&messages(&format!(r#"{{"model":"m","messages":[],{member}}}"#))),
            word,
            "{member}"
        );
    }
    let narrated = messages(r#"{"model":"m","messages":[{"role":"narrator","content":""}]}"#);
    assert_eq!(reason(&narrated), "unknown_block");
}

#[test]
fn anthropic_content_is_judged_at_any_depth() {
    let nested = [
        r#"{"type":"tool_result","content":[BLOCK]}"#,
        r#"{"type":"document","source":{"type":"content","content":[BLOCK]}}"#,
        "BLOCK",
    ];
    let cases = [
        (r#"{"type":"text","text":"fine"}"#, "none"),
        (r#"{"type":"document","source":{"type":"text","data":"t"}}"#, "none"),
        (r#"{"type":"hologram"}"#, "unknown_block"),
        ("17", "unknown_block"),
        (r#"{"type":"web_search_tool_result"}"#, "hosted_tool"),
        (r#"{"type":"compaction"}"#, "compaction"),
        (
            r#"{"type":"image","source":{"type":"url","url":"https://x/y.png"}}"#,
            "url_content",
        ),
        (
            r#"{"type":"document","source":{"type":"file","file_id":"f"}}"#,
            "file_content",
        ),
    ];
    for (block, word) in cases {
        for place in nested {
            let content = place.replace("BLOCK", block);
            let json = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{content}]}}]}}"#);
            assert_eq!(reason(&messages(&json)), word, "{json}");
        }
    }
}

#[test]
fn each_chat_gate_is_named() {
    let part = |part: &str| format!(r#""messages":[{{"role":"user","content":[{part}]}}]"#);
    let cases = [
        (
            r#""messages":[],"tools":[{"type":"function"},{"type":"custom"}]"#.to_owned(),
            "none",
        ),
        (
            r#""messages":[],"tools":[{"type":"web_search"}]"#.to_owned(),
            "hosted_tool",
        ),
        (r#""messages":[],"web_search_options":{}"#.to_owned(), "hosted_tool"),
        (r#""messages":[],"audio":{"voice":"alloy"}"#.to_owned(), "stateful"),
        (
            r#""messages":[{"role":"assistant","audio":{"id":"a"}}]"#.to_owned(),
            "stateful",
        ),
        (r#""messages":[{"role":"narrator"}]"#.to_owned(), "unknown_block"),
        (
            part(r#"{"type":"image_url","image_url":{"url":"https://x/y.png"}}"#),
            "url_content",
        ),
        (
            part(r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}"#),
            "none",
        ),
        (part(r#"{"type":"file","file":{"file_id":"f"}}"#), "file_content"),
        (part(r#"{"type":"file","file":{"file_data":"aGk="}}"#), "none"),
        (part(r#"{"type":"hologram"}"#), "unknown_block"),
    ];
    for (members, word) in cases {
        assert_eq!(
            reason(&chat(&format!(r#"{{"model":"m",{members}}}"#))),
            word,
            "{members}"
        );
    }
    assert_eq!(
        reason(&chat(r#"{"model":"gpt-4o-search-preview","messages":[]}"#)),
        "hosted_tool"
    );
}

#[test]
fn each_responses_gate_is_named() {
    let cases = [
        (r#""input":"hi""#, "none"),
        (r#""input":"hi","previous_response_id":"r""#, "stateful"),
        (r#""input":"hi","conversation":{"id":"c"}"#, "stateful"),
        (r#""input":"hi","background":true"#, "stateful"),
        (r#""prompt":{"id":"p"}"#, "stateful"),
        (r#""prompt":{"id":"p","version":"2"}"#, "none"),
        (r#""input":[{"id":"i"}]"#, "stateful"),
        (r#""input":[{"type":"item_reference","id":"i"}]"#, "stateful"),
        (r#""input":"hi","prompt_cache_options":{"prewarm":true}"#, "prewarm"),
        (
            r#""input":"hi","context_management":[{"type":"compaction"}]"#,
            "compaction",
        ),
        (
            r#""input":[{"type":"compaction","encrypted_content":"x"}]"#,
            "compaction",
        ),
        (r#""input":[{"type":"web_search_call","id":"w"}]"#, "hosted_tool"),
        (r#""input":[{"type":"hologram"}]"#, "unknown_block"),
        (
            r#""input":[{"role":"user","content":[{"type":"input_image","image_url":"https://x"}]}]"#,
            "url_content",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_image","file_id":"f"}]}]"#,
            "file_content",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_file","file_url":"https://x"}]}]"#,
            "url_content",
        ),
        (
            r#""input":[{"type":"function_call_output","output":[{"type":"hologram"}]}]"#,
            "unknown_block",
        ),
        (
            r#""input":"hi","tools":[{"type":"namespace","tools":[{"type":"function"}]}]"#,
            "none",
        ),
        (
            r#""input":"hi","tools":[{"type":"namespace","tools":[{"type":"mcp"}]}]"#,
            "hosted_tool",
        ),
    ];
    for (members, word) in cases {
        assert_eq!(
            reason(&responses(&format!(r#"{{"model":"m","store":false,{members}}}"#))),
            word,
            "{members}"
        );
    }
}

#[test]
fn a_compatible_servers_own_fields_are_in_the_key() {
    let body = |value| chat(&format!(r#"{{"model":"m","messages":[],"guided_json":{value},"a":0}}"#));
    assert_eq!(reason(&body(1)), "unknown_field");
    assert_eq!(body(1).no_key(Dialect::Compatible, false), None);
    assert_ne!(key(&body(1)), key(&body(2)));
    let anthropic = messages(r#"{"model":"m","messages":[],"a":0}"#);
    assert_eq!(anthropic.no_key(Dialect::Compatible, false), Some(NoKey::UnknownField));
}

#[test]
fn what_is_not_understood_is_named() {
    let endpoint = Endpoint::AnthropicMessages;
    let cases: [(&[u8], Opaque); 12] = [
        (b"", Opaque::NotJson),
        (b"{\"model\":\"m\",", Opaque::NotJson),
        (b"{\"model\":\"m\xff\"}", Opaque::NotJson),
        (b"[1]", Opaque::NotObject),
        (b"{}", Opaque::NoModel),
        (b"{\"model\":null,\"messages\":[]}", Opaque::NoModel),
        (b"{\"model\":7,\"messages\":[]}", Opaque::WrongType("model")),
        (b"{\"model\":\"m\"}", Opaque::WrongType("messages")),
        (b"{\"model\":\"m\",\"messages\":{}}", Opaque::WrongType("messages")),
        (
            b"{\"model\":\"m\",\"messages\":[],\"stream\":\"yes\"}",
            Opaque::WrongType("stream"),
        ),
        (
            b"{\"model\":\"m\",\"model\":\"n\",\"messages\":[]}",
            Opaque::Duplicate("model"),
        ),
        (
            b"{\"model\":\"m\",\"messages\":[],\"stre\\u0061m\":true,\"stream\":false}",
            Opaque::Duplicate("stream"),
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(opaque(endpoint, json), expected, "{}", String::from_utf8_lossy(json));
    }
    let deep = format!(r#"{{"model":"m","messages":{}{}}}"#, "[".repeat(300), "]".repeat(300));
    assert_eq!(opaque(endpoint, deep.as_bytes()).word(), "too_deep");
}

#[test]
fn the_lists_of_words_are_whole() {
    let opaque = [
        Opaque::NotJson,
        Opaque::NotObject,
        Opaque::TooDeep,
        Opaque::TooLarge,
        Opaque::NoModel,
        Opaque::Duplicate("model"),
        Opaque::WrongType("model"),
    ];
    assert_eq!(opaque.map(Opaque::word), Opaque::WORDS);
    let mut words = NoKey::ALL.map(NoKey::word);
    assert!(words.is_sorted());
    words.sort_unstable();
    assert!(words.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn the_deepest_body_is_keyed_without_exhausting_the_stack() {
    let deep = format!(
        r#"{{"model":"m","messages":[],"thinking":{}{}}}"#,
        r#"{"a":"#.repeat(254),
        "0".to_owned() + &"}".repeat(254)
    );
    assert!(key(&messages(&deep)).contains(r#"{"a":{"a":0}}"#));
}
