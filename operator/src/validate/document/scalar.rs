//! What a scalar without quotes means.

use serde_json::{Number, Value};

/// Words that YAML 1.1 reads as booleans and YAML 1.2 as text.
const BARE: [(&[&str], bool); 2] = [(&["y", "yes", "on"], true), (&["n", "no", "off"], false)];

/// The boolean that YAML 1.1 sees in a word which looks like text.
pub(super) fn bare_boolean(word: &str) -> Option<bool> {
    BARE.into_iter()
        .find_map(|(words, value)| words.iter().any(|known| is_one_case(known, word)).then_some(value))
}

/// The value of a plain scalar. Numbers in forms that readers disagree on (`010`, `1_000`, `.inf`) stay text, so that a
/// number field refuses them.
pub(super) fn plain(text: &str) -> Value {
    if text.is_empty() || text == "~" || is_one_case("null", text) {
        return Value::Null;
    }
    if is_one_case("true", text) {
        return true.into();
    }
    if is_one_case("false", text) {
        return false.into();
    }
    if let Some(value) = bare_boolean(text) {
        return value.into();
    }
    number(text).map_or_else(|| text.into(), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let has_digit_first = unsigned.starts_with(|c: char| c.is_ascii_digit());
    let is_padded =
        unsigned.len() > 1 && unsigned.starts_with('0') && unsigned[1..].starts_with(|c: char| c.is_ascii_digit());
    let is_number_like = unsigned.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    if !has_digit_first || is_padded || !is_number_like {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    text.parse().ok().and_then(Number::from_f64)
}

/// Lower, upper or capitalised, as YAML spells its words.
fn is_one_case(known: &str, word: &str) -> bool {
    let is_capitalised = || {
        let (first, rest) = (word.get(..1), word.get(1..));
        rest == known.get(1..) && first == known.to_ascii_uppercase().get(..1)
    };
    known == word || known.to_ascii_uppercase() == word || is_capitalised()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalar_means_what_yaml_1_1_reads() {
        let cases = [
            ("off", json!(false)),
            ("On", json!(true)),
            ("YES", json!(true)),
            ("n", json!(false)),
            ("oN", json!("oN")),
            ("true", json!(true)),
            ("True", json!(true)),
            ("tRue", json!("tRue")),
            ("null", json!(null)),
            ("~", json!(null)),
            ("", json!(null)),
            ("12", json!(12)),
            ("-3", json!(-3)),
            ("+3", json!(3)),
            ("0.80", json!(0.8)),
            ("1e3", json!(1000.0)),
            ("0", json!(0)),
            ("010", json!("010")),
            ("1_000", json!("1_000")),
            (".5", json!(".5")),
            ("5m", json!("5m")),
            ("1.2.3", json!("1.2.3")),
            ("-", json!("-")),
            ("é", json!("é")),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }
}
