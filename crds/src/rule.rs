//! Cross-field rules of the schema, written in CEL, and the one form of their messages.

use serde_json::{Value, json};

const ALLOWED: &str = "; allowed: ";
const FIX: &str = "; fix: ";

/// What a rule says when it fails: the parts a reader needs, in the order of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub allowed: String,
    /// What to do.
    pub fix: String,
}

impl Words {
    /// Takes a message of this schema apart; a foreign message is all `message`.
    pub fn of(text: &str) -> Self {
        let (rest, fix) = text.split_once(FIX).unwrap_or((text, ""));
        let (message, allowed) = rest.split_once(ALLOWED).unwrap_or((rest, ""));
        Self {
            message: message.into(),
            allowed: allowed.into(),
            fix: fix.into(),
        }
    }
}

/// One rule over `self`.
pub(crate) fn rule(cel: &str, message: &str, allowed: &str, fix: &str) -> Value {
    json!({"rule": cel, "message": format!("{message}{ALLOWED}{allowed}{FIX}{fix}")})
}

/// A rule whose failure is shown at a field below `self`.
pub(crate) fn at(field: &str, mut rule: Value) -> Value {
    rule["fieldPath"] = field.into();
    rule
}

/// A duration of at least `min` and at most `max`.
pub(crate) fn duration_between(min: &str, max: &str) -> Value {
    json!([rule(
        &format!("duration(self) >= duration('{min}') && duration(self) <= duration('{max}')"),
        "duration is out of bounds",
        &format!("{min}…{max}"),
        &format!("write a duration from {min} to {max}"),
    )])
}

/// A number of at least `min` and at most `max`. The API server cuts fractions off the schema's bounds where the value has
/// none: without this rule it takes 0 for a share of at least 0.5.
pub(crate) fn number_between(min: &str, max: &str) -> Value {
    json!([rule(
        &format!("double(self) >= {min} && double(self) <= {max}"),
        "number is out of bounds",
        &format!("{min}…{max}"),
        &format!("write a number from {min} to {max}"),
    )])
}

/// A size of at least `min` and at most `max`.
pub(crate) fn size_between(min: &str, max: &str) -> Value {
    json!([rule(
        &format!(
            "quantity(self).compareTo(quantity('{min}')) >= 0 && quantity(self).compareTo(quantity('{max}')) <= 0"
        ),
        "size is out of bounds",
        &format!("{min}…{max}"),
        &format!("write a size from {min} to {max}"),
    )])
}

/// Every item of a list has a name of its own.
pub(crate) fn unique_names() -> Value {
    json!([rule(
        "self.all(a, self.exists_one(b, b.name == a.name))",
        "two items have the same name",
        "names unique in the list",
        "rename one of them",
    )])
}

/// Every item of a list of strings occurs once.
pub(crate) fn unique_items() -> Value {
    json!([rule(
        "self.all(a, self.exists_one(b, b == a))",
        "an item occurs twice",
        "each item once",
        "remove the repetition",
    )])
}

/// Names of a header condition are header names.
pub(crate) fn header_names() -> Value {
    json!([rule(
        "self.all(name, name.matches('^[A-Za-z0-9_-]{1,64}$'))",
        "a header name is malformed",
        "1 to 64 letters, digits, - and _",
        "write the header's name as clients send it, such as x-content-class",
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_from_the_message_of_a_rule() {
        let rule = rule("true", "too long", "1…5", "shorten it");
        let expected = Words {
            message: "too long".into(),
            allowed: "1…5".into(),
            fix: "shorten it".into(),
        };
        assert_eq!(Words::of(rule["message"].as_str().unwrap()), expected);
        assert_eq!(Words::of("failed rule: x").message, "failed rule: x");
    }
}
