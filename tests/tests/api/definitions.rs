//! The definitions themselves: taken by the API server, established, and explained to whoever asks.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt};

use super::{borrowed, namespace, with_definitions};

#[tokio::test]
async fn every_definition_is_established_and_structural() -> anyhow::Result<()> {
    let Some(namespace) = namespace("definitions").await? else {
        return Ok(());
    };
    let definitions: Api<CustomResourceDefinition> = Api::all(namespace.client());
    let ours: Vec<CustomResourceDefinition> = definitions
        .list(&kube::api::ListParams::default())
        .await?
        .into_iter()
        .filter(|definition| definition.spec.group == "llmcache.dev")
        .collect();
    assert_eq!(
        ours.len(),
        super::definitions()?.len(),
        "each file of crds/ is one definition"
    );
    for definition in ours {
        let name = definition.name_any();
        let conditions = definition.status.unwrap_or_default().conditions.unwrap_or_default();
        let is = |condition: &str| conditions.iter().any(|it| it.type_ == condition && it.status == "True");
        assert!(is("Established") && is("NamesAccepted"), "{name}: {conditions:?}");
        assert!(!is("NonStructuralSchema"), "{name}: {conditions:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_definition_applied_again_changes_nothing() -> anyhow::Result<()> {
    let Some(namespace) = namespace("definitions-again").await? else {
        return Ok(());
    };
    let versions = with_definitions(&["get", "-o", "jsonpath={.items[*].metadata.resourceVersion}"])?;
    let before = namespace.cluster.kubectl(&borrowed(&versions)).await?.ok()?;
    let apply = with_definitions(&["apply", "--server-side"])?;
    namespace.cluster.kubectl(&borrowed(&apply)).await?.ok()?;
    assert_eq!(namespace.cluster.kubectl(&borrowed(&versions)).await?.ok()?, before);
    assert!(before.split_whitespace().count() >= 2, "{before}");
    Ok(())
}

#[tokio::test]
async fn kubectl_explains_every_field_with_its_default() -> anyhow::Result<()> {
    let Some(namespace) = namespace("explain").await? else {
        return Ok(());
    };
    let explain = ["explain", "lcp.spec.resultCache.maxAge"];
    let said = namespace.cluster.kubectl(&explain).await?.ok()?;
    assert!(said.contains("maxAge") && said.contains("168h"), "{said}");
    let all = namespace
        .cluster
        .kubectl(&["explain", "lcp", "--recursive"])
        .await?
        .ok()?;
    for field in [
        "similarityThreshold",
        "requestModels",
        "tenantHeader",
        "observedGeneration",
    ] {
        assert!(all.contains(field), "{field} is not explained");
    }
    Ok(())
}
