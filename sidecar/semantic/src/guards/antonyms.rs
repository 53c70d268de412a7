//! A word on one side, its opposite on the other, or another of a set in which only one can hold.

use super::{Question, words::stem};

const PAIRS: [(&str, &str); 84] = [
    ("on", "off"),
    ("cancel", "renew"),
    ("start", "stop"),
    ("begin", "end"),
    ("open", "close"),
    ("enable", "disable"),
    ("activate", "deactivate"),
    ("buy", "sell"),
    ("increase", "decrease"),
    ("increase", "reduce"),
    ("raise", "lower"),
    ("up", "down"),
    ("in", "out"),
    ("before", "after"),
    ("above", "below"),
    ("over", "under"),
    ("add", "remove"),
    ("add", "delete"),
    ("create", "delete"),
    ("install", "uninstall"),
    ("import", "export"),
    ("upload", "download"),
    ("upgrade", "downgrade"),
    ("lock", "unlock"),
    ("send", "receive"),
    ("push", "pull"),
    ("encode", "decode"),
    ("encrypt", "decrypt"),
    ("deposit", "withdraw"),
    ("lend", "borrow"),
    ("win", "lose"),
    ("gain", "lose"),
    ("accept", "reject"),
    ("accept", "decline"),
    ("allow", "forbid"),
    ("allow", "block"),
    ("show", "hide"),
    ("first", "last"),
    ("old", "new"),
    ("hot", "cold"),
    ("good", "bad"),
    ("left", "right"),
    ("north", "south"),
    ("east", "west"),
    ("public", "private"),
    ("true", "false"),
    ("male", "female"),
    ("input", "output"),
    ("client", "server"),
    ("read", "write"),
    ("arrive", "depart"),
    ("arrival", "departure"),
    ("subscribe", "unsubscribe"),
    ("advantage", "disadvantage"),
    ("cause", "prevent"),
    ("love", "hate"),
    ("safe", "dangerous"),
    ("legal", "illegal"),
    ("pros", "cons"),
    ("ascending", "descending"),
    ("incoming", "outgoing"),
    ("inbound", "outbound"),
    ("cheap", "expensive"),
    ("cheapest", "expensive"),
    ("good", "harmful"),
    ("attach", "detach"),
    ("minimum", "maximum"),
    ("credit", "debit"),
    ("internal", "external"),
    ("early", "late"),
    ("entry", "exit"),
    ("am", "pm"),
    ("daily", "weekly"),
    ("daily", "monthly"),
    ("daily", "yearly"),
    ("weekly", "monthly"),
    ("weekly", "yearly"),
    ("monthly", "yearly"),
    ("first", "second"),
    ("first", "third"),
    ("first", "fourth"),
    ("second", "third"),
    ("second", "fourth"),
    ("third", "fourth"),
];

const PREFIXES: [&str; 7] = ["un", "in", "im", "ir", "il", "dis", "non"];

/// Whether one side has a word where the other has its opposite.
pub(super) fn differ(a: &Question, b: &Question) -> bool {
    PAIRS.iter().any(|(x, y)| is_opposed(a, b, x, y)) || is_prefixed(a, b) || is_prefixed(b, a)
}

/// Whether `x` is on one side alone and `y` on the other alone.
pub(super) fn is_opposed(a: &Question, b: &Question, x: &str, y: &str) -> bool {
    let (x, y) = (stem(x), stem(y));
    let has = |question: &Question| (question.stems.contains(&x), question.stems.contains(&y));
    matches!(
        (has(a), has(b)),
        ((true, false), (false, true)) | ((false, true), (true, false))
    )
}

fn is_prefixed(a: &Question, b: &Question) -> bool {
    a.stems.difference(&b.stems).any(|word| {
        PREFIXES
            .iter()
            .filter_map(|prefix| word.strip_prefix(prefix))
            .any(|rest| rest.len() >= 3 && b.stems.contains(rest) && !a.stems.contains(rest))
    })
}
