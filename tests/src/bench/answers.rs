//! What is asked and what is answered: fixed bytes in Anthropic's shape, built once.
//!
//! A request says what it wants by its text (`frames=64 paced`), so that the bytes are the same on every lane.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

/// Frames of every streamed answer that has the full length.
pub(super) const FRAMES: usize = 64;
/// Frames of the short streamed answer; the difference to [`FRAMES`] gives the cost of one frame.
pub(super) const FEW_FRAMES: usize = 4;
/// Pause between two frames of a paced stream: about 2 000 tokens a second, faster than any model of today.
const PACE: Duration = Duration::from_micros(500);
const PLAIN_REQUEST: usize = 1024;
const PLAIN_ANSWER: usize = 2048;
const LARGE_REQUEST: usize = 400 * 1024;
const NONCE: &str = "nonce=0000000000000000";

/// A request ready to send, with a nonce that can be set without allocation, in its text and in its tag if it has one.
#[derive(Clone)]
pub(super) struct Request {
    bytes: Vec<u8>,
    nonce_at: Vec<usize>,
}

/// Bytes to write at once and how long to wait after them.
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    pub(super) pause: Duration,
}

impl Request {
    /// 1 KB in, 2 KB out.
    pub(super) fn plain() -> Self {
        let body = |fill: &str| conversation(&json!(format!("{NONCE} {fill}")), false);
        let bare = body("").to_string().len();
        Self::post("/anthropic/v1/messages", &body(&prose(PLAIN_REQUEST - bare)))
    }

    /// A short question of a number and so many words, each a token of the semantic cache's model.
    pub(super) fn question(words: usize) -> Self {
        let text = format!("{NONCE}{}", " where".repeat(words));
        Self::post("/anthropic/v1/messages", &conversation(&json!(text), false))
    }

    /// The plain request under two tags: [`tag`] of its nonce, and one that all of them share.
    pub(super) fn tagged() -> Self {
        Self::plain().under(&format!("x-llmcache-tags: user:{NONCE}, doc:handbook\r\n"))
    }

    /// The same question, to be answered from a cache or not at all.
    pub(super) fn only_if_cached(&self) -> Self {
        self.clone().under("cache-control: only-if-cached\r\n")
    }

    /// The same bytes to a path of the provider that is not typed.
    pub(super) fn opaque() -> Self {
        let body = conversation(&json!(format!("{NONCE} {}", prose(PLAIN_REQUEST - 200))), false);
        Self::post("/anthropic/v1/messages/batches", &body)
    }

    /// A conversation of 400 KB in text blocks, whose last turn carries the nonce.
    pub(super) fn large() -> Self {
        let turn = prose(4096);
        let pairs = LARGE_REQUEST / 4096 / 2;
        let mut messages = Vec::new();
        for _ in 0..pairs {
            messages.push(json!({"role": "user", "content": [{"type": "text", "text": turn}]}));
            messages.push(json!({"role": "assistant", "content": [{"type": "text", "text": turn}]}));
        }
        messages.push(json!({"role": "user", "content": [{"type": "text", "text": NONCE}]}));
        let body = json!({
            "model": "claude-sonnet-5-5",
            "max_tokens": 1024,
            "system": [{"type": "text", "text": "You answer questions about the handbook."}],
            "messages": messages,
        });
        Self::post("/anthropic/v1/messages", &body)
    }

    /// A streamed answer of `frames` frames, written at once or one by one.
    pub(super) fn stream(frames: usize, paced: bool) -> Self {
        let pace = if paced { "paced" } else { "burst" };
        Self::post(
            "/anthropic/v1/messages",
            &conversation(&json!(format!("{NONCE} frames={frames} {pace}")), true),
        )
    }

    /// The same request under another nonce, so another key.
    pub(super) fn numbered(&mut self, nonce: u64) -> &[u8] {
        for &at in &self.nonce_at {
            for (place, digit) in self.bytes[at..at + 16].iter_mut().rev().enumerate() {
                *digit = b"0123456789abcdef"[usize::from(nonce.to_be_bytes()[7 - place / 2] >> (4 * (place % 2)) & 15)];
            }
        }
        &self.bytes
    }

    fn post(path: &str, body: &Value) -> Self {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: sk-ant-bench\r\nanthropic-version: 2023-06-01\r\n\
             content-type: application/json\r\naccept: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Self::of([head, body].concat().into_bytes())
    }

    /// With further header lines, before the first of its own.
    fn under(self, lines: &str) -> Self {
        let at = memchr::memmem::find(&self.bytes, b"\r\n").map_or(0, |line| line + 2);
        Self::of([&self.bytes[..at], lines.as_bytes(), &self.bytes[at..]].concat())
    }

    fn of(bytes: Vec<u8>) -> Self {
        let nonce_at = memchr::memmem::find_iter(&bytes, b"nonce=").map(|at| at + "nonce=".len());
        let nonce_at = nonce_at.collect();
        Self { bytes, nonce_at }
    }
}

/// The tag that a tagged request of this nonce bears alone.
pub(super) fn tag(nonce: u64) -> String {
    format!("user:nonce={nonce:016x}")
}

/// A ban of what bears this tag.
pub(super) fn ban(tag: &str) -> Vec<u8> {
    invalidate(&json!({"pattern": tag}))
}

/// A ban that bans nothing: its reply is complete once the shared store counts.
pub(super) fn dry_ban() -> Vec<u8> {
    invalidate(&json!({"pattern": "nobody", "dryRun": true}))
}

fn invalidate(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let head = format!(
        "POST /llmcache/invalidate HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head, body].concat().into_bytes()
}

fn conversation(text: &Value, stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": text}]);
    json!({"model": "claude-sonnet-5-5", "max_tokens": 1024, "stream": stream, "messages": messages})
}

/// Text without long repeats, so that compression does not flatter a store.
fn prose(bytes: usize) -> String {
    const WORDS: [&str; 16] = [
        "copper", "lantern", "meadow", "quarry", "signal", "velvet", "harbor", "thicket", "ember", "gravel", "orchard",
        "pilot", "saddle", "timber", "window", "yarrow",
    ];
    let mut text = String::with_capacity(bytes + 16);
    let mut state: u32 = 1;
    while text.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let _ = write!(text, "{}{} ", WORDS[(state >> 28) as usize], state >> 12 & 0xff);
    }
    text.truncate(bytes);
    text
}

/// The parts of the answer to a request body.
pub(super) fn for_body(body: &[u8]) -> &'static [Part] {
    static PLAIN: LazyLock<Vec<Part>> = LazyLock::new(|| vec![plain_answer()]);
    static FEW: LazyLock<Vec<Part>> = LazyLock::new(|| vec![joined(stream_answer(FEW_FRAMES))]);
    static BURST: LazyLock<Vec<Part>> = LazyLock::new(|| vec![joined(stream_answer(FRAMES))]);
    static FEW_PACED: LazyLock<Vec<Part>> = LazyLock::new(|| stream_answer(FEW_FRAMES));
    static PACED: LazyLock<Vec<Part>> = LazyLock::new(|| stream_answer(FRAMES));
    let wants = |text: &str| memchr::memmem::find(body, text.as_bytes()).is_some();
    if !wants("\"stream\":true") {
        return &PLAIN;
    }
    match (wants("frames=64"), wants("paced")) {
        (false, false) => &FEW,
        (true, false) => &BURST,
        (false, true) => &FEW_PACED,
        (true, true) => &PACED,
    }
}

fn plain_answer() -> Part {
    let body = |text: &str| message(&json!([{"type": "text", "text": text}]), &json!("end_turn"), 480);
    let bare = body("").to_string().len();
    let body = body(&prose(PLAIN_ANSWER - bare)).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_bench\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Part {
        bytes: [head, body].concat().into_bytes(),
        pause: Duration::ZERO,
    }
}

fn message(content: &Value, stop_reason: &Value, output_tokens: u64) -> Value {
    json!({
        "id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5", "content": content,
        "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {"input_tokens": 256, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                  "output_tokens": output_tokens},
    })
}

/// An answer of `frames` text deltas, one part each, between the events that open and close a message.
fn stream_answer(frames: usize) -> Vec<Part> {
    let start = message(&json!([]), &Value::Null, 1);
    let opening = [
        event("message_start", &json!({"type": "message_start", "message": start})),
        event(
            "content_block_start",
            &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
    ]
    .concat();
    let delta =
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "copper lantern "}});
    let end = json!({"stop_reason": "end_turn", "stop_sequence": null});
    let usage = json!({"input_tokens": 256, "output_tokens": frames});
    let closing = [
        event("content_block_stop", &json!({"type": "content_block_stop", "index": 0})),
        event(
            "message_delta",
            &json!({"type": "message_delta", "delta": end, "usage": usage}),
        ),
        event("message_stop", &json!({"type": "message_stop"})),
    ]
    .concat();

    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n\
                request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n";
    let delta = chunk(&event("content_block_delta", &delta)).into_bytes();
    let mut parts = vec![Part {
        bytes: format!("{head}{}", chunk(&opening)).into_bytes(),
        pause: PACE,
    }];
    parts.extend((0..frames).map(|_| Part {
        bytes: delta.clone(),
        pause: PACE,
    }));
    parts.push(Part {
        bytes: format!("{}0\r\n\r\n", chunk(&closing)).into_bytes(),
        pause: Duration::ZERO,
    });
    parts
}

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn joined(parts: Vec<Part>) -> Part {
    Part {
        bytes: parts.into_iter().flat_map(|part| part.bytes).collect(),
        pause: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: &[u8]) -> &[u8] {
        &bytes[memchr::memmem::find(bytes, b"\r\n\r\n").unwrap() + 4..]
    }

    #[test]
    fn sizes_are_what_the_rows_say() {
        assert_eq!(body(Request::plain().numbered(0)).len(), PLAIN_REQUEST);
        assert_eq!(body(&plain_answer().bytes).len(), PLAIN_ANSWER);
        let large = body(Request::large().numbered(0)).len();
        assert!((LARGE_REQUEST..LARGE_REQUEST + 16 * 1024).contains(&large), "{large}");
        assert_eq!(stream_answer(FRAMES).len(), FRAMES + 2);
    }

    #[test]
    fn a_nonce_changes_its_digits_alone() {
        let mut request = Request::plain();
        let length = request.bytes.len();
        let text = String::from_utf8(request.numbered(0x1f).to_vec()).unwrap();
        assert!(text.contains("nonce=000000000000001f ") && text.len() == length);
        let text = String::from_utf8(request.numbered(u64::MAX - 1).to_vec()).unwrap();
        assert!(text.contains("nonce=fffffffffffffffe "));
    }

    #[test]
    fn a_tag_has_the_nonce_of_its_question() {
        let mut request = Request::tagged().only_if_cached();
        let text = String::from_utf8(request.numbered(0x1f).to_vec()).unwrap();
        let (head, asked) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("\r\nx-llmcache-tags: {}, doc:", tag(0x1f))),
            "{head}"
        );
        assert!(head.starts_with("POST ") && head.contains("\r\ncache-control: only-if-cached\r\n"));
        assert!(asked.contains("nonce=000000000000001f ") && asked.len() == PLAIN_REQUEST);
    }
}
