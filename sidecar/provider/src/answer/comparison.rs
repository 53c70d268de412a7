//! Whether two answers are the same, where that can be told without a model: closed answers, such as a number, a word or
//! JSON. Prose can not: the same model asked twice does not write the same twice.

use serde_json::{Number, Value};

/// Longest answer in words that is no prose.
const MOST_WORDS: usize = 5;
/// The same in bytes.
const MOST_BYTES: usize = 60;

/// Whether two answers are the same; nothing unless both are closed and of one form.
pub fn compare(one: &str, other: &str) -> Option<bool> {
    match (read(one)?, read(other)?) {
        (Closed::Json(one), Closed::Json(other)) => Some(one == other),
        (Closed::Words(one), Closed::Words(other)) => same_words(&one, &other),
        // One of both formats may hold the other's content.
        (Closed::Json(_), Closed::Words(_)) | (Closed::Words(_), Closed::Json(_)) => None,
    }
}

/// An answer that leaves no room for other wording.
enum Closed {
    /// An object or array.
    Json(Value),
    /// Few words, in lower case and without the marks of a sentence around them.
    Words(Vec<String>),
}

fn read(text: &str) -> Option<Closed> {
    let text = unfenced(text.trim());
    if let Ok(json @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(text) {
        return (!holds_prose(&json)).then(|| Closed::Json(with_plain_numbers(json)));
    }
    let words: Vec<String> = text.split_whitespace().map(|word| bare(word).to_lowercase()).collect();
    let is_short = text.len() <= MOST_BYTES && (1..=MOST_WORDS).contains(&words.len());
    is_short.then_some(Closed::Words(words))
}

/// A word without emphasis, quotes and the mark that ends a sentence. Every other sign may be what was asked for.
fn bare(word: &str) -> &str {
    const AROUND: [(char, char); 6] = [('"', '"'), ('\'', '\''), ('`', '`'), ('*', '*'), ('“', '”'), ('(', ')')];
    let mut bare = word;
    loop {
        let before = bare;
        let ended = bare.trim_end_matches(['.', ',', ';', ':', '!', '?']);
        bare = if ended.is_empty() { bare } else { ended };
        for (open, close) in AROUND {
            let inner = bare.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
            bare = inner.filter(|inner| !inner.is_empty()).unwrap_or(bare);
        }
        if bare == before {
            return bare;
        }
    }
}

/// Of as many words; what says the same by more words, or writes one number in two ways, cannot be told.
fn same_words(one: &[String], other: &[String]) -> Option<bool> {
    if one == other {
        return Some(true);
    }
    let mut pairs = one.iter().zip(other);
    let is_known = one.len() == other.len() && !pairs.any(|(one, other)| one != other && is_one_number(one, other));
    is_known.then_some(false)
}

/// Whether two words are one number in two forms, such as 1,000 and 1000. They need not mean one thing: 3.10 may be a
/// version.
fn is_one_number(one: &str, other: &str) -> bool {
    let number = |word: &str| word.replace(',', "").parse::<f64>().ok();
    number(one).is_some() && number(one) == number(other)
}

/// What is inside a fence of three backticks, if the answer is nothing else.
fn unfenced(text: &str) -> &str {
    let inner = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inner.map_or(text, |inner| {
        inner.split_once('\n').map_or(inner, |(_, rest)| rest).trim()
    })
}

/// A text of many words inside of JSON is prose all the same.
fn holds_prose(json: &Value) -> bool {
    match json {
        Value::String(text) => text.split_whitespace().count() > MOST_WORDS,
        Value::Array(list) => list.iter().any(holds_prose),
        Value::Object(members) => members.values().any(holds_prose),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// 1 and 1.0 are one number. A long integer, such as an id, stays exact.
fn with_plain_numbers(json: Value) -> Value {
    match json {
        Value::Number(number) => whole(&number).map_or(Value::Number(number), Value::from),
        Value::Array(list) => list.into_iter().map(with_plain_numbers).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            members.map(|(name, value)| (name, with_plain_numbers(value))).collect()
        }
        other => other,
    }
}

/// The integer that a decimal number without a fraction stands for.
fn whole(number: &Number) -> Option<i64> {
    let text = number.to_string();
    let (digits, fraction) = text.split_once('.')?;
    let is_whole = fraction.bytes().all(|digit| digit == b'0');
    is_whole.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_answers_are_compared_and_prose_is_not() {
        let cases = [
            ("42", "42.", Some(true)),
            ("42", "-42", Some(false)),
            ("Yes", " yes!", Some(true)),
            ("Yes", "No", Some(false)),
            ("$9.99", "$9.90", Some(false)),
            ("positive", "negative", Some(false)),
            (r#"{"a": 1, "b": [true]}"#, r#"{"b":[true],"a":1.0}"#, Some(true)),
            (r#"{"a": 1}"#, "```json\n{\"a\": 2}\n```", Some(false)),
            ("Yes", r#"{"answer": "yes"}"#, None),
            (
                "You can return it within thirty days of purchase.",
                "Within thirty days you may bring it back.",
                None,
            ),
            (
                r#"{"answer": "You can return it within thirty days"}"#,
                r#"{"answer": "Within thirty days you may return it"}"#,
                None,
            ),
            ("", "yes", None),
            ("<5", ">5", Some(false)),
            (".5", "5", Some(false)),
            ("a = b", "a != b", Some(false)),
            ("&&", "||", Some(false)),
            ("**Paris**.", "\"Paris\"", Some(true)),
            ("Paris", "It is Paris.", None),
            ("42.0", "42", None),
            ("1,000", "1000", None),
            ("3.10", "3.1", None),
            ("42 km", "42km", None),
            (
                r#"{"id": 9007199254740993}"#,
                r#"{"id": 9007199254740992}"#,
                Some(false),
            ),
        ];
        for (one, other, expected) in cases {
            assert_eq!(compare(one, other), expected, "{one} | {other}");
            assert_eq!(compare(other, one), expected, "{other} | {one}");
        }
    }
}
