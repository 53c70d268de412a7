//! Keywords in free text: Unicode case-folded, on word boundaries, inner white space matching any run, no stemming.

use serde::{Deserialize, Serialize};

/// A list of keywords, each already [folded](fold).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Keywords(Vec<String>);

impl Keywords {
    /// Folds each keyword once, so that requests only fold their text.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self(words.into_iter().map(fold).filter(|word| !word.is_empty()).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether at least one is in a folded text, not touching a letter or digit.
    pub fn any_in(&self, folded_text: &str) -> bool {
        self.0.iter().any(|word| is_in(word, folded_text))
    }
}

/// The form in which texts and keywords are compared: lower case of upper case (so that `ß` and `SS`, `ς` and `Σ`
/// meet), every run of white space one space, none at the ends.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        if word.is_ascii() {
            folded.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        } else {
            folded.extend(word.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase));
        }
    }
    folded
}

fn is_in(word: &str, text: &str) -> bool {
    text.match_indices(word).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyword_is_found_only_on_word_boundaries() {
        let cases = [
            ("design", "Design a cache", true),
            ("design", "redesigned", false),
            ("design", "design_doc", true),
            ("now", "know", false),
            ("set up", "please SET\n  UP this", true),
            ("straße", "die STRASSE", true),
            ("c++", "is c++ fast", true),
            ("now", "know now", true),
            ("ΣΊΣΥΦΟΣ", "σίσυφος", true),
        ];
        for (word, text, expected) in cases {
            assert_eq!(Keywords::new([word]).any_in(&fold(text)), expected, "{word} in {text}");
        }
    }
}
