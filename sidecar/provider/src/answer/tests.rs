use proptest::prelude::*;

use super::fixtures::{ENDPOINTS, canonical, load, names, pairs, read_stream};
use super::*;
use crate::Endpoint::{AnthropicMessages, OpenAiChat, OpenAiResponses};
use crate::usage::ServiceTier;

const THINKING: u8 = 1;
const TOOLS: u8 = 2;

fn plain(endpoint: Endpoint, case: &str) -> Answer {
    read_plain(endpoint, load(endpoint, &format!("{case}.json"))).unwrap()
}

#[test]
fn a_streamed_answer_equals_the_plain_one() {
    for (endpoint, case) in pairs() {
        let stream = load(endpoint, &format!("{case}.sse"));
        let mut streamed = read_stream(endpoint, &stream).unwrap();
        let plain = plain(endpoint, &case);
        assert_eq!(canonical(&streamed.body), canonical(&plain.body), "{endpoint:?} {case}");
        streamed.body = plain.body.clone();
        assert_eq!(streamed, plain, "{endpoint:?} {case}");
    }
}

#[test]
fn each_answer_is_judged_by_how_it_ended() {
    let expected = [
        (AnthropicMessages, "text", Finish::Complete, 0),
        (AnthropicMessages, "stop_sequence", Finish::Complete, 0),
        (AnthropicMessages, "thinking", Finish::Complete, THINKING),
        (AnthropicMessages, "tool_use", Finish::ToolUse, TOOLS),
        (AnthropicMessages, "parallel_tools", Finish::ToolUse, TOOLS),
        (AnthropicMessages, "citations", Finish::Complete, 0),
        (AnthropicMessages, "web_search", Finish::Complete, 0),
        (AnthropicMessages, "iterations", Finish::Complete, 0),
        (AnthropicMessages, "refusal", Finish::Refused, 0),
        (AnthropicMessages, "refusal_unbilled", Finish::Refused, 0),
        (AnthropicMessages, "fallback", Finish::Complete, 0),
        (AnthropicMessages, "truncated", Finish::Truncated, 0),
        (AnthropicMessages, "empty", Finish::Empty, 0),
        (AnthropicMessages, "paused", Finish::Paused, 0),
        (
            AnthropicMessages,
            "unknown_block",
            Finish::Unknown("a_new_reason".to_owned()),
            0,
        ),
        (AnthropicMessages, "noise", Finish::Complete, 0),
        (AnthropicMessages, "crlf", Finish::Complete, 0),
        (OpenAiChat, "text", Finish::Complete, 0),
        (OpenAiChat, "tool_call", Finish::ToolUse, TOOLS),
        (OpenAiChat, "parallel_tools", Finish::ToolUse, TOOLS),
        (OpenAiChat, "forced_tool", Finish::ToolUse, TOOLS),
        (OpenAiChat, "two_choices", Finish::Truncated, 0),
        (OpenAiChat, "logprobs", Finish::Complete, 0),
        (OpenAiChat, "refusal", Finish::Refused, 0),
        (OpenAiChat, "truncated", Finish::Truncated, 0),
        (OpenAiChat, "filtered", Finish::Refused, 0),
        (OpenAiChat, "empty", Finish::Empty, 0),
        (OpenAiChat, "reasoning", Finish::Complete, THINKING),
        (OpenAiChat, "noise", Finish::Complete, 0),
        (OpenAiResponses, "text", Finish::Complete, 0),
        (OpenAiResponses, "web_search", Finish::Complete, 0),
        (OpenAiResponses, "billed_searches", Finish::Complete, 0),
        (OpenAiResponses, "reasoning", Finish::Complete, THINKING),
        (OpenAiResponses, "function_calls", Finish::ToolUse, TOOLS),
        (OpenAiResponses, "refusal", Finish::Refused, 0),
        (OpenAiResponses, "truncated", Finish::Truncated, 0),
        (OpenAiResponses, "failed", Finish::Failed, 0),
        (OpenAiResponses, "empty", Finish::Empty, 0),
        (OpenAiResponses, "custom_tool", Finish::ToolUse, TOOLS),
    ];
    assert_eq!(expected.len(), pairs().len(), "every case is judged here");
    for (endpoint, case, finish, holds) in expected {
        let answer = plain(endpoint, case);
        assert_eq!(answer.finish, finish, "{endpoint:?} {case}");
        assert_eq!(answer.has_thinking, holds & THINKING > 0, "{endpoint:?} {case}");
        assert_eq!(answer.has_tool_calls, holds & TOOLS > 0, "{endpoint:?} {case}");
    }
}

#[test]
fn a_plain_answer_keeps_its_bytes() {
    for (endpoint, case) in pairs() {
        let bytes = load(endpoint, &format!("{case}.json"));
        assert_eq!(read_plain(endpoint, bytes.clone()).unwrap().body, bytes);
    }
}

#[test]
fn usage_is_normalised_for_each_provider() {
    let answer = plain(AnthropicMessages, "stop_sequence");
    let expected = Usage {
        input: 9 + 512 + 2560,
        cache_read: 512,
        cache_write_5m: 512,
        cache_write_1h: 2048,
        output: 4,
        ..Usage::default()
    };
    assert_eq!(answer.usage, expected);
    assert_eq!(plain(AnthropicMessages, "web_search").usage.web_searches, 2);

    let answer = plain(OpenAiChat, "text");
    let expected = Usage {
        input: 2006,
        cache_read: 1920,
        cache_write_30m: 50,
        output: 300,
        ..Usage::default()
    };
    assert_eq!(answer.usage, expected);
    assert_eq!(answer.billing.service_tier, Some(ServiceTier::Standard));

    let answer = plain(OpenAiResponses, "web_search");
    let expected = Usage {
        input: 3000,
        cache_read: 1024,
        cache_write_30m: 200,
        cache_write_12h: 500,
        output: 80,
        web_searches: 1,
        ..Usage::default()
    };
    assert_eq!(answer.usage, expected);
    assert_eq!(answer.billing.service_tier, Some(ServiceTier::Flex));
    assert_eq!(plain(OpenAiResponses, "billed_searches").usage.web_searches, 3);
}

#[test]
fn price_modifiers_and_iterations_are_read_from_the_response() {
    let billing = plain(AnthropicMessages, "iterations").billing;
    assert_eq!(billing.service_tier, Some(ServiceTier::Priority));
    assert!(billing.fast && billing.inference_geo_us);
    let models: Vec<_> = billing.iterations.iter().map(|one| one.model.as_deref()).collect();
    assert_eq!(models, [Some("claude-opus-5-5"), Some("claude-sonnet-5-5")]);
    let usage = billing.iterations.last().unwrap().usage;
    assert_eq!((usage.input, usage.cache_write_5m, usage.output), (102, 7, 12));
}

#[test]
fn a_refusal_is_unbilled_only_before_any_output() {
    assert!(plain(AnthropicMessages, "refusal_unbilled").billing.unbilled);
    assert!(!plain(AnthropicMessages, "refusal").billing.unbilled);
    assert!(!plain(AnthropicMessages, "empty").billing.unbilled);
}

#[test]
fn errors_and_cut_streams_are_no_answers() {
    for endpoint in ENDPOINTS {
        let stream = |name: &str| read_stream(endpoint, &load(endpoint, name));
        assert_eq!(stream("error_midstream.sse"), Err(NotAnswer::ErrorEvent));
        assert_eq!(stream("cut.sse"), Err(NotAnswer::Unfinished));
        let plain = read_plain(endpoint, load(endpoint, "error.json"));
        assert_eq!(plain, Err(NotAnswer::ErrorEvent));
        assert_eq!(read_stream(endpoint, b""), Err(NotAnswer::Unfinished));
        assert_eq!(
            read_plain(endpoint, Bytes::from_static(b"[]")),
            Err(NotAnswer::Malformed)
        );
    }
}

#[test]
fn a_delta_nobody_knows_makes_the_answer_malformed() {
    let stream = load(AnthropicMessages, "text.sse");
    let stream = String::from_utf8(stream.to_vec()).unwrap();
    let stream = stream.replace("text_delta", "hologram_delta");
    assert_eq!(
        read_stream(AnthropicMessages, stream.as_bytes()),
        Err(NotAnswer::Malformed)
    );
}

#[test]
fn a_cut_stream_still_tells_usage_model_and_output() {
    let mut reader = StreamReader::new(AnthropicMessages, 1 << 20);
    reader.feed(&load(AnthropicMessages, "cut.sse"));
    assert_eq!(reader.output_bytes(), "Hi there".len() as u64);
    assert_eq!(reader.model(), Some("claude-sonnet-5-5"));
    let (usage, _) = reader.usage().unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.output), (32, 7, 1));
    assert!(!reader.is_finished() && !reader.is_between_frames());

    let mut reader = StreamReader::new(OpenAiChat, 0);
    reader.feed(&load(OpenAiChat, "cut.sse"));
    assert_eq!(reader.usage(), None);
    assert_eq!(reader.model(), Some("gpt-6.2-sol"));
    assert_eq!(reader.output_bytes(), "Hi there".len() as u64);

    let mut reader = StreamReader::new(OpenAiResponses, 0);
    reader.feed(&load(OpenAiResponses, "cut.sse"));
    assert_eq!((reader.usage(), reader.output_bytes()), (None, 5));
}

#[test]
fn a_stream_past_its_bound_is_too_large_but_its_usage_is_known() {
    for (endpoint, case) in pairs() {
        let stream = load(endpoint, &format!("{case}.sse"));
        for keep in [0, 1, 300, stream.len() - 1] {
            let mut reader = StreamReader::new(endpoint, keep);
            for chunk in stream.chunks(97) {
                reader.feed(chunk);
                assert!(!reader.is_kept() || reader.held_bytes() <= keep);
            }
            assert!(reader.is_finished(), "{endpoint:?} {case}");
            let answer = plain(endpoint, &case);
            if let Some((usage, billing)) = reader.usage() {
                assert_eq!((usage, billing), (answer.usage, answer.billing), "{endpoint:?} {case}");
            } else {
                assert_eq!(answer.usage, Usage::default(), "{endpoint:?} {case}");
            }
            assert_eq!(reader.finish(), Err(NotAnswer::TooLarge));
        }
    }
}

#[test]
fn one_endless_frame_is_not_held_beyond_the_bound() {
    let mut reader = StreamReader::new(AnthropicMessages, 1000);
    reader.feed(b"event: ping\ndata: ");
    let junk = vec![b'x'; 100_000];
    for _ in 0..80 {
        reader.feed(&junk);
        assert!(reader.held_bytes() <= 8 << 20);
    }
    reader.feed(b"\n\n");
    reader.feed(&load(AnthropicMessages, "text.sse"));
    assert!(reader.is_finished());
    assert_eq!(reader.usage().unwrap().0.output, 15);
}

#[test]
fn the_last_frame_counts_without_its_blank_line() {
    for (endpoint, case) in pairs() {
        let stream = load(endpoint, &format!("{case}.sse"));
        let mut reader = StreamReader::new(endpoint, 0);
        reader.feed(stream.trim_ascii_end());
        assert!(!reader.is_finished() && !reader.is_between_frames());
        reader.end();
        assert!(reader.is_finished(), "{endpoint:?} {case}");
        let answer = read_stream(endpoint, stream.trim_ascii_end());
        assert_eq!(answer, read_stream(endpoint, &stream), "{endpoint:?} {case}");
        assert!(answer.is_ok());
    }
}

proptest! {
    #[test]
    fn chunk_boundaries_do_not_matter(
        pick in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let pairs = pairs();
        let (endpoint, case) = pick.get(&pairs);
        let stream = load(*endpoint, &format!("{case}.sse"));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let mut reader = StreamReader::new(*endpoint, stream.len());
        let mut whole = StreamReader::new(*endpoint, stream.len());
        let mut start = 0;
        for cut in cuts {
            reader.feed(&stream[start..cut]);
            start = cut;
        }
        whole.feed(&stream);
        prop_assert_eq!(reader.usage(), whole.usage());
        prop_assert_eq!(reader.output_bytes(), whole.output_bytes());
        prop_assert_eq!(reader.is_finished(), whole.is_finished());
        prop_assert_eq!(reader.is_between_frames(), whole.is_between_frames());
        prop_assert_eq!(reader.finish(), whole.finish());
    }

    #[test]
    fn garbage_never_panics(
        pick in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..40),
        removed in 0..200_usize,
        keep in 0..3000_usize,
    ) {
        for endpoint in ENDPOINTS {
            let streams = names(endpoint, ".sse");
            let mut bytes = load(endpoint, &streams[pick.index(streams.len())]).to_vec();
            let at = at.index(bytes.len());
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, noise.iter().copied());
            for keep in [keep, usize::MAX] {
                let mut reader = StreamReader::new(endpoint, keep);
                for chunk in bytes.chunks(61) {
                    reader.feed(chunk);
                }
                if let Ok(answer) = reader.finish() {
                    prop_assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&answer.body).is_ok());
                }
            }
            let _ = read_plain(endpoint, Bytes::from(bytes));
            let _ = read_plain(endpoint, Bytes::from(noise.clone()));
        }
    }
}
