//! Opposite comparatives, and arguments exchanged around a word that orders them.

use std::collections::BTreeSet;

use super::{Question, antonyms::is_opposed};

const PAIRS: [(&str, &str); 26] = [
    ("more", "less"),
    ("more", "fewer"),
    ("most", "least"),
    ("faster", "slower"),
    ("fastest", "slowest"),
    ("better", "worse"),
    ("best", "worst"),
    ("bigger", "smaller"),
    ("biggest", "smallest"),
    ("larger", "smaller"),
    ("largest", "smallest"),
    ("higher", "lower"),
    ("highest", "lowest"),
    ("longer", "shorter"),
    ("longest", "shortest"),
    ("taller", "shorter"),
    ("tallest", "shortest"),
    ("older", "younger"),
    ("oldest", "youngest"),
    ("oldest", "newest"),
    ("cheaper", "dearer"),
    ("cheapest", "priciest"),
    ("earlier", "later"),
    ("maximum", "minimum"),
    ("max", "min"),
    ("greater", "smaller"),
];

/// Words whose two sides are not interchangeable.
const PIVOTS: [&str; 8] = ["than", "to", "into", "from", "by", "before", "after", "over"];

/// Words that are no arguments.
const PLAIN: [&str; 24] = [
    "a", "an", "the", "i", "my", "me", "you", "your", "we", "it", "is", "are", "do", "does", "can", "how", "what",
    "why", "of", "in", "on", "for", "and", "to",
];

/// Whether the two compare in opposite directions.
pub(super) fn differ(a: &Question, b: &Question) -> bool {
    PAIRS.iter().any(|(x, y)| is_opposed(a, b, x, y)) || PIVOTS.iter().any(|pivot| is_exchanged(a, b, pivot))
}

fn is_exchanged(a: &Question, b: &Question, pivot: &str) -> bool {
    let (Some((a_left, a_right)), Some((b_left, b_right))) = (sides(a, pivot), sides(b, pivot)) else {
        return false;
    };
    !a_left.is_disjoint(&b_right) && !a_right.is_disjoint(&b_left)
}

fn sides<'q>(question: &'q Question, pivot: &str) -> Option<(BTreeSet<&'q str>, BTreeSet<&'q str>)> {
    let at = question.words.iter().position(|word| word.lower == pivot)?;
    let (left, right) = question.words.split_at(at);
    let arguments = |words: &'q [super::Word]| {
        words
            .iter()
            .map(|word| word.lower.as_str())
            .filter(|word| *word != pivot && !PLAIN.contains(word))
            .collect()
    };
    Some((arguments(left), arguments(right)))
}
