//! The operator's rights against its calls: nothing it asked for was refused or lay outside its own rules, and it used all
//! that the rules give it, but for a short list of what needs a situation that this run does not have.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;
use kube::api::ListParams;
use llmcache_tests::kit::eventually;
use serde_json::json;

use crate::audit::Call;
use crate::scene::{POLICY, SHOP, Scene};

/// Rights that this run does not use: verb, resource with name, and when it is used.
const UNUSED: [(&str, &str, &str); 2] = [
    (
        "delete",
        "llmcacheinvalidations",
        "a week after an invalidation, or when there are more than 128",
    ),
    (
        "update",
        "secrets llmcache-redis",
        "when two thirds of its certificate's 30 days are over, or the CA changes",
    ),
];

/// A rule with where it holds; an empty namespace = everywhere.
struct Granted {
    namespace: String,
    rule: PolicyRule,
}

/// Group, verb, and resource with the name where a rule has one.
type Right = (String, String, String);

/// Does what no fault does: has a policy watch a ConfigMap, and changes that.
pub(crate) async fn exercise(scene: &Scene<'_>) -> anyhow::Result<()> {
    let metadata = json!({"name": "docs", "namespace": SHOP});
    let docs = |text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": text}});
    let apply = ["apply", "-f", "-"];
    scene
        .cluster
        .kubectl_with(&apply, &docs("first").to_string())
        .await?
        .ok()?;
    let entry = json!([{"name": "docs", "pattern": "doc:*", "onChange": {"configMap": "docs"}}]);
    let patch = json!({"spec": {"invalidation": entry}}).to_string();
    let patch = ["patch", "lcp", POLICY, "-n", SHOP, "--type", "merge", "-p", &patch];
    scene.cluster.kubectl(&patch).await?.ok()?;
    let shows = async |kind: &str, path: &str, wanted: &str| {
        let get = ["get", kind, "-n", SHOP, "-o", path];
        scene
            .cluster
            .kubectl(&get)
            .await
            .is_ok_and(|done| done.stdout.contains(wanted))
    };
    let recorded = "jsonpath={.items[*].status.invalidations}";
    eventually("the ConfigMap is watched", async || {
        shows("lcp", recorded, "docs").await
    })
    .await?;
    scene
        .cluster
        .kubectl_with(&apply, &docs("second").to_string())
        .await?
        .ok()?;
    let complete = r#"jsonpath={.items[*].status.conditions[?(@.type=="Complete")].status}"#;
    let changed = eventually("the change invalidates", async || shows("lci", complete, "True").await).await;
    let said = scene
        .cluster
        .kubectl(&["get", "lci", "-n", SHOP, "-o", "jsonpath={.items[*].status}"])
        .await?;
    changed.with_context(|| said.stdout)
}

/// Compares the roles of the install with the calls; says how many of each there were.
pub(crate) async fn compare(scene: &Scene<'_>, calls: &[Call]) -> anyhow::Result<String> {
    let granted = granted(scene).await?;
    let mut problems = BTreeSet::new();
    let mut used = BTreeSet::new();
    for call in calls {
        let is_right = call.resource.is_empty() || granted.iter().any(|granted| granted.allows(call));
        if matches!(call.code, 401 | 403) {
            problems.insert(format!("{} {} was refused", call.verb, call.path));
        } else if !is_right {
            problems.insert(format!("{} {} {} is in no rule", call.verb, call.resource, call.name));
        }
        used.extend(["", &call.name].map(|name| right(&call.group, &call.verb, &call.resource, name)));
    }
    let rights: BTreeSet<Right> = granted.iter().flat_map(Granted::rights).collect();
    problems.extend(idle(&rights, &used));
    let problems: Vec<String> = problems.into_iter().collect();
    ensure!(problems.is_empty(), "rights:\n{}", problems.join("\n"));
    let (calls, rights, unused) = (calls.len(), rights.len(), UNUSED.len());
    Ok(format!(
        "rights: {calls} calls, none refused; {rights} rights, {unused} of them not used in this run"
    ))
}

/// Rights that are not used and not listed, or listed and yet used.
fn idle(rights: &BTreeSet<Right>, used: &BTreeSet<Right>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut listed = BTreeSet::from(UNUSED.map(|(verb, object, _)| (verb.to_owned(), object.to_owned())));
    for known in rights {
        let (group, verb, object) = known;
        let is_used = used.contains(known);
        if is_used == listed.remove(&(verb.clone(), object.clone())) {
            let what = if is_used {
                "is used, and listed as unused"
            } else {
                "was never used"
            };
            problems.push(format!("{verb} {object} of group \"{group}\" {what}"));
        }
    }
    problems.extend(
        listed
            .iter()
            .map(|(verb, object)| format!("{verb} {object} is listed as unused, and no right")),
    );
    problems
}

fn right(group: &str, verb: &str, resource: &str, name: &str) -> Right {
    let object = format!("{resource} {name}");
    (group.to_owned(), verb.to_owned(), object.trim_end().to_owned())
}

async fn granted(scene: &Scene<'_>) -> anyhow::Result<Vec<Granted>> {
    let client = scene.client.clone();
    let ours = |name: Option<&String>| name.is_some_and(|name| name.starts_with("llmcache-operator"));
    let everywhere = Api::<ClusterRole>::all(client.clone())
        .list(&ListParams::default())
        .await?;
    let somewhere = Api::<Role>::all(client).list(&ListParams::default()).await?;
    let everywhere = everywhere.items.into_iter().map(|role| (role.metadata, role.rules));
    let somewhere = somewhere.items.into_iter().map(|role| (role.metadata, role.rules));
    let mut granted = Vec::new();
    for (metadata, rules) in everywhere
        .chain(somewhere)
        .filter(|(metadata, _)| ours(metadata.name.as_ref()))
    {
        let namespace = metadata.namespace.unwrap_or_default();
        granted.extend(rules.into_iter().flatten().map(|rule| Granted {
            namespace: namespace.clone(),
            rule,
        }));
    }
    ensure!(!granted.is_empty(), "the install has no roles");
    Ok(granted)
}

impl Granted {
    fn allows(&self, call: &Call) -> bool {
        let has = |list: &Option<Vec<String>>, word: &str| list.iter().flatten().any(|known| known == word);
        let names = self.rule.resource_names.as_deref().unwrap_or_default();
        let is_here = self.namespace.is_empty() || self.namespace == call.namespace;
        let is_named = names.is_empty() || names.contains(&call.name);
        let is_of_it = has(&self.rule.api_groups, &call.group) && has(&self.rule.resources, &call.resource);
        is_here && is_named && is_of_it && self.rule.verbs.contains(&call.verb)
    }

    fn rights(&self) -> Vec<Right> {
        let names = self.rule.resource_names.clone().unwrap_or_else(|| vec![String::new()]);
        let mut rights = Vec::new();
        for group in self.rule.api_groups.iter().flatten() {
            for resource in self.rule.resources.iter().flatten() {
                let all = self
                    .rule
                    .verbs
                    .iter()
                    .flat_map(|verb| names.iter().map(move |name| (verb, name)));
                rights.extend(all.map(|(verb, name)| right(group, verb, resource, name)));
            }
        }
        rights
    }
}
