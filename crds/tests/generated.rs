//! The committed files are those that the types make.

use llmcache_crds::{invalidation_definition, invalidation_schema, policy_definition, policy_schema, reference};
use serde_json::Value;

#[test]
fn committed_files_are_what_the_types_generate() {
    let hint = "run `make generate` and commit the result";
    for (committed, definition) in [
        (include_str!("../llmcachepolicies.yaml"), policy_definition()),
        (include_str!("../llmcacheinvalidations.yaml"), invalidation_definition()),
    ] {
        assert_eq!(committed, reference::definition_yaml(&definition).unwrap(), "{hint}");
    }
    assert_eq!(include_str!("../README.md"), reference::markdown(), "{hint}");
}

#[test]
fn definition_fits_the_annotation_of_a_client_side_apply() {
    assert!(reference::definition_yaml(&policy_definition()).unwrap().len() < 200_000);
}

#[test]
fn every_optional_field_names_its_default_and_every_string_and_list_is_bounded() {
    let mut problems = Vec::new();
    for schema in [policy_schema(), invalidation_schema()] {
        check("spec", &schema["properties"]["spec"], &mut problems);
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

fn check(path: &str, schema: &Value, problems: &mut Vec<String>) {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let description = field["description"].as_str().unwrap_or_default();
        let says_default = description.contains("Default: ");
        let is_required = required.iter().any(|required| *required == name);
        if is_required == says_default {
            problems.push(format!("{path}: either required or with a default: {description:?}"));
        }
        check(&path, field, problems);
    }
    let bound = match schema["type"].as_str() {
        Some("string") if schema["enum"].is_array() => "enum",
        Some("string") => "maxLength",
        Some("array") => "maxItems",
        Some("number" | "integer") => "maximum",
        Some("object") if schema["additionalProperties"].is_object() => "maxProperties",
        _ => "type",
    };
    if schema[bound].is_null() {
        problems.push(format!("{path}: no {bound}"));
    }
    if schema["type"] == "array" && schema["x-kubernetes-list-type"] != "atomic" {
        problems.push(format!("{path}: the list is not atomic"));
    }
    for forbidden in ["default", "multipleOf", "nullable"] {
        if schema.get(forbidden).is_some() {
            problems.push(format!("{path}: the schema has {forbidden}"));
        }
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            check(&format!("{path}[]"), &schema[inner], problems);
        }
    }
}
