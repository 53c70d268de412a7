//! One line of `--pairs`.

use serde_json::{Map, Value};

use crate::lines::Wrong;

/// Two questions and whether one answer serves both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) a: String,
    pub(super) b: String,
    pub(super) is_same: bool,
}

/// Reads a line, or names everything wrong with it.
pub(super) fn read(line: &str) -> Result<Pair, Wrong> {
    let object: Map<String, Value> = serde_json::from_str(line).map_err(|error| {
        vec![format!(
            "no JSON object (column {}); write one object a line",
            error.column()
        )]
    })?;
    let (a, b, is_same) = (question(&object, "a"), question(&object, "b"), label(&object));
    match (a, b, is_same) {
        (Ok(a), Ok(b), Ok(is_same)) => Ok(Pair { a, b, is_same }),
        (a, b, is_same) => Err([a.err(), b.err(), is_same.err()].into_iter().flatten().collect()),
    }
}

fn question(object: &Map<String, Value>, field: &str) -> Result<String, String> {
    match object.get(field) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.clone()),
        Some(Value::String(_)) => Err(format!("{field}: empty; write the question")),
        Some(_) => Err(format!("{field}: not a text; write the question as a string")),
        None => Err(format!("{field}: missing; write the question as a string")),
    }
}

fn label(object: &Map<String, Value>) -> Result<bool, String> {
    let (field, value) = match (object.get("same"), object.get("duplicate")) {
        (Some(_), Some(_)) => return Err("same: duplicate is there too; leave one of them out".into()),
        (Some(value), None) => ("same", value),
        (None, Some(value)) => ("duplicate", value),
        (None, None) => return Err("same: missing; write true if one answer serves both, else false".into()),
    };
    match (value, value.as_u64()) {
        (Value::Bool(is_same), _) => Ok(*is_same),
        (_, Some(0)) => Ok(false),
        (_, Some(1)) => Ok(true),
        _ => Err(format!("{field}: {value}: not a label; write true, false, 1 or 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(is_same: bool) -> Pair {
        Pair {
            a: "x".into(),
            b: "y".into(),
            is_same,
        }
    }

    #[test]
    fn either_word_and_either_form_of_the_label_is_read() {
        for (label, is_same) in [
            (r#""same": true"#, true),
            (r#""same": 0"#, false),
            (r#""duplicate": 1, "guard": "numbers""#, true),
            (r#""duplicate": false"#, false),
        ] {
            assert_eq!(
                read(&format!(r#"{{"a": "x", "b": "y", {label}}}"#)),
                Ok(pair(is_same)),
                "{label}"
            );
        }
    }

    #[test]
    fn every_bad_field_is_named_with_its_fix() {
        let cases: [(&str, &[&str]); 4] = [
            ("x", &["no JSON object (column 1); write one object a line"]),
            (
                r#"{"a": 3, "b": " "}"#,
                &[
                    "a: not a text; write the question as a string",
                    "b: empty; write the question",
                    "same: missing; write true if one answer serves both, else false",
                ],
            ),
            (
                r#"{"b": "y", "same": "yes"}"#,
                &[
                    "a: missing; write the question as a string",
                    "same: \"yes\": not a label; write true, false, 1 or 0",
                ],
            ),
            (
                r#"{"a": "x", "b": "y", "same": true, "duplicate": true}"#,
                &["same: duplicate is there too; leave one of them out"],
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line).unwrap_err(), expected, "{line}");
        }
    }
}
