//! Text fields: length, pattern and closed words.

use std::{collections::HashMap, sync::LazyLock};

use llmcache_crds::{duration, size, text};
use regex::Regex;
use serde_json::Value;

use crate::validate::{
    definition::{INVALIDATION, POLICY},
    problem::Problems,
    suggest::nearest,
};

/// Every pattern of the schemas, compiled once.
static PATTERNS: LazyLock<HashMap<&str, Regex>> = LazyLock::new(|| {
    let mut patterns = HashMap::new();
    collect_patterns(&POLICY.spec, &mut patterns);
    collect_patterns(&INVALIDATION.spec, &mut patterns);
    patterns
});

/// Judges one text. Length counts characters, as the API server does.
pub(super) fn check(schema: &Value, written: &str, value: &Value, path: &str, problems: &mut Problems<'_>) {
    if let Some(variants) = schema["enum"].as_array() {
        if !variants.contains(value) {
            let names = variants.iter().filter_map(Value::as_str);
            let fix = match nearest(written, names) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "write one of the words allowed".into(),
            };
            problems.push(path, Some(value), "is not a word of this field", &allowed(schema), &fix);
        }
        return;
    }
    let length = written.chars().count() as u64;
    let least = schema["minLength"].as_u64().unwrap_or(0);
    let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    if !(least..=most).contains(&length) {
        let message = format!("has {length} characters");
        let fix = if length < least {
            "write a value or remove the field"
        } else {
            "shorten it"
        };
        let allowed = format!("{least}…{most} characters");
        problems.push(path, Some(value), &message, &allowed, fix);
    }
    let Some(pattern) = schema["pattern"].as_str() else {
        return;
    };
    if (length > 0 || least == 0) && !matches(pattern, written) {
        let fix = format!("write {}", example(schema, value));
        problems.push(path, Some(value), "is malformed", &allowed(schema), &fix);
    }
}

/// What a text field takes, in words.
pub(super) fn allowed(schema: &Value) -> String {
    if let Some(variants) = schema["enum"].as_array() {
        let names: Vec<_> = variants.iter().filter_map(Value::as_str).collect();
        return names.join(", ");
    }
    match schema["pattern"].as_str() {
        Some(duration::PATTERN) => rule_range(schema).unwrap_or_else(|| "a duration".into()),
        Some(size::PATTERN) => rule_range(schema).unwrap_or_else(|| "a size".into()),
        pattern => {
            let form = pattern.map(|pattern| text::words(pattern).unwrap_or(pattern));
            let least = schema["minLength"].as_u64().unwrap_or(0);
            let length = format!("{least}…{} characters", schema["maxLength"]);
            form.map_or_else(|| length.clone(), |form| format!("{length}: {form}"))
        }
    }
}

/// What to write instead, by the form of the field.
pub(super) fn example(schema: &Value, value: &Value) -> String {
    match schema["pattern"].as_str() {
        Some(duration::PATTERN) => "a duration in h, m, s and ms, such as 30s, 5m or 1h30m".into(),
        Some(size::PATTERN) => "a size in Ki, Mi or Gi, such as 64Mi".into(),
        Some(text::URL) => "the base URL as the SDK takes it, such as https://api.anthropic.com".into(),
        Some(text::LABEL | text::SUBDOMAIN) => {
            "lower-case letters, digits and inner hyphens, such as support-bot".into()
        }
        Some(text::TAG) => "text with {user}, {model}, {class} or {header:NAME}, such as doc:{header:x-doc-id}".into(),
        Some(text::NOT_BLANK) => "a word that is not only white space".into(),
        Some(_) if value.is_string() => "only the characters allowed".into(),
        _ => format!("it in quotes: \"{value}\""),
    }
}

/// Whether a text has a form; a pattern that does not compile lets nothing pass.
fn matches(pattern: &str, text: &str) -> bool {
    PATTERNS.get(pattern).is_some_and(|regex| regex.is_match(text))
}

fn collect_patterns<'a>(schema: &'a Value, patterns: &mut HashMap<&'a str, Regex>) {
    if let Some(pattern) = schema["pattern"].as_str()
        && let Ok(regex) = Regex::new(pattern)
    {
        patterns.insert(pattern, regex);
    }
    let fields = schema["properties"].as_object().into_iter().flatten();
    let inner = fields.map(|(_, field)| field).chain(
        [&schema["items"], &schema["additionalProperties"]]
            .into_iter()
            .filter(|inner| inner.is_object()),
    );
    for schema in inner {
        collect_patterns(schema, patterns);
    }
}

fn rule_range(schema: &Value) -> Option<String> {
    let message = schema["x-kubernetes-validations"][0]["message"].as_str()?;
    Some(llmcache_crds::rule::Words::of(message).allowed)
}

#[cfg(test)]
mod tests {
    use llmcache_policy::duration as reader;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What passes here is read by `compile` without a fallback, and nothing that it could read is refused.
        #[test]
        fn form_and_reader_of_durations_and_sizes_agree(text in "([0-9]{0,6}(h|m|s|ms|d)?){0,5}|[0-9]{0,11}(K|Ki|Mi|Gi|)") {
            prop_assert_eq!(matches(duration::PATTERN, &text), reader::parse(&text).is_some());
            prop_assert_eq!(matches(size::PATTERN, &text), size::parse(&text).is_some());
            if matches(duration::PATTERN, &text) {
                prop_assert!(text.len() <= duration::MAX_LENGTH);
            }
        }
    }
}
