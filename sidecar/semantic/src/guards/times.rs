//! Days, months, times of day, and periods counted from now.

use std::collections::BTreeSet;

use super::words::Word;

const NAMES: [&str; 33] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "today",
    "tomorrow",
    "yesterday",
    "tonight",
    "morning",
    "noon",
    "afternoon",
    "evening",
    "night",
    "midnight",
    "weekend",
    "weekday",
    "spring",
    "summer",
    "winter",
];
const TURNS: [&str; 4] = ["last", "next", "this", "previous"];
const PERIODS: [&str; 6] = ["hour", "day", "week", "month", "quarter", "year"];

/// Whether the word names a time; "may" and "march" only with a capital inside a sentence.
pub(super) fn is_time(word: &Word) -> bool {
    let name = name(word);
    match name {
        "may" | "march" => !word.is_first && word.original.starts_with('M'),
        _ => NAMES.contains(&name),
    }
}

fn name(word: &Word) -> &str {
    word.lower.strip_suffix('s').unwrap_or(&word.lower)
}

/// The times of a question.
pub(super) fn read(words: &[Word]) -> BTreeSet<String> {
    let named = words
        .iter()
        .filter(|word| is_time(word))
        .map(|word| name(word).to_owned());
    let turned = words.windows(2).filter_map(|pair| match pair {
        [turn, period] if TURNS.contains(&turn.lower.as_str()) && PERIODS.contains(&period.lower.as_str()) => {
            Some(format!("{} {}", turn.lower, period.lower))
        }
        _ => None,
    });
    named.chain(turned).collect()
}
