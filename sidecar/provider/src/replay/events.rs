//! Writes server-sent events, and cuts long text into deltas that line-limited clients can read.

use crate::answer::raw;

/// Most bytes of escaped text in one delta: half of the smallest line limit seen in SSE clients (16 KiB).
const MOST_DELTA_BYTES: usize = 8 << 10;

/// A body of events under construction.
#[derive(Default)]
pub(super) struct Events {
    out: String,
}

impl Events {
    /// Appends an event whose data is the concatenation of `parts`, valid JSON on one line.
    pub(super) fn named(&mut self, event: &str, parts: &[&str]) {
        self.out.push_str("event: ");
        self.out.push_str(event);
        self.out.push('\n');
        self.unnamed(parts);
    }

    pub(super) fn unnamed(&mut self, parts: &[&str]) {
        self.out.push_str("data: ");
        for part in parts {
            push_on_one_line(&mut self.out, part);
        }
        self.out.push_str("\n\n");
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out.into_bytes()
    }
}

/// The escaped form of `json`, without quotes: what a delta that carries JSON as text holds.
pub(super) fn escape(json: &str) -> String {
    let quoted = raw::quote(json);
    let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

/// Cuts a string's escaped content into deltas, never inside an escape, a character or a surrogate pair.
pub(super) fn deltas(content: &str) -> impl Iterator<Item = &str> {
    let mut rest = content;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (delta, tail) = rest.split_at(cut(rest));
        rest = tail;
        Some(delta)
    })
}

fn cut(content: &str) -> usize {
    if content.len() <= MOST_DELTA_BYTES {
        return content.len();
    }
    let limit = content.floor_char_boundary(MOST_DELTA_BYTES);
    let head = content.get(..limit).unwrap_or(content);
    let mut end = escape_start(head).unwrap_or(limit);
    // A low surrogate's escape stays with the high one before it.
    while is_low_surrogate(content.get(end..).unwrap_or_default()) && end >= 6 {
        end -= 6;
    }
    if end == 0 { limit } else { end }
}

/// Where the escape begins that the end of `head` cuts in two, if it cuts one.
fn escape_start(head: &str) -> Option<usize> {
    let window = head.len().saturating_sub(6);
    let tail = head.as_bytes().get(window..)?;
    let last = window + memchr::memrchr(b'\\', tail)?;
    let run = head.as_bytes().get(..=last)?;
    let backslashes = run.iter().rev().take_while(|byte| **byte == b'\\').count();
    if backslashes % 2 == 0 {
        return None;
    }
    let length = if head.as_bytes().get(last + 1) == Some(&b'u') {
        6
    } else {
        2
    };
    (last + length > head.len()).then_some(last)
}

fn is_low_surrogate(content: &str) -> bool {
    let escape = content.get(..6).unwrap_or_default().as_bytes();
    matches!(escape, [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', _, _])
}

/// Line breaks between JSON tokens would end the data line; inside strings they are always escaped.
fn push_on_one_line(out: &mut String, json: &str) {
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        out.push_str(json);
    } else {
        out.extend(json.chars().filter(|char| !matches!(char, '\n' | '\r')));
    }
}
