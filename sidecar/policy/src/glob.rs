//! Globs over model names and the like: `*` matches any run, everything else itself.

use serde::{Deserialize, Serialize};

/// A pattern in which `*` matches any run of characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(pub String);

impl Glob {
    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        // `split` yields at least one part, also for an empty pattern.
        let Some(rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        let mut rest = rest;
        for part in parts {
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        rest.len() >= last.len() && rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_matches_any_run_and_the_rest_itself() {
        let cases = [
            ("claude-*", "claude-opus-5-5", true),
            ("claude-*", "gpt-6-sol", false),
            ("*", "", true),
            ("auto", "auto", true),
            ("auto", "autos", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("*-5-5", "claude-haiku-5-5", true),
            ("", "x", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Glob(pattern.into()).matches(text), expected, "{pattern} on {text}");
        }
    }
}
