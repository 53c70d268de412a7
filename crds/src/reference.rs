//! The files made from the schemas: the custom resource definitions in YAML and the reference in Markdown.

use std::fmt::Write;

use serde_json::Value;

use crate::{duration, invalidation, invalidation_schema, policy_schema, rule::Words, size, status::CONDITIONS, text};

const EXAMPLE: &str = include_str!("../examples/minimal.yaml");
const INVALIDATION: &str = include_str!("../examples/invalidation/user-left.yaml");
const DEFAULT: &str = "Default: ";

/// A custom resource definition as a file, such as `llmcachepolicies.yaml`.
pub fn definition_yaml(definition: &Value) -> Result<String, serde_yaml::Error> {
    let yaml = serde_yaml::to_string(definition)?;
    Ok(format!(
        "# Generated from the types in crds/src by `make generate`; do not edit.\n{yaml}"
    ))
}

/// The policy reference, as in `README.md`.
pub fn markdown() -> String {
    let rows = rows_of(&policy_schema());
    let invalidation_rows = rows_of(&invalidation_schema());
    let conditions: String = CONDITIONS.into_iter().map(condition_row).collect();
    let invalidation_conditions: String = invalidation::CONDITIONS.into_iter().map(condition_row).collect();
    format!(
        "<!-- Generated from the types in crds/src by `make generate`; do not edit. -->\n\
         # LLMCachePolicy\n\n\
         `llmcache.dev/v1alpha1`, namespaced, short name `lcp`. A policy says what the sidecars of the selected pods do \
         with the calls of their apps to LLM providers. `kubectl get lcp` shows mode, whether it was accepted, whether \
         every sidecar executes it, and how many do.\n\n\
         ```yaml\n{EXAMPLE}```\n\n\
         More in [`examples/`](examples). Every field is optional unless it says *required*; a block that is absent and \
         a block that is present but empty may differ, and each field says how.\n\n\
         ## Fields of `spec`\n\n\
         Durations are written in `h`, `m`, `s` and `ms` (`168h`, `1h30m`), sizes in `Ki`, `Mi` and `Gi`. All conditions \
         of one rule or match must hold; `any…` asks for at least one, `no…` for none. Quote words that YAML 1.1 reads \
         as booleans (`on`, `off`, `yes`, `no`, `y`, `n`).\n\n\
         | field | type | bounds | default | meaning |\n|---|---|---|---|---|\n{rows}\n\
         ## Conditions of `status`\n\n\
         | condition | true when | reasons |\n|---|---|---|\n{conditions}\n\
         # LLMCacheInvalidation\n\n\
         `llmcache.dev/v1alpha1`, namespaced, short name `lci`. Clears stored answers in every sidecar and store of its \
         namespace, once; `kubectl llmcache invalidate` makes one. What a policy's tags put on an answer, `pattern` \
         finds.\n\n\
         ```yaml\n{INVALIDATION}```\n\n\
         ## Fields of `spec`\n\n\
         All that are given must hold. At least one of `pattern`, `model`, `class`, `olderThan` and `name` is needed, and \
         a spec cannot be changed.\n\n\
         | field | type | bounds | default | meaning |\n|---|---|---|---|---|\n{invalidation_rows}\n\
         ## Conditions of `status`\n\n\
         | condition | true when | reasons |\n|---|---|---|\n{invalidation_conditions}"
    )
}

fn rows_of(schema: &Value) -> String {
    let mut rows = String::new();
    write_rows(&mut rows, "", &schema["properties"]["spec"]);
    rows
}

fn condition_row((name, meaning, reasons): (&str, &str, &[&str])) -> String {
    format!("| `{name}` | {meaning} | `{}` |\n", reasons.join("`, `"))
}

fn write_rows(rows: &mut String, path: &str, schema: &Value) {
    for (name, field) in members(&schema["properties"]) {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let is_required = strings(&schema["required"]).any(|required| required == name);
        let (meaning, default) = describe(field);
        let default = if is_required { "*required*" } else { default };
        let _ = writeln!(
            rows,
            "| `{path}` | {} | {} | {} | {} |",
            cell(&kind(field)),
            cell(&bounds(field)),
            cell(default),
            cell(meaning)
        );
        write_rows(rows, &path, field);
        write_rows(rows, &format!("{path}[]"), &field["items"]);
    }
}

/// Meaning and default; schemas wrap doc comments at single line ends.
fn describe(field: &Value) -> (&str, &str) {
    let text = field["description"].as_str().unwrap_or_default();
    text.split_once(DEFAULT).map_or((text, ""), |(meaning, default)| {
        (meaning.trim_end(), default.trim_end().trim_end_matches('.'))
    })
}

fn kind(field: &Value) -> String {
    let name = field["type"].as_str().unwrap_or("any");
    match name {
        "array" => format!("list of {}", kind(&field["items"])),
        "object" if field["additionalProperties"].is_object() => "map of string".into(),
        "object" => "block".into(),
        "string" if field["enum"].is_array() => {
            let words: Vec<_> = strings(&field["enum"]).map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        "string" if field["pattern"] == duration::PATTERN => "duration".into(),
        "string" if field["pattern"] == size::PATTERN => "size".into(),
        _ => name.into(),
    }
}

fn bounds(field: &Value) -> String {
    let mut said = Vec::new();
    for (least, most, unit) in [
        ("minItems", "maxItems", "items"),
        ("minProperties", "maxProperties", "members"),
        ("minLength", "maxLength", "characters"),
        ("minimum", "maximum", ""),
    ] {
        let is_own_form = ["duration", "size"].contains(&kind(field).as_str());
        if !(is_own_form && unit == "characters") {
            said.extend(range(&field[least], &field[most], unit));
        }
    }
    if kind(field) == "string" {
        said.extend(
            field["pattern"]
                .as_str()
                .map(|p| text::words(p).unwrap_or(p).to_owned()),
        );
    }
    for rule in field["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let allowed = Words::of(rule["message"].as_str().unwrap_or_default()).allowed;
        if !said.contains(&allowed) {
            said.push(allowed);
        }
    }
    let items = bounds_of_items(field);
    said.extend(items);
    said.join("; ")
}

fn bounds_of_items(field: &Value) -> Option<String> {
    let inner = [&field["items"], &field["additionalProperties"]]
        .into_iter()
        .find(|inner| inner["type"] == "string")?;
    Some(format!("each {}", bounds(inner)))
}

fn range(least: &Value, most: &Value, unit: &str) -> Option<String> {
    let text = match (least, most) {
        (Value::Null, Value::Null) => return None,
        (least, Value::Null) => format!("at least {least} {unit}"),
        (Value::Null, most) => format!("at most {most} {unit}"),
        (least, most) => format!("{least}…{most} {unit}"),
    };
    Some(text.trim_end().into())
}

/// Text that fits in one cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}
