//! Reading raw JSON: what is absent, null or of another type reads as empty.

use serde_json::Value;

/// The items of a list.
pub(super) fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object[field].as_array().map_or(&[], Vec::as_slice)
}

/// A text.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// One annotation of an object.
pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][name].as_str()
}

/// Whether Kubernetes expands a `$(NAME)` in an environment value; `$$` stands for one dollar.
pub(super) fn holds_variable(value: &str) -> bool {
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        match rest.strip_prefix('$') {
            Some(after) => rest = after,
            None if rest.starts_with('(') && rest.contains(')') => return true,
            None => {}
        }
    }
    false
}

/// A user's text for a message: quoted, without control characters, at most 64 characters.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(64).collect();
    format!("{short:?}")
}
