use std::fs;

use super::*;

/// Every field of the format written with a value that is not its default.
const FULL: &str = include_str!("../../../testdata/full.yaml");

/// The snapshot of a policy beside the one that is committed.
fn compare(text: &str, golden: &str) {
    let loaded = load(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let snapshot = serde_json::to_value(compile(&loaded.policies[0].0)).unwrap();
    let path = format!("{}/testdata/{golden}", env!("CARGO_MANIFEST_DIR"));
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
    let pretty = serde_json::to_string_pretty(&snapshot).unwrap();
    assert_eq!(snapshot, committed, "{path} should be:\n{pretty}");
}

#[test]
fn full_policy_compiles_to_the_committed_snapshot() {
    compare(FULL, "full.json");
}

#[test]
fn empty_policy_compiles_to_the_committed_defaults() {
    let text = "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {name: empty}\nspec: {}\n";
    compare(text, "empty.json");
}

#[test]
fn full_policy_leaves_no_field_of_the_format_out() {
    let loaded = load(FULL).unwrap();
    let written = serde_json::to_value(loaded.policies[0].0.policy()).unwrap();
    let schema = llmcache_crds::policy_schema();
    let mut absent = Vec::new();
    collect_absent("spec", &schema["properties"]["spec"], &written["spec"], &mut absent);
    assert!(absent.is_empty(), "{absent:#?}");
}

fn collect_absent(path: &str, schema: &Value, value: &Value, absent: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let written = match value {
            Value::Array(items) => items.iter().find_map(|item| item.get(name)),
            value => value.get(name),
        };
        match written {
            None => absent.push(path),
            Some(written) => {
                collect_absent(&path, field, written, absent);
                collect_absent(&path, &field["items"], written, absent);
            }
        }
    }
}
