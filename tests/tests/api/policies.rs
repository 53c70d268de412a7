//! The API server and the offline check give the same verdict at the same fields, object by object.

use std::collections::BTreeSet;

use super::namespace;
use super::verdict::{differences, judge, object, offline_differences, rows};

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

#[test]
fn the_table_names_each_row_once() {
    let rows = rows(TABLE);
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len());
}
