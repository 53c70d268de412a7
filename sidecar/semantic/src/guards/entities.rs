//! Names: capitalised words inside a sentence, and well-known names in any case.

use std::collections::BTreeSet;

use super::{Question, numbers, times, words::Word};

/// Names that people also write in lower case or at the start of a sentence.
const KNOWN: [&str; 66] = [
    "python",
    "rust",
    "java",
    "javascript",
    "typescript",
    "c",
    "c++",
    "c#",
    "golang",
    "ruby",
    "php",
    "perl",
    "kotlin",
    "haskell",
    "scala",
    "france",
    "germany",
    "spain",
    "italy",
    "portugal",
    "poland",
    "england",
    "britain",
    "ireland",
    "sweden",
    "norway",
    "denmark",
    "finland",
    "china",
    "japan",
    "india",
    "canada",
    "mexico",
    "brazil",
    "australia",
    "russia",
    "ukraine",
    "egypt",
    "usa",
    "uk",
    "english",
    "french",
    "german",
    "spanish",
    "italian",
    "portuguese",
    "chinese",
    "japanese",
    "korean",
    "russian",
    "linux",
    "windows",
    "macos",
    "android",
    "iphone",
    "postgres",
    "mysql",
    "redis",
    "mongodb",
    "docker",
    "kubernetes",
    "paypal",
    "visa",
    "mastercard",
    "london",
    "paris",
];

/// Words that are written in capitals and name nothing.
const NO_NAMES: [&str; 2] = ["i", "ok"];

/// The names of a question, as stems.
pub(super) fn read(words: &[Word]) -> BTreeSet<String> {
    let capitals = words.iter().filter(|word| is_capital(word)).count();
    // In a heading or a shout every word has a capital: it says nothing there.
    let is_heading = words.len() >= 3 && capitals * 3 > words.len() * 2;
    words
        .iter()
        .enumerate()
        .filter(|(at, word)| {
            let is_named = !is_heading && is_capital(word) && !word.is_first && !word.lower.starts_with("i'");
            let is_known = KNOWN.contains(&word.lower.as_str());
            (is_known || (is_named && !NO_NAMES.contains(&word.lower.as_str()) && !times::is_time(word)))
                && !is_unit(words, *at)
        })
        .map(|(_, word)| word.stem.clone())
        .collect()
}

/// Whether the word is the unit of a number, which the numbers guard compares.
fn is_unit(words: &[Word], at: usize) -> bool {
    let is_after_number = at
        .checked_sub(1)
        .and_then(|before| words.get(before))
        .is_some_and(|word| word.lower.chars().all(char::is_numeric));
    is_after_number && words.get(at).is_some_and(|word| numbers::unit(&word.lower).is_some())
}

fn is_capital(word: &Word) -> bool {
    word.original.chars().next().is_some_and(char::is_uppercase)
}

/// Whether a name of one side is nowhere on the other.
pub(super) fn differ(a: &Question, b: &Question) -> bool {
    !a.entities.is_subset(&b.stems) || !b.entities.is_subset(&a.stems)
}
