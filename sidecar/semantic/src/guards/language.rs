//! Which texts are not English: the tables know no other language.

use whatlang::{Lang, Script};

use super::words::Word;

/// Frequent in English and in no other large language's Latin text.
const ENGLISH: [&str; 31] = [
    "the", "is", "are", "what", "how", "my", "of", "does", "can", "you", "your", "for", "and", "with", "who", "when",
    "where", "why", "which", "this", "should", "it", "do", "i", "to", "have", "from", "will", "would", "their", "not",
];

/// Signs of the typographer, which say nothing about the question.
const TYPOGRAPHY: &str = "“”„‘’‚«»‹›–—…·•¿¡";

/// Signs that are neither words nor punctuation, such as emoji: a vector knows no difference between them.
pub(super) fn signs(text: &str) -> Vec<char> {
    let is_sign = |sign: &char| !sign.is_ascii() && !sign.is_alphanumeric() && !sign.is_whitespace();
    text.chars()
        .filter(|sign| is_sign(sign) && !TYPOGRAPHY.contains(*sign))
        .collect()
}

/// Whether the text is in another language than English, as far as its length lets one tell.
pub(super) fn is_foreign(text: &str, words: &[Word]) -> bool {
    let Some(found) = whatlang::detect(text) else {
        return false;
    };
    if found.script() != Script::Latin {
        return true;
    }
    let english = words
        .iter()
        .filter(|word| ENGLISH.contains(&word.lower.as_str()))
        .count();
    let has_accents = text.chars().any(|letter| letter.is_alphabetic() && !letter.is_ascii());
    found.lang() != Lang::Eng
        && english * 6 < words.len().max(1)
        && (found.is_reliable() || has_accents || words.len() >= 4)
}
