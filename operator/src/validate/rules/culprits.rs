//! Which items of a list break a rule over it. CEL says only that one does, and naming them there costs more than the API
//! server allows a rule.

use llmcache_policy::duration;
use serde_json::Value;

const MAX_AGE: &str = "168h";

/// The items, separated by commas; absent when the rule is not over a list.
pub(super) fn of(spec: &Value, path: &str, message: &str) -> Option<String> {
    let list = super::pointer(spec, path)?.as_array()?;
    let culprits: Vec<&str> = match path {
        "ttlClasses" if message.contains("maxAge") => too_long(spec, list, message),
        "ttlClasses" if message.contains("match") => {
            let without = list.iter().filter(|class| class.get("match").is_none());
            without.filter_map(|class| class["name"].as_str()).collect()
        }
        "routing.rules" => unknown(spec, list.iter().map(|rule| &rule["tier"])),
        "routing.fallback" if message.contains("tiers") => unknown(spec, list.iter()),
        _ => repeated(list),
    };
    (!culprits.is_empty()).then(|| culprits.join(", "))
}

fn too_long<'a>(spec: &'a Value, classes: &'a [Value], message: &str) -> Vec<&'a str> {
    let max_age = spec["resultCache"]["maxAge"].as_str().unwrap_or(MAX_AGE);
    let Some(max_age) = duration::parse(max_age) else {
        return Vec::new();
    };
    let fields = ["ttl", "staleWhileRevalidate", "staleIfError"];
    let Some(field) = fields
        .into_iter()
        .find(|field| message.contains(&format!("a {field} above")))
    else {
        return Vec::new();
    };
    let is_above = |class: &&Value| {
        let life = class[field].as_str().and_then(duration::parse);
        life.is_some_and(|life| life > max_age)
    };
    let above = classes.iter().filter(is_above);
    above.filter_map(|class| class["name"].as_str()).collect()
}

fn unknown<'a>(spec: &Value, names: impl Iterator<Item = &'a Value>) -> Vec<&'a str> {
    let tiers = spec["routing"]["tiers"].as_array();
    let is_known = |name: &str| tiers.into_iter().flatten().any(|tier| tier["name"] == name);
    names.filter_map(Value::as_str).filter(|name| !is_known(name)).collect()
}

fn repeated(list: &[Value]) -> Vec<&str> {
    let name = |item: &'_ Value| match item {
        Value::String(text) => Some(text.clone()),
        item => item["name"].as_str().map(String::from),
    };
    let mut repeated = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let text = item.as_str().or_else(|| item["name"].as_str());
        let is_second = list[..index].iter().any(|earlier| name(earlier).as_deref() == text);
        repeated.extend(text.filter(|_| is_second));
    }
    repeated.sort_unstable();
    repeated.dedup();
    repeated
}
