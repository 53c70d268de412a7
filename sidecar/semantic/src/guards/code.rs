//! Identifiers and literals of code: back-ticked text, `snake_case`, `camelCase`, paths, flags, operators.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;

use super::Question;

static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"`[^`]+`|--?[A-Za-z][\w-]*|\w+_\w+|[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*|\w+\(\)|#\w+",
        r"|[~.]?/[\w./-]+|[A-Za-z]\w*(?:(?:\.|::)[A-Za-z]\w*)+|[=!<>]=|&&|\|\||[<>]",
    ))
    .ok()
});

/// The code of a text, lower case, without back-ticks.
pub(super) fn read(text: &str) -> BTreeSet<String> {
    let found = CODE.iter().flat_map(|pattern| pattern.find_iter(text));
    found
        .filter(|found| !is_hyphen(text, found))
        .map(|found| found.as_str().replace('`', "").to_lowercase())
        .collect()
}

/// A hyphen inside a word starts no flag.
fn is_hyphen(text: &str, found: &regex::Match<'_>) -> bool {
    let before = text.get(..found.start()).and_then(|before| before.chars().next_back());
    found.as_str().starts_with(['-', '/']) && before.is_some_and(char::is_alphanumeric)
}

/// Whether code of one side is nowhere on the other.
pub(super) fn differ(a: &Question, b: &Question) -> bool {
    let is_said = |code: &BTreeSet<String>, other: &Question| code.iter().all(|part| other.lower.contains(part));
    !is_said(&a.code, b) || !is_said(&b.code, a)
}
