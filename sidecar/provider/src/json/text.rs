//! Strings: from the bytes between quotes to text, and from text to a quoted string.

use std::borrow::Cow;

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Writes `text` as a JSON string with the fewest escapes.
pub fn quote(text: &str) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    quoted.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', byte]),
            0..=0x1f => quoted.extend(format!("\\u{byte:04x}").bytes()),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'"');
    quoted
}

/// Decodes what a scan accepted; a lone surrogate becomes U+FFFD.
pub(super) fn decode(inside: &[u8], escaped: bool) -> Cow<'_, str> {
    if !escaped {
        return String::from_utf8_lossy(inside);
    }
    let mut text = String::with_capacity(inside.len());
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\\', &inside[at..]) {
        text.push_str(&String::from_utf8_lossy(&inside[at..at + length]));
        at += length;
        at += match inside.get(at + 1) {
            Some(b'u') => push_unit(&mut text, inside, at),
            Some(escape) => {
                text.push(match escape {
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    other => char::from(*other),
                });
                2
            }
            None => 1,
        };
    }
    text.push_str(&String::from_utf8_lossy(&inside[at..]));
    Cow::Owned(text)
}

/// The UTF-16 unit of the `\uXXXX` that begins at `at`.
pub(super) fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits
        .iter()
        .try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}

/// Appends the character of the escape at `at`; returns how many bytes it took.
fn push_unit(text: &mut String, inside: &[u8], at: usize) -> usize {
    let high = unit(inside, at).unwrap_or(0xfffd);
    if let (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) = (high, unit(inside, at + 6)) {
        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        text.push(char::from_u32(code).unwrap_or(REPLACEMENT));
        return 12;
    }
    text.push(char::from_u32(high).unwrap_or(REPLACEMENT));
    6
}
