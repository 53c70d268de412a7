//! What a scalar without quotes means.

use serde_json::{Number, Value};

/// Words that YAML 1.1 reads as booleans and YAML 1.2 as text.
const BARE: [(&[&str], bool); 2] = [(&["y", "yes", "on"], true), (&["n", "no", "off"], false)];

/// The boolean that YAML 1.1 sees in a word which looks like text.
pub(super) fn bare_boolean(word: &str) -> Option<bool> {
    BARE.into_iter()
        .find_map(|(words, value)| words.iter().any(|known| is_one_case(known, word)).then_some(value))
}

/// The value of a plain scalar.
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
    if ["", "+", "-"].iter().any(|sign| is_unbounded(sign, text)) {
        // No JSON number, so no field takes it.
        return Value::Null;
    }
    number(text).map_or_else(|| text.into(), Value::Number)
}

/// Whole numbers in base 10, 16, 8 (a leading 0 or 0o) or 2, then decimal fractions; `_` separates digits.
fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    let compact = text.replace('_', "");
    whole(&compact).map(Number::from).or_else(|| decimal(&compact))
}

fn whole(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let based = [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)]
        .into_iter()
        .find_map(|(prefix, base)| Some((lower.strip_prefix(prefix)?, base)))
        .filter(|(rest, _)| !rest.is_empty());
    let (digits, base) = based.unwrap_or((&lower, 10));
    let is_unsigned = !digits.starts_with(['+', '-']);
    let number = i64::from_str_radix(&format!("{sign}{digits}"), base);
    number.ok().filter(|_| is_unsigned)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let unsigned = |text: &'_ str| text.strip_prefix(['+', '-']).unwrap_or(text).to_owned();
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let text = unsigned(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = unsigned(exponent);
    let lacks_digits = exponent.is_empty() || (before.is_empty() && after.is_empty());
    !lacks_digits && [before, after, &exponent].into_iter().all(is_digits)
}

/// A fraction without a fractional part is the whole number, as in JSON.
fn decimal(text: &str) -> Option<Number> {
    let float: f64 = text.parse().ok().filter(|_| is_decimal(text))?;
    if float.fract() == 0.0 && float.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        let whole = float as i64;
        return Some(whole.into());
    }
    Number::from_f64(float)
}

fn is_unbounded(sign: &str, text: &str) -> bool {
    let word = text.strip_prefix(sign).unwrap_or_default();
    [".inf", ".Inf", ".INF"].contains(&word) || (sign.is_empty() && [".nan", ".NaN", ".NAN"].contains(&word))
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
            ("1e3", json!(1000)),
            ("1e+3", json!(1000)),
            ("1.e-1", json!(0.1)),
            ("1e", json!("1e")),
            (".e1", json!(".e1")),
            ("-.inf", json!(null)),
            (".NaN", json!(null)),
            ("-.nan", json!("-.nan")),
            ("0", json!(0)),
            ("010", json!(8)),
            ("08", json!(8)),
            ("0x1F", json!(31)),
            ("-0b11", json!(-3)),
            ("0o17", json!(15)),
            ("0x", json!("0x")),
            ("1_000", json!(1000)),
            ("1_0.5", json!(10.5)),
            (".5", json!(0.5)),
            ("1.", json!(1)),
            ("--1", json!("--1")),
            ("0x-1", json!("0x-1")),
            ("2026-01-01", json!("2026-01-01")),
            ("99999999999999999999", json!(1e20)),
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
