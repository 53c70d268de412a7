//! What the API server answers to an object, without keeping it, beside what is expected of it.

use std::collections::BTreeMap;

use llmcache_operator::validate::objects;
use llmcache_tests::kit::Namespace;
use serde::Deserialize;
use serde_json::{Value, json};

/// Words of each problem by the path of its field; none = accepted.
pub(crate) type Problems = BTreeMap<String, Vec<String>>;

/// One row of a table of objects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// What is special about it.
    pub(crate) name: String,
    /// Its spec.
    pub(crate) spec: Value,
    /// What the API server refuses: words of its message by field.
    #[serde(default)]
    pub(crate) refused: BTreeMap<String, String>,
    /// What the offline check alone refuses: words of its message by field.
    #[serde(default)]
    pub(crate) offline: BTreeMap<String, String>,
}

/// The rows of a table.
pub(crate) fn rows(table: &str) -> Vec<Row> {
    serde_yaml::from_str(table).unwrap()
}

/// An object of ours.
pub(crate) fn object(kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": "llmcache.dev/v1alpha1", "kind": kind, "metadata": {"name": "row"}, "spec": spec})
}

/// Has the API server judge an object of these plural's kind.
pub(crate) async fn judge(namespace: &Namespace<'_>, plural: &str, object: &Value) -> anyhow::Result<Problems> {
    let path = format!(
        "/apis/llmcache.dev/v1alpha1/namespaces/{}/{plural}?dryRun=All&fieldValidation=Strict",
        namespace.name
    );
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())?;
    match namespace.client().request::<Value>(request).await {
        Ok(_) => Ok(Problems::new()),
        Err(kube::Error::Api(status)) => Ok(problems(&serde_json::to_value(&*status)?)),
        Err(error) => Err(error.into()),
    }
}

/// Problems by field, as the API server lists them.
fn problems(status: &Value) -> Problems {
    let mut found = Problems::new();
    for cause in status["details"]["causes"].as_array().into_iter().flatten() {
        let (field, message) = (text(&cause["field"]), text(&cause["message"]));
        // That rules were not run is no problem of its own, nor is a rule over a value that is refused already.
        if field != "<nil>" && !message.contains(" evaluating rule: ") {
            found.entry(field).or_default().push(message);
        }
    }
    let message = text(&status["message"]);
    let unknown = message
        .split("unknown field \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    for field in unknown {
        found
            .entry(field.to_owned())
            .or_default()
            .push("unknown field".to_owned());
    }
    if found.is_empty() {
        found.insert(String::new(), vec![message]);
    }
    found
}

/// The offline check names the fields that the API server names, and its own; its words are its own too.
pub(crate) fn offline_differences(row: &Row, object: &Value) -> Vec<String> {
    let mut found = Problems::new();
    for problem in objects(&object.to_string()).err().into_iter().flatten() {
        found.entry(problem.path.clone()).or_default().push(problem.to_string());
    }
    let fields = row.refused.keys().map(|field| (field.clone(), String::new()));
    let expected: BTreeMap<String, String> = fields.chain(row.offline.clone()).collect();
    differences("the offline check", &expected, &found)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What differs between the problems expected and those found, a line each.
pub(crate) fn differences(whose: &str, expected: &BTreeMap<String, String>, found: &Problems) -> Vec<String> {
    let missing = expected.iter().filter_map(|(field, words)| match found.get(field) {
        None => Some(format!("{whose} does not refuse {field}")),
        Some(messages) if !messages.iter().any(|message| message.contains(words)) => {
            Some(format!("{whose} says of {field} {messages:?}, not {words:?}"))
        }
        Some(_) => None,
    });
    let more = found.iter().filter(|(field, _)| !expected.contains_key(*field));
    missing
        .chain(more.map(|(field, messages)| format!("{whose} refuses {field}: {messages:?}")))
        .collect()
}
