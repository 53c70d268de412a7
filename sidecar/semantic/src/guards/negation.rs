//! Negating words.

use super::words::Word;

const NEGATIONS: [&str; 19] = [
    "not", "never", "no", "none", "nobody", "nothing", "nowhere", "neither", "nor", "without", "cannot", "unable",
    "hardly", "except", "cant", "dont", "non", "lack", "lacks",
];

/// How many words negate.
pub(super) fn count(words: &[Word]) -> usize {
    words
        .iter()
        .filter(|word| word.lower.ends_with("n't") || NEGATIONS.contains(&word.lower.as_str()))
        .count()
}
