//! Guards: vetoes on a pair of questions that read alike but ask for different answers.
//!
//! Model-free and pure. A guard errs towards the veto: a lost hit costs one call, a wrong hit costs trust.

mod antonyms;
mod code;
mod comparison;
mod entities;
mod language;
mod negation;
mod numbers;
mod question_type;
mod quotes;
#[cfg(test)]
mod tests;
mod times;
mod words;

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;

use words::Word;

/// Version of the tables; a change starts new evidence, because it changes which pairs are served.
pub const SET: &str = "1";

/// One question, prepared once for any number of comparisons.
#[derive(Debug, Clone)]
pub struct Question {
    words: Vec<Word>,
    stems: BTreeSet<String>,
    /// The words in lower case, one space between them.
    tidy: String,
    /// The text in NFKC and lower case, punctuation kept.
    lower: String,
    numbers: Vec<String>,
    negations: usize,
    entities: BTreeSet<String>,
    times: BTreeSet<String>,
    quotes: Vec<String>,
    code: BTreeSet<String>,
    kind: question_type::Kind,
    is_foreign: bool,
    signs: Vec<char>,
}

impl Question {
    /// Reads any text, also an empty one; never fails.
    pub fn read(text: &str) -> Self {
        let text: String = text.nfkc().collect::<String>().replace(['’', '‘'], "'");
        let words = words::split(&text);
        let lower = text.to_lowercase();
        Self {
            stems: words.iter().map(|word| word.stem.clone()).collect(),
            tidy: words
                .iter()
                .map(|word| word.lower.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            numbers: numbers::read(&lower),
            negations: negation::count(&words),
            entities: entities::read(&words),
            times: times::read(&words),
            quotes: quotes::read(&lower),
            code: code::read(&text),
            kind: question_type::read(&words),
            is_foreign: language::is_foreign(&text, &words),
            signs: language::signs(&text),
            words,
            lower,
        }
    }
}

/// What kind of difference vetoed a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    /// Other numbers, or the same with other units.
    Numbers,
    /// One is negated, the other is not.
    Negation,
    /// A word on one side, its opposite on the other.
    Antonyms,
    /// Opposite comparatives, or arguments exchanged.
    Comparison,
    /// Other names.
    Entities,
    /// Other days, months or times of day.
    Times,
    /// Other quoted text.
    Quotes,
    /// Other identifiers or literals.
    Code,
    /// Asks for another kind of answer.
    QuestionType,
    /// Not English and not near-identical, or other signs such as emoji.
    Language,
}

impl Guard {
    /// Every guard, in the order in which they are asked.
    pub const ALL: [Self; 10] = [
        Self::Numbers,
        Self::Negation,
        Self::Antonyms,
        Self::Comparison,
        Self::Entities,
        Self::Times,
        Self::Quotes,
        Self::Code,
        Self::QuestionType,
        Self::Language,
    ];

    /// The guard's name in metrics and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Numbers => "numbers",
            Self::Negation => "negation",
            Self::Antonyms => "antonyms",
            Self::Comparison => "comparison",
            Self::Entities => "entities",
            Self::Times => "times",
            Self::Quotes => "quotes",
            Self::Code => "code",
            Self::QuestionType => "question_type",
            Self::Language => "language",
        }
    }

    fn is_against(self, a: &Question, b: &Question) -> bool {
        match self {
            Self::Numbers => a.numbers != b.numbers,
            Self::Negation => a.negations != b.negations,
            Self::Antonyms => antonyms::differ(a, b),
            Self::Comparison => comparison::differ(a, b),
            Self::Entities => entities::differ(a, b),
            Self::Times => a.times != b.times,
            Self::Quotes => quotes::differ(a, b),
            Self::Code => code::differ(a, b),
            Self::QuestionType => a.kind.is_against(b.kind),
            Self::Language => a.signs != b.signs || ((a.is_foreign || b.is_foreign) && a.tidy != b.tidy),
        }
    }
}

/// The first guard against serving the answer to one question for the other. Symmetric.
pub fn veto(a: &Question, b: &Question) -> Option<Guard> {
    Guard::ALL.into_iter().find(|guard| guard.is_against(a, b))
}
