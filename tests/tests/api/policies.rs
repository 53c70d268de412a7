//! The API server and the offline check give the same verdict at the same fields, object by object.

use std::collections::{BTreeMap, BTreeSet};

use llmcache_operator::load;
use serde_json::Value;

use super::namespace;
use super::verdict::{Problems, Row, differences, judge, object, rows};

const TABLE: &str = include_str!("policies.yaml");

#[tokio::test]
async fn api_server_and_offline_check_give_the_same_verdict_at_the_same_fields() -> anyhow::Result<()> {
    let Some(namespace) = namespace("policies").await? else {
        return Ok(());
    };
    let rows = rows(TABLE);
    assert!(rows.len() >= 60, "the table has only {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let object = object("LLMCachePolicy", &row.spec);
        let online = judge(&namespace, "llmcachepolicies", &object).await?;
        let mut found = differences("the API server", &row.refused, &online);
        found.extend(offline_differences(row, &object));
        wrong.extend(found.into_iter().map(|line| format!("{}: {line}", row.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The offline check names the fields that the API server names, and its own; its words are its own too.
fn offline_differences(row: &Row, object: &Value) -> Vec<String> {
    let found = offline(object);
    let fields = row.refused.keys().map(|field| (field.clone(), String::new()));
    let expected: BTreeMap<String, String> = fields.chain(row.offline.clone()).collect();
    differences("the offline check", &expected, &found)
}

fn offline(object: &Value) -> Problems {
    let mut found = Problems::new();
    for problem in load(&object.to_string()).err().into_iter().flatten() {
        found.entry(problem.path.clone()).or_default().push(problem.to_string());
    }
    found
}

#[test]
fn the_table_names_each_row_once() {
    let rows = rows(TABLE);
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len());
}
