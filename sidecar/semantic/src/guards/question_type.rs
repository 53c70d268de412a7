//! What kind of answer a question asks for.

use super::words::Word;

/// The kinds that can oppose each other; `Open` opposes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Who,
    When,
    Where,
    Why,
    HowTo,
    Count,
    YesNo,
    Open,
}

/// Words before the question proper, as in "can you tell me how".
const LEAD: [&str; 22] = [
    "please", "tell", "me", "can", "could", "would", "you", "do", "know", "explain", "hi", "hello", "and", "so", "i",
    "want", "to", "need", "like", "wonder", "if", "hey",
];

impl Kind {
    /// Whether the answer to one cannot answer the other. "How" and "where can I" often ask the same.
    pub(super) fn is_against(self, other: Self) -> bool {
        let is_open = self == Self::Open || other == Self::Open;
        let is_way = matches!((self, other), (Self::HowTo, Self::Where) | (Self::Where, Self::HowTo));
        self != other && !is_open && !is_way
    }
}

/// The kind, by the first word after any lead.
pub(super) fn read(words: &[Word]) -> Kind {
    let mut rest = words
        .iter()
        .map(|word| word.lower.as_str())
        .skip_while(|word| LEAD.contains(word));
    match (rest.next(), rest.next()) {
        (Some("who" | "whom" | "whose"), _) => Kind::Who,
        (Some("when"), _) => Kind::When,
        (Some("where"), _) => Kind::Where,
        (Some("why"), _) => Kind::Why,
        (Some("how"), Some("do" | "to" | "can" | "should" | "could" | "would")) => Kind::HowTo,
        (Some("how"), Some("many" | "much" | "often" | "long" | "far" | "old")) => Kind::Count,
        (Some("is" | "are" | "was" | "were" | "does" | "did" | "will" | "has" | "have" | "should"), _) => Kind::YesNo,
        _ => Kind::Open,
    }
}
