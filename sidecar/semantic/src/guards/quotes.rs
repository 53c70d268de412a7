//! Quoted strings.

use std::sync::LazyLock;

use regex::Regex;

use super::Question;

static QUOTED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#""([^"]+)"|“([^”]+)”|«([^»]+)»|(?:^|[\s(])'([^']+)'(?:$|[\s).,?!:;])"#).ok());

/// What `lower` quotes, in order.
pub(super) fn read(lower: &str) -> Vec<String> {
    let found = QUOTED.iter().flat_map(|pattern| pattern.captures_iter(lower));
    found
        .filter_map(|found| {
            found
                .iter()
                .skip(1)
                .flatten()
                .next()
                .map(|part| part.as_str().trim().to_owned())
        })
        .collect()
}

/// Whether both quote and not the same, or one quotes what the other does not say.
pub(super) fn differ(a: &Question, b: &Question) -> bool {
    if !a.quotes.is_empty() && !b.quotes.is_empty() {
        return a.quotes != b.quotes;
    }
    let is_said = |quotes: &[String], other: &Question| quotes.iter().all(|quote| other.lower.contains(quote));
    !is_said(&a.quotes, b) || !is_said(&b.quotes, a)
}
