use proptest::prelude::*;

use super::*;
use crate::Endpoint::{AnthropicMessages, OpenAiChat, OpenAiResponses};
use crate::answer::fixtures::{ENDPOINTS, canonical, load, pairs, read_stream};
use crate::answer::read_plain;
use crate::sse::Frames;

fn echo(members: &[(&'static str, Option<&'static str>)]) -> Echo {
    let members = members.iter();
    Echo {
        members: members
            .map(|(name, value)| (*name, value.map(|value| Bytes::from_static(value.as_bytes()))))
            .collect(),
    }
}

fn replay<'a>(endpoint: Endpoint, answer: &'a [u8], echo: &'a Echo) -> Replay<'a> {
    Replay {
        endpoint,
        answer,
        echo,
        include_usage: true,
        without_thinking: false,
    }
}

fn data(stream: &[u8]) -> Vec<String> {
    let frames = Frames::new(stream);
    frames
        .map(|frame| String::from_utf8(frame.data.into_owned()).unwrap())
        .collect()
}

fn names(stream: &[u8]) -> Vec<String> {
    let names = Frames::new(stream).filter_map(|frame| Some(String::from_utf8_lossy(frame.event?).into_owned()));
    let mut names: Vec<String> = names.filter(|name| name != "ping").collect();
    // How many deltas carry a text is free.
    names.dedup_by(|later, earlier| later == earlier && later.ends_with("delta"));
    names
}

#[test]
fn a_replayed_stream_reads_as_the_stored_answer() {
    let none = echo(&[]);
    for (endpoint, case) in pairs() {
        let stored = load(endpoint, &format!("{case}.json"));
        let stream = stream(&replay(endpoint, &stored, &none));
        let mut streamed = read_stream(endpoint, &stream).unwrap();
        let plain = read_plain(endpoint, stored.clone()).unwrap();
        assert_eq!(canonical(&streamed.body), canonical(&stored), "{endpoint:?} {case}");
        streamed.body = stored;
        assert_eq!(streamed, plain, "{endpoint:?} {case}");
    }
}

#[test]
fn events_come_in_the_order_of_the_provider() {
    let none = echo(&[]);
    for (endpoint, case) in [
        (AnthropicMessages, "text"),
        (AnthropicMessages, "thinking"),
        (AnthropicMessages, "tool_use"),
        (AnthropicMessages, "citations"),
        (AnthropicMessages, "web_search"),
        (OpenAiResponses, "text"),
        (OpenAiResponses, "reasoning"),
        (OpenAiResponses, "function_calls"),
        (OpenAiResponses, "refusal"),
        (OpenAiResponses, "truncated"),
        (OpenAiResponses, "failed"),
    ] {
        let stored = load(endpoint, &format!("{case}.json"));
        let stream = stream(&replay(endpoint, &stored, &none));
        let original = load(endpoint, &format!("{case}.sse"));
        assert_eq!(names(&stream), names(&original), "{endpoint:?} {case}");
    }
}

#[test]
fn responses_events_are_numbered_from_zero_without_gaps() {
    let stored = load(OpenAiResponses, "reasoning.json");
    let none = echo(&[]);
    for (at, data) in data(&stream(&replay(OpenAiResponses, &stored, &none)))
        .iter()
        .enumerate()
    {
        let event: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["sequence_number"], at);
    }
}

#[test]
fn message_start_has_few_output_tokens_and_no_stop_reason() {
    let stored = load(AnthropicMessages, "text.json");
    let none = echo(&[]);
    let data = data(&stream(&replay(AnthropicMessages, &stored, &none)));
    let start: serde_json::Value = serde_json::from_str(&data[0]).unwrap();
    assert_eq!(start["message"]["usage"]["output_tokens"], 1);
    assert!(start["message"]["stop_reason"].is_null());
    assert_eq!(start["message"]["content"], serde_json::json!([]));
}

#[test]
fn chat_usage_comes_only_to_those_who_asked() {
    let stored = load(OpenAiChat, "text.json");
    let none = echo(&[]);
    let with = replay(OpenAiChat, &stored, &none);
    let chunks = data(&stream(&with));
    assert_eq!(chunks.last().unwrap(), "[DONE]");
    let usage = &chunks[chunks.len() - 2];
    assert!(usage.contains("\"choices\":[],\"usage\":{\"prompt_tokens\":2006"));
    assert!(chunks[0].contains("\"usage\":null"));
    let without = Replay {
        include_usage: false,
        ..with
    };
    assert!(data(&stream(&without)).iter().all(|chunk| !chunk.contains("\"usage\"")));
}

#[test]
fn log_probabilities_come_token_by_token() {
    let stored = load(OpenAiChat, "logprobs.json");
    let none = echo(&[]);
    let chunks = data(&stream(&replay(OpenAiChat, &stored, &none)));
    let original = data(&load(OpenAiChat, "logprobs.sse"));
    assert_eq!(chunks.len(), original.len());
    assert!(chunks[1].contains("-0.00001234567890123456789"));
}

#[test]
fn plain_replay_without_echo_is_byte_equal() {
    let none = echo(&[]);
    for (endpoint, case) in pairs() {
        let stored = load(endpoint, &format!("{case}.json"));
        assert_eq!(plain(&replay(endpoint, &stored, &none)), stored);
    }
}

#[test]
fn echo_members_are_the_callers_own() {
    let stored = br#"{ "id":"resp_1", "user" : "alice" ,"metadata":{"a":"1"}, "store":false }"#;
    let own = echo(&[
        ("user", Some("\"bob\"")),
        ("metadata", None),
        ("safety_identifier", Some("\"s-1\"")),
        ("prompt_cache_key", None),
    ]);
    let expected = r#"{ "id":"resp_1", "user" : "bob" ,"metadata":{}, "store":false,"safety_identifier":"s-1" }"#;
    assert_eq!(plain(&replay(OpenAiResponses, stored, &own)), expected);

    let stored = load(OpenAiResponses, "text.json");
    let own = echo(&[("user", Some("\"bob\"")), ("metadata", Some("{\"k\":\"v\"}"))]);
    let stream = stream(&replay(OpenAiResponses, &stored, &own));
    let echoed = data(&stream)
        .iter()
        .filter(|data| data.contains("\"user\":\"bob\",\"metadata\":{\"k\":\"v\"}"))
        .count();
    assert_eq!(echoed, 3, "created, in_progress and completed");
}

#[test]
fn nothing_of_another_caller_is_echoed() {
    let stored = br#"{"id":"r","metadata":{"a":"1"},"service_tier":"flex","store":false,"user":"alice","prompt_cache_diagnostics":{"type":"cache_hit"},"x":null}"#;
    let absent = echo(&[
        ("metadata", None),
        ("service_tier", None),
        ("store", None),
        ("user", None),
    ]);
    let expected = r#"{"id":"r","metadata":{},"service_tier":"default","store":true,"user":null,"prompt_cache_diagnostics":null,"x":null}"#;
    assert_eq!(plain(&replay(OpenAiResponses, stored, &absent)), expected);
    let stored = br#"{"id":"m","diagnostics":{"cache_miss_reason":{"type":"model_changed"}}}"#;
    let expected = r#"{"id":"m","diagnostics":null}"#;
    assert_eq!(plain(&replay(AnthropicMessages, stored, &echo(&[]))), expected);
}

#[test]
fn no_echo_is_made_up_where_the_upstream_repeats_none() {
    let own = echo(&[("user", Some("\"bob\"")), ("service_tier", Some("\"auto\""))]);
    let chat = br#"{"id":"c","service_tier":"priority","metadata":null}"#;
    let expected = r#"{"id":"c","service_tier":"default","metadata":null}"#;
    assert_eq!(plain(&replay(OpenAiChat, chat, &own)), expected);
    let compatible = br#"{"id":"r","object":"response"}"#;
    assert_eq!(plain(&replay(OpenAiResponses, compatible, &own)), compatible.as_slice());
}

#[test]
fn thinking_is_left_out_when_asked() {
    let none = echo(&[]);
    for (endpoint, case) in [
        (AnthropicMessages, "thinking"),
        (OpenAiResponses, "reasoning"),
        (OpenAiChat, "reasoning"),
    ] {
        let stored = load(endpoint, &format!("{case}.json"));
        let replay = Replay {
            without_thinking: true,
            ..replay(endpoint, &stored, &none)
        };
        let answer = read_plain(endpoint, plain(&replay)).unwrap();
        let before = read_plain(endpoint, stored.clone()).unwrap();
        assert!(before.has_thinking && !answer.has_thinking);
        assert_eq!((&answer.finish, answer.usage), (&before.finish, before.usage));
        assert_eq!(read_stream(endpoint, &stream(&replay)).unwrap().finish, before.finish);
    }
    let stored = load(AnthropicMessages, "thinking.json");
    let replay = Replay {
        without_thinking: true,
        ..replay(AnthropicMessages, &stored, &none)
    };
    let rest = br#"[{"type":"text","text":"27 \u00d7 453 = 12,231"}]"#;
    let answer: serde_json::Value = serde_json::from_slice(&plain(&replay)).unwrap();
    assert_eq!(canonical(answer["content"].to_string().as_bytes()), canonical(rest));
}

#[test]
fn what_is_no_answer_becomes_the_error_event() {
    let none = echo(&[]);
    for endpoint in ENDPOINTS {
        for stored in [
            b"" as &[u8],
            b"[]",
            b"{",
            b"{\"choices\":[7],\"content\":[7],\"output\":[7]}",
        ] {
            let event = stream(&replay(endpoint, stored, &none));
            assert!(String::from_utf8_lossy(&event).contains("llmcache: "), "{endpoint:?}");
        }
    }
}

proptest! {
    #[test]
    fn broken_answers_never_panic(
        pick in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        noise in "[\\[\\]{}:,\"a-z0-9.\\\\]{0,20}",
        removed in 0..60_usize,
        without_thinking in any::<bool>(),
    ) {
        let none = echo(&[("metadata", Some("{}")), ("user", None)]);
        let pairs = pairs();
        let (endpoint, case) = pick.get(&pairs);
        let mut stored = load(*endpoint, &format!("{case}.json")).to_vec();
        let at = at.index(stored.len());
        let end = (at + removed).min(stored.len());
        stored.splice(at..end, noise.bytes());
        let replay = Replay { without_thinking, ..replay(*endpoint, &stored, &none) };
        let streamed = read_stream(*endpoint, &stream(&replay));
        // Whatever passes as an answer also replays as one.
        if let Ok(answer) = read_plain(*endpoint, plain(&replay)) {
            let streamed = streamed.map(|streamed| (streamed.has_tool_calls, streamed.usage));
            prop_assert_eq!(streamed, Ok((answer.has_tool_calls, answer.usage)));
        }
    }

    #[test]
    fn any_text_and_tool_input_survive_the_stream(
        text in "(\\PC|[\"\\\\\n\r\t\u{0}\u{2028}]|[a-z ]{50}){0,400}",
        key in "\\PC{0,8}",
        number in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
        is_ascii in any::<bool>(),
    ) {
        let mut literal = raw::quote(&text);
        if is_ascii {
            literal = escape_all(&literal);
        }
        let none = echo(&[]);
        let key = raw::quote(&key);
        let input = format!("{{{key}: {number},\n \"t\": [{literal}]}}");
        let message = format!(
            r#"{{"id":"m","type":"message","role":"assistant","model":"x","content":[{{"type":"text","text":{literal}}},{{"type":"tool_use","id":"t","name":"n","input":{input}}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{{"input_tokens":1,"output_tokens":2}}}}"#
        );
        let chat = format!(
            r#"{{"id":"c","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":{literal},"tool_calls":[{{"id":"t","type":"function","function":{{"name":"n","arguments":{literal}}}}}]}},"logprobs":null,"finish_reason":"tool_calls"}}]}}"#
        );
        for (endpoint, stored) in [(AnthropicMessages, message), (OpenAiChat, chat)] {
            let stream = stream(&replay(endpoint, stored.as_bytes(), &none));
            let answer = read_stream(endpoint, &stream).unwrap();
            prop_assert_eq!(canonical(&answer.body), canonical(stored.as_bytes()));
            prop_assert!(stream.split(|byte| *byte == b'\n').all(|line| line.len() < 16 << 10));
        }
    }
}

/// The same literal with everything beyond ASCII as `\u` escapes, surrogate pairs included.
fn escape_all(literal: &str) -> String {
    let units = literal.encode_utf16();
    let escaped = units.map(|unit| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
        _ => format!("\\u{unit:04x}"),
    });
    escaped.collect()
}
