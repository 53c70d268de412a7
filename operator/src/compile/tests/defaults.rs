use super::*;

/// Every block present, every field with a documented default absent.
fn bare() -> Value {
    json!({
        "upstreams": {"anthropic": {}, "openai": {}},
        "scope": {},
        "ttlClasses": [{"name": "a", "ttl": "1h"}],
        "resultCache": {"singleFlight": {}, "embeddings": {}},
        "semanticCache": {"judge": {"model": "claude-haiku-5-5"}},
        "promptCache": {},
        "routing": {"requestModels": ["auto"], "tiers": [{"name": "a", "models": {"openai": "m"}}]},
        "stores": {},
    })
}

#[test]
fn documented_defaults_are_those_that_compile_applies() {
    let schema = llmcache_crds::policy_schema();
    let mut written = bare();
    let count = write_defaults(&schema["properties"]["spec"], &mut written);
    assert!(count >= 24, "only {count} fields document a value as their default");
    assert_eq!(compiled(&bare()), compiled(&written), "{written:#}");
}

/// Fills in each default that is documented as one value; returns how many.
fn write_defaults(schema: &Value, value: &mut Value) -> usize {
    let mut count = 0;
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(inner) = value.get_mut(name) {
            count += write_defaults(field, inner);
            for item in inner.as_array_mut().into_iter().flatten() {
                count += write_defaults(&field["items"], item);
            }
        } else if let Some(default) = documented(field) {
            value[name] = default;
            count += 1;
        }
    }
    count
}

/// The value after `Default:`, when it is one literal of the field's own type.
fn documented(field: &Value) -> Option<Value> {
    let (_, default) = field["description"].as_str()?.split_once("Default: `")?;
    let (literal, _) = default.split_once('`')?;
    match field["type"].as_str()? {
        "string" if field["enum"].is_null() || field["enum"].as_array()?.contains(&literal.into()) => {
            Some(literal.into())
        }
        "number" | "boolean" => literal.parse().ok(),
        _ => None,
    }
}
