//! The settings of the install, which decide what policies may name; without them nothing is refused on their account.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use llmcache_crds::LLMCachePolicy;
use llmcache_operator::policy::names;
use llmcache_operator::settings::{Settings, StoreClass};

use crate::cluster::{Cluster, Trouble};

/// Namespace by convention, where no sidecar says another.
const CONVENTION: &str = "llmcache-system";
/// Key of the ConfigMap.
const FILE: &str = "settings.yaml";

/// One install.
pub(crate) struct Install {
    /// Where the operator runs, as sidecars say.
    pub(crate) namespace: String,
    /// As written, or what refuses nothing.
    pub(crate) settings: Settings,
    /// That the settings could not be read.
    pub(super) note: Option<String>,
}

impl Install {
    /// Reads the settings where sidecars say that the operator is.
    pub(super) async fn read(cluster: &Cluster, pods: &[Pod], policies: &[LLMCachePolicy]) -> Self {
        let namespace = pods
            .iter()
            .find_map(operator_namespace)
            .unwrap_or_else(|| CONVENTION.into());
        let found = cluster.find::<ConfigMap>(&namespace, names::SERVICE).await;
        let (settings, note) = match read(found) {
            Ok(settings) => (settings, None),
            Err(reason) => {
                let note =
                    format!("allowed upstreams, store classes and defaults of the install are not counted: {reason}");
                (permissive(policies), Some(note))
            }
        };
        Self {
            namespace,
            settings,
            note,
        }
    }
}

fn read(found: Result<Option<ConfigMap>, Trouble>) -> Result<Settings, String> {
    let map = found.map_err(|trouble| trouble.message)?;
    let map = map.ok_or_else(|| format!("there is no ConfigMap {} where the operator should be", names::SERVICE))?;
    let text = map.data.unwrap_or_default().remove(FILE).unwrap_or_default();
    Settings::parse(&text).map_err(|problems| problems.join("; "))
}

/// Settings that allow whatever these policies name.
fn permissive(policies: &[LLMCachePolicy]) -> Settings {
    let mut settings = Settings::assumed();
    for spec in policies.iter().map(|policy| &policy.spec) {
        let upstreams = spec.upstreams.as_ref();
        let anthropic = upstreams.and_then(|upstreams| upstreams.anthropic.as_ref()?.url.as_ref());
        let openai = upstreams.and_then(|upstreams| upstreams.openai.as_ref()?.url.as_ref());
        for url in [anthropic, openai].into_iter().flatten() {
            let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
            let host = rest.split('/').next().unwrap_or_default();
            settings.allowed_upstreams.push(host.to_owned());
        }
        if let Some(class) = spec.stores.as_ref().and_then(|stores| stores.class.clone()) {
            settings.store_classes.insert(class, StoreClass::default());
        }
    }
    settings
}

fn operator_namespace(pod: &Pod) -> Option<String> {
    let containers = pod.spec.as_ref()?.init_containers.iter().flatten();
    let address = containers
        .flat_map(|container| container.env.iter().flatten())
        .find(|variable| variable.name == names::ENV_OPERATOR)?
        .value
        .as_deref()?;
    let host = address.split_once("://")?.1;
    host.split('.').nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_settings_no_policy_is_refused_on_their_account() {
        let spec = serde_json::json!({
            "upstreams": {"openai": {"url": "http://fake.shop.svc:8080/v1"}}, "stores": {"class": "big"},
        });
        let policy = LLMCachePolicy::new("a", serde_json::from_value(spec).unwrap());
        let settings = permissive(std::slice::from_ref(&policy));
        assert_eq!(settings.admit_upstreams(&policy.spec), Ok(()));
        assert_eq!(settings.admit_store_class("big", None), Ok(()));
    }

    #[test]
    fn sidecars_say_where_the_operator_is() {
        let pod = serde_json::json!({"spec": {"containers": [], "initContainers": [{"name": "llmcache", "env": [
            {"name": "LLMCACHE_OPERATOR", "value": "https://llmcache-operator.tools.svc:15443"}]}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(operator_namespace(&pod).as_deref(), Some("tools"));
        assert_eq!(operator_namespace(&Pod::default()), None);
    }
}
