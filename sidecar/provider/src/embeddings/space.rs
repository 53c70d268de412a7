//! What vectors must have in common to stand in one answer.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::answer::raw;

/// Where a vector belongs: two of different spaces are never put into one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// The form of the vector.
    pub shape: Shape,
}

/// The form of a vector: JSON numbers, or 32-bit numbers packed in base64; with how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// A list of numbers.
    Floats(u64),
    /// A string of base64 (RFC 4648 §4).
    Packed(u64),
}

impl Shape {
    /// How many numbers the vector has; at least one.
    pub const fn dimensions(self) -> u64 {
        match self {
            Self::Floats(count) | Self::Packed(count) => count,
        }
    }

    /// The shape of valid JSON; nothing when it is no vector.
    pub(super) fn of(embedding: &RawValue) -> Option<Self> {
        let text = embedding.get();
        let count = match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            Some(inside) => Self::Floats(numbers(inside)?),
            None => Self::Packed(packed(&raw::text(embedding)?)?),
        };
        (count.dimensions() > 0).then_some(count)
    }
}

/// Numbers between commas. The text is known to be JSON, so whatever is made of these bytes alone is a number.
fn numbers(inside: &str) -> Option<u64> {
    let mut commas = 0;
    let mut has_digit = false;
    for byte in inside.bytes() {
        match byte {
            b',' => commas += 1,
            b'0'..=b'9' => has_digit = true,
            b'+' | b'-' | b'.' | b'E' | b'e' | b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => return None,
        }
    }
    has_digit.then_some(commas + 1)
}

/// 32-bit numbers in a base64 text with its padding.
fn packed(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if !text.len().is_multiple_of(4) || padding > 2 || !digits.bytes().all(is_digit) {
        return None;
    }
    let bytes = text.len() as u64 / 4 * 3 - padding as u64;
    bytes.is_multiple_of(4).then_some(bytes / 4)
}
