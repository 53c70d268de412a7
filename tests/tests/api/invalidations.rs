//! What an invalidation may say, and that it never says anything else afterwards.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use llmcache_crds::LLMCacheInvalidation;
use serde_json::json;

use super::namespace;
use super::verdict::{differences, judge, object, offline_differences, rows};

#[tokio::test]
async fn api_server_and_offline_check_take_what_names_answers_and_refuse_the_rest() -> anyhow::Result<()> {
    let Some(namespace) = namespace("invalidations").await? else {
        return Ok(());
    };
    let mut wrong = Vec::new();
    for row in rows(include_str!("invalidations.yaml")) {
        let object = object("LLMCacheInvalidation", &row.spec);
        let online = judge(&namespace, "llmcacheinvalidations", &object).await?;
        let mut found = differences("the API server", &row.refused, &online);
        found.extend(offline_differences(&row, &object));
        wrong.extend(found.into_iter().map(|line| format!("{}: {line}", row.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn spec_is_immutable_and_labels_are_not() -> anyhow::Result<()> {
    let Some(namespace) = namespace("immutable").await? else {
        return Ok(());
    };
    let invalidations: Api<LLMCacheInvalidation> = namespace.api();
    let object = serde_json::from_value(object("LLMCacheInvalidation", &json!({"pattern": "user:123:*"})))?;
    let created = invalidations.create(&kube::api::PostParams::default(), &object).await?;

    let merge = PatchParams::default();
    let other = Patch::Merge(json!({"spec": {"pattern": "*"}}));
    let refused = invalidations
        .patch("row", &merge, &other)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("spec is immutable"), "{refused}");
    assert!(refused.contains("create a new LLMCacheInvalidation"), "{refused}");

    let labelled = Patch::Merge(json!({"metadata": {"labels": {"who": "me"}}}));
    let labelled = invalidations.patch("row", &merge, &labelled).await?;
    assert_eq!(labelled.labels()["who"], "me");
    assert_eq!(labelled.metadata.generation, created.metadata.generation);

    let table = namespace
        .cluster
        .kubectl(&["get", "lci", "-n", &namespace.name])
        .await?
        .ok()?;
    let head: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(head, ["NAME", "PATTERN", "ACCEPTED", "COMPLETE", "MATCHED", "AGE"]);
    Ok(())
}
