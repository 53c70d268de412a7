//! The values: a closed schema that describes and bounds each, the policy's own schema inside it, a table in the manual.

use std::fmt::Write;
use std::path::Path;

use llmcache_tests::kit::chart;
use serde_json::{Map, Value, json};

use crate::{assert_generated, assert_none, text, yaml};

const TABLE: [&str; 2] = [
    "<!-- values, written by `make generate` -->\n",
    "<!-- end of values -->\n",
];
/// Words by which a description says that a map is open on purpose.
const OPEN: [&str; 2] = ["(free map", "as Kubernetes writes it"];

#[test]
fn every_value_is_described_bounded_and_closed() {
    let mut problems = Vec::new();
    check("values", &schema(), &mut problems);
    assert_none(&problems);
}

#[test]
fn an_open_or_unbounded_value_would_be_seen() {
    let mut problems = Vec::new();
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "array"}}});
    check("values", &schema, &mut problems);
    assert_eq!(problems.len(), 6, "{problems:#?}");
}

#[test]
fn defaults_take_the_fields_of_a_policy_as_the_definition_has_them() {
    let mut schema = schema();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let definition = yaml(&std::fs::read_to_string(root.join("crds/llmcachepolicies.yaml")).unwrap());
    let policy = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut spec = closed(policy);
    // Defaults are for every pod that no policy selects.
    spec["properties"].as_object_mut().unwrap().remove("selector");
    schema["definitions"]["policySpec"] = spec;
    let wanted = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    assert_generated(chart("values.schema.json"), &wanted);
}

#[test]
fn the_manual_has_every_value() {
    let manual = text("README.md");
    let (head, rest) = manual
        .split_once(TABLE[0])
        .expect("the manual has a place for the table of values");
    let (_, tail) = rest.split_once(TABLE[1]).expect("the table of values ends");
    let mut table = "\n| value | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    rows("", &schema(), Some(&yaml(&text("values.yaml"))), &mut table);
    let wanted = [head, TABLE[0], &table, "\n", TABLE[1], tail].concat();
    assert_generated(chart("README.md"), &wanted);
}

fn schema() -> Value {
    serde_json::from_str(&text("values.schema.json")).unwrap()
}

fn check(path: &str, schema: &Value, problems: &mut Vec<String>) {
    if schema["$ref"].is_string() {
        return;
    }
    let description = schema["description"].as_str().unwrap_or_default();
    if description.is_empty() {
        problems.push(format!("{path}: no description"));
    }
    let is = |name: &str| schema["type"] == name || schema["type"][0] == name;
    let bound = match () {
        () if schema["enum"].is_array() || is("boolean") => "type",
        () if is("string") && schema["type"].is_string() => "maxLength",
        () if is("string") => "pattern",
        () if is("array") => "maxItems",
        () if is("integer") || is("number") => "minimum",
        () if schema["additionalProperties"].is_object() => "maxProperties",
        () => "type",
    };
    if schema[bound].is_null() && schema["enum"].is_null() {
        problems.push(format!("{path}: no {bound}"));
    }
    let is_open = schema["additionalProperties"] != false;
    if is("object") && is_open && !OPEN.iter().any(|word| description.contains(word)) {
        problems.push(format!("{path}: open, and the description does not say so"));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        check(&format!("{path}.{name}"), field, problems);
    }
    for inner in ["items", "additionalProperties"] {
        // What a free map holds needs no words of its own.
        if schema[inner]["type"] == "object" || inner == "items" && schema[inner].is_object() {
            check(&format!("{path}[]"), &schema[inner], problems);
        }
    }
}

/// The definition's schema without what only an API server understands, and closed.
fn closed(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !name.starts_with("x-kubernetes-"));
            let mut strict: Map<String, Value> = kept.map(|(name, field)| (name.clone(), closed(field))).collect();
            if strict.get("type").is_some_and(|kind| kind == "object") && strict.contains_key("properties") {
                strict.insert("additionalProperties".into(), false.into());
            }
            Value::Object(strict)
        }
        Value::Array(list) => list.iter().map(closed).collect(),
        other => other.clone(),
    }
}

fn rows(path: &str, schema: &Value, default: Option<&Value>, table: &mut String) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let default = default.map(|values| &values[name.as_str()]);
        let (kind, inner) = kind(field);
        let is_block = field["properties"].is_object() && field["type"] == "object";
        if !is_block {
            let shown = default.map_or_else(|| "–".to_owned(), shown);
            let meaning = field["description"]
                .as_str()
                .unwrap_or("The fields of a policy's `spec`.");
            writeln!(
                table,
                "| `{path}` | {kind} | {shown} | {} |",
                meaning.replace('|', "\\|")
            )
            .unwrap();
        }
        match inner {
            Some((suffix, inner)) => rows(&format!("{path}{suffix}"), inner, None, table),
            None => rows(&path, field, default, table),
        }
    }
}

/// Type and bounds in words, and what the members of a list or map are.
fn kind(field: &Value) -> (String, Option<(&'static str, &Value)>) {
    if let Some(words) = field["enum"].as_array() {
        let words: Vec<_> = words
            .iter()
            .map(|word| format!("`{}`", word.as_str().unwrap()))
            .collect();
        return (words.join(", "), None);
    }
    let kind = field["type"]
        .as_str()
        .or_else(|| field["type"][0].as_str())
        .unwrap_or("block");
    match kind {
        "array" => (
            format!("list, at most {}", field["maxItems"]),
            Some(("[]", &field["items"])),
        ),
        "object" if field["additionalProperties"].is_object() => {
            ("map".into(), Some((".NAME", &field["additionalProperties"])))
        }
        "object" => ("map".into(), None),
        "integer" | "number" if field["maximum"].is_number() => {
            (format!("{kind}, {}…{}", field["minimum"], field["maximum"]), None)
        }
        kind => (kind.into(), None),
    }
}

fn shown(default: &Value) -> String {
    match default {
        Value::Null => "–".into(),
        Value::String(text) if text.is_empty() => "empty".into(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}
