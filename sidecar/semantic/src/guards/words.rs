//! Words of a question: originals, lower case and a light stem.

use std::sync::LazyLock;

use regex::Regex;

/// One word.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) original: String,
    pub(super) lower: String,
    pub(super) stem: String,
    /// First of its sentence, where a capital says nothing.
    pub(super) is_first: bool,
}

/// `None` only if the pattern were wrong, which the tests would see.
static WORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{M}\p{N}_]+(?:'[\p{L}]+)*(?:\+\+|#)?").ok());

/// Splits `text` (NFKC) into words; a possessive `'s` is dropped.
pub(super) fn split(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut end = 0;
    for found in WORD.iter().flat_map(|pattern| pattern.find_iter(text)) {
        let between = text.get(end..found.start()).unwrap_or_default();
        let is_first = words.is_empty() || between.contains(['.', '!', '?', '\n', ':']);
        end = found.end();
        let original = found.as_str().trim_end_matches("'s");
        let lower = original.to_lowercase();
        words.push(Word {
            original: original.to_owned(),
            stem: stem(&lower),
            lower,
            is_first,
        });
    }
    words
}

/// Strips common English endings; it only has to treat both sides alike.
pub(super) fn stem(lower: &str) -> String {
    let mut stem = lower;
    for ending in ["ing", "ed", "es", "s"] {
        if let Some(rest) = stem
            .strip_suffix(ending)
            .filter(|rest| rest.len() >= 3 && !(ending == "s" && rest.ends_with('s')))
        {
            stem = rest;
            break;
        }
    }
    if stem.len() > 3 {
        stem = stem.strip_suffix('e').unwrap_or(stem);
    }
    let mut last = stem.chars().rev();
    match (last.next(), last.next()) {
        (Some(x), Some(y)) if x == y && stem.len() > 3 => stem.strip_suffix(x).unwrap_or(stem).to_owned(),
        _ => stem.to_owned(),
    }
}
