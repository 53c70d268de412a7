//! Words, durations and sizes of a valid policy. Validation has read each once, so a fallback is never taken.

use std::collections::BTreeMap;

use llmcache_crds::{policy, size};
use llmcache_policy::{Mode, duration, keyword::Keywords};

pub(super) fn mode(written: policy::Mode) -> Mode {
    match written {
        policy::Mode::Enforce => Mode::Enforce,
        policy::Mode::Observe => Mode::Observe,
        policy::Mode::Disabled => Mode::Disabled,
    }
}

/// Milliseconds of a duration, or of its default when it is absent.
pub(super) fn milliseconds(written: Option<&String>, default: &str) -> u64 {
    let text = written.map_or(default, String::as_str);
    let read = duration::parse(text).unwrap_or_default();
    // The pattern bounds a duration to 20 digits of hours over four terms: far below 2^64 milliseconds.
    u64::try_from(read.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes of a size, or of its default when it is absent.
pub(super) fn bytes(written: Option<&String>, default: &str) -> u64 {
    let text = written.map_or(default, String::as_str);
    size::parse(text).unwrap_or_default()
}

pub(super) fn keywords(written: Option<&Vec<String>>) -> Keywords {
    Keywords::new(written.into_iter().flatten().map(String::as_str))
}

/// Header names compare without case, so they are kept in lower case.
pub(super) fn headers(written: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    written
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect()
}

/// A share of 1 in ten-thousandths: rounded once, here.
pub(super) fn ten_thousandths(share: f64) -> u16 {
    // By way of text: a float has no checked conversion, and the schema bounds every share to 0…1.
    format!("{:.0}", share * 10_000.0).parse().unwrap_or_default()
}
