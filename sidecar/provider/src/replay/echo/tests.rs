use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::Endpoint::{AnthropicMessages, OpenAiChat, OpenAiResponses};
use crate::answer::fixtures::{ENDPOINTS, canonical, load, names, read_stream};
use crate::replay::{Replay, plain};

/// A recorded stream as another caller's request would have coloured it.
fn foreign(name: &str) -> String {
    let stream = String::from_utf8(load(OpenAiResponses, name).to_vec()).unwrap();
    let metadata = r#""user":"alice","metadata":{"of":"alice"}"#;
    stream.replace(r#""user":null,"metadata":{}"#, metadata)
}

fn own() -> Echo {
    Echo {
        members: vec![
            ("metadata", Some(Bytes::from_static(b"{\r\n  \"of\": \"bob\"\n}"))),
            ("service_tier", None),
            ("store", Some(Bytes::from_static(b"false"))),
            ("user", None),
        ],
    }
}

fn filter<'a>(endpoint: Endpoint, echo: Echo, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut filter = EchoFilter::new(endpoint, echo);
    let mut out = Vec::new();
    for chunk in chunks {
        filter.feed(chunk, &mut out);
    }
    filter.finish(&mut out);
    out
}

#[test]
fn a_follower_sees_its_own_echo_in_a_live_stream() {
    for name in ["text.sse", "reasoning.sse", "truncated.sse", "custom_tool.sse"] {
        let stream = foreign(name);
        let echo = own();
        let out = filter(OpenAiResponses, own(), [stream.as_bytes()]);
        assert!(stream.contains("alice") && !String::from_utf8_lossy(&out).contains("alice"));
        let stored = read_stream(OpenAiResponses, stream.as_bytes()).unwrap().body;
        let replay = Replay {
            endpoint: OpenAiResponses,
            answer: &stored,
            echo: &echo,
            include_usage: false,
            without_thinking: false,
        };
        let live = read_stream(OpenAiResponses, &out).unwrap().body;
        assert_eq!(canonical(&live), canonical(&plain(&replay)), "{name}");
    }
}

#[test]
fn half_a_frame_at_the_end_shows_nothing_of_another_caller() {
    let stream = foreign("text.sse");
    let last = stream.rfind("alice").unwrap();
    for end in [last + 5, stream.trim_end().len()] {
        let out = filter(OpenAiResponses, own(), [&stream.as_bytes()[..end]]);
        assert!(!String::from_utf8_lossy(&out).contains("alice"));
    }
    let whole = filter(OpenAiResponses, own(), [stream.trim_end().as_bytes()]);
    assert!(read_stream(OpenAiResponses, &whole).is_ok());
}

#[test]
fn tiers_and_diagnostics_of_another_call_are_replaced() {
    let out = filter(OpenAiChat, own(), [&*load(OpenAiChat, "text.sse")]);
    assert_eq!(
        out,
        load(OpenAiChat, "text.sse"),
        "the default tier stays the default tier"
    );
    let chunk = b"data: {\"service_tier\":\"flex\",\"choices\":[]}\n\n";
    let expected = b"data: {\"service_tier\":\"default\",\"choices\":[]}\n\n";
    assert_eq!(filter(OpenAiChat, own(), [chunk.as_slice()]), expected);

    let start =
        "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"diagnostics\":{\"a\":1}}}\r\n\r\n";
    let out = filter(AnthropicMessages, Echo::default(), [start.as_bytes()]);
    let expected = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"diagnostics\":null}}\n\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn without_echo_every_stream_passes_byte_for_byte() {
    for endpoint in ENDPOINTS {
        for name in names(endpoint, ".sse").iter().filter(|name| *name != "cut.sse") {
            let stream = load(endpoint, name);
            assert_eq!(filter(endpoint, Echo::default(), stream.chunks(89)), stream, "{name}");
        }
    }
}

#[test]
fn a_frame_too_long_to_rewrite_ends_in_an_error_event() {
    let long = vec![b'a'; 1 << 20];
    let tail = foreign("text.sse");
    let mut chunks: Vec<&[u8]> = vec![b"event: response.created\ndata: {\"user\":\"alice\",\"x\":\""];
    chunks.extend(std::iter::repeat_n(&*long, 17));
    chunks.extend([b"\"}\n\n" as &[u8], tail.as_bytes()]);
    let out = filter(OpenAiResponses, own(), chunks);
    assert!(out.starts_with(b"\n\nevent: error\n") && out.len() < 1000);
    assert_eq!(
        read_stream(OpenAiResponses, &out),
        Err(crate::answer::NotAnswer::ErrorEvent)
    );
}

proptest! {
    #[test]
    fn chunk_boundaries_do_not_change_what_a_follower_sees(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let stream = foreign("custom_tool.sse");
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|cut| &stream.as_bytes()[cut[0]..cut[1]]);
        let whole = read_stream(OpenAiResponses, &filter(OpenAiResponses, own(), [stream.as_bytes()]));
        prop_assert_eq!(read_stream(OpenAiResponses, &filter(OpenAiResponses, own(), chunks)), whole);
    }
}
