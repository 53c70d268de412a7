use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::answer::fixtures::{ENDPOINTS, load, names};

fn filter<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut filter = UsageFilter::new();
    let mut out = Vec::new();
    for chunk in chunks {
        filter.feed(chunk, &mut out);
    }
    filter.finish(&mut out);
    out
}

fn filtered(frame: &str) -> String {
    String::from_utf8(filter([frame.as_bytes()])).unwrap()
}

#[test]
fn cache_writes_without_a_split_last_five_or_thirty_minutes() {
    let usage = json!({"input_tokens": 1, "cache_creation_input_tokens": 9, "output_tokens": 2});
    let (usage, _) = read(Endpoint::AnthropicMessages, &usage, None);
    assert_eq!((usage.input, usage.cache_write_5m, usage.cache_write()), (10, 9, 9));

    let details = json!({"cached_tokens": 2, "cache_write_tokens": 5});
    let usage = json!({"prompt_tokens": 10, "prompt_tokens_details": details});
    let (usage, _) = read(Endpoint::OpenAiChat, &usage, None);
    assert_eq!((usage.input, usage.cache_read, usage.cache_write_30m), (10, 2, 5));
}

#[test]
fn nulls_strings_and_absurd_counts_are_harmless() {
    let most = u64::MAX;
    for usage in [
        json!(null),
        json!([1]),
        json!({"input_tokens": null, "output_tokens": "7", "cache_creation": 3, "iterations": {}}),
        json!({"input_tokens": most, "cache_read_input_tokens": most, "cache_creation_input_tokens": most}),
        json!({"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": most, "ephemeral_5m_input_tokens": most}}),
        json!({"prompt_tokens": -1, "prompt_tokens_details": {"cache_write_tokens_details": {"ttl_12h_tokens": most, "ttl_30m_tokens": 1}}}),
    ] {
        for endpoint in ENDPOINTS {
            let (usage, _) = read(endpoint, &usage, Some("ultrafast"));
            assert!(usage.cache_write() >= usage.cache_write_12h);
        }
    }
}

#[test]
fn service_tiers_of_both_providers_are_one_set() {
    let tier = |word| read(Endpoint::OpenAiChat, &Value::Null, Some(word)).1.service_tier;
    assert_eq!(tier("default"), Some(ServiceTier::Standard));
    assert_eq!(tier("fast"), tier("priority"));
    assert_eq!(tier("scale"), Some(ServiceTier::Other));
    assert_eq!(tier("auto"), None);
}

#[test]
fn the_client_gets_the_stream_it_would_have_got() {
    let asked = load(Endpoint::OpenAiChat, "usage_asked.sse");
    let expected = load(Endpoint::OpenAiChat, "usage_not_asked.sse");
    assert_ne!(asked, expected);
    assert_eq!(filter([&*asked]), expected);
}

#[test]
fn a_stream_without_usage_passes_byte_for_byte() {
    for endpoint in ENDPOINTS {
        for name in names(endpoint, ".sse") {
            let stream = load(endpoint, &name);
            if endpoint != Endpoint::OpenAiChat || name == "usage_not_asked.sse" {
                assert_eq!(filter([&*stream]), stream, "{name}");
            }
        }
    }
}

#[test]
fn only_the_top_level_null_is_cut_wherever_it_stands() {
    let cases = [
        ("{\"usage\":null,\"a\":1}", "{\"a\":1}"),
        ("{ \"usage\" : null , \"a\":1}", "{ \"a\":1}"),
        ("{\"a\":1, \"usage\": null}", "{\"a\":1}"),
        (
            "{\"a\":{\"usage\":null},\"usage\":null,\"b\":2}",
            "{\"a\":{\"usage\":null},\"b\":2}",
        ),
        ("{\"a\":\"\\\"usage\\\":null\"}", "{\"a\":\"\\\"usage\\\":null\"}"),
        ("{\"say \\\"usage\":null}", "{\"say \\\"usage\":null}"),
        (
            "{\"a\":\"usage\",\"usage\":null,\"b\":\"}\\\"}\"}",
            "{\"a\":\"usage\",\"b\":\"}\\\"}\"}",
        ),
        ("{\"usage\":null}", "{\"usage\":null}"),
        ("{\"usage\":7}", "{\"usage\":7}"),
        ("{\"usage\":null", "{\"usage\":null"),
        ("{\"choices\":[],\"usage\":null}", "{\"choices\":[]}"),
    ];
    for (given, expected) in cases {
        let frame = |data: &str| format!("data: {data}\r\n\r\n");
        assert_eq!(filtered(&frame(given)), frame(expected));
    }
    assert_eq!(
        filtered("data: {\"choices\":[ ],\"usage\":{}}\n\ndata: x\n\n"),
        "data: x\n\n"
    );
    let kept = "data: {\"choices\":[{}],\"usage\":{}}\n\n";
    assert_eq!(filtered(kept), kept);
}

#[test]
fn an_endless_frame_passes_and_the_next_is_filtered_again() {
    let long = vec![b'x'; 3 << 20];
    let mut out = Vec::new();
    let mut filter = UsageFilter::new();
    for chunk in [
        b"data: " as &[u8],
        &long,
        b"\n\n",
        b"data: {\"a\":1,\"usage\":null}\n\n",
    ] {
        filter.feed(chunk, &mut out);
    }
    assert_eq!(out.len(), 6 + long.len() + 2 + b"data: {\"a\":1}\n\n".len());
}

proptest! {
    #[test]
    fn chunk_boundaries_do_not_change_what_the_client_gets(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let stream = load(Endpoint::OpenAiChat, "usage_asked.sse");
        let expected = load(Endpoint::OpenAiChat, "usage_not_asked.sse");
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        prop_assert_eq!(filter(chunks), expected);
    }

    #[test]
    fn what_is_not_understood_passes_unchanged(bytes in "[ -~\r\n]{0,300}") {
        prop_assume!(!bytes.contains("\"usage\""));
        prop_assert_eq!(filtered(&bytes), bytes);
    }
}
