//! What the install decides: read once from the file that the chart renders; a change restarts the operator.
//!
//! Every wrong key or value is named at once, with the fix.

use std::collections::BTreeMap;

use llmcache_crds::{LLMCachePolicy, LLMCachePolicySpec};
use llmcache_policy::names;
use serde::Deserialize;

use crate::compile::STORE_CLASS;
use crate::plan::selects;
use crate::validate::{Validated, validate};

mod check;
pub mod store_class;
#[cfg(test)]
mod tests;
mod upstreams;

pub use store_class::{Login, Mode, Qdrant, Redis, StoreClass, Tls};

/// Name of the policy that pods execute which no policy selects.
pub const DEFAULTS: &str = "install-defaults";

/// The whole file.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Service that sidecars connect to.
    #[serde(default = "service")]
    pub service: String,
    /// What is injected.
    pub sidecar: Sidecar,
    /// Who keeps the certificates.
    #[serde(default)]
    pub certificates: Certificates,
    /// Hosts, with a port or without, that a policy may name; `*.example.com` means every name below.
    #[serde(default = "documented_hosts")]
    pub allowed_upstreams: Vec<String>,
    /// What pods execute that no policy selects.
    #[serde(default)]
    pub defaults: Defaults,
    /// Shared stores by class; `default` always exists, in process unless it is named here.
    #[serde(default)]
    pub store_classes: BTreeMap<String, StoreClass>,
    /// The Redis that the chart runs.
    #[serde(default)]
    pub redis: ChartRedis,
    /// What policies may watch.
    #[serde(default)]
    pub invalidation: Invalidation,
    /// Own price rows, as `kubectl llmcache local --prices` takes them.
    #[serde(default)]
    pub prices: Vec<serde_json::Value>,
}

/// What is injected into pods.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sidecar {
    /// Image of the sidecar, with tag or digest.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    #[serde(default = "pull_policy")]
    pub image_pull_policy: String,
    /// Least important log line, `error` … `trace`.
    #[serde(default = "log_level")]
    pub log_level: String,
    /// Requests and limits, in the form of the annotation `llmcache.dev/resources`.
    #[serde(default = "resources")]
    pub resources: String,
}

/// Who keeps the certificates.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificates {
    /// Who.
    #[serde(default)]
    pub mode: CertificateMode,
}

/// Who keeps the certificates.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum CertificateMode {
    /// The operator, with an authority of its own.
    #[default]
    #[serde(rename = "Self")]
    Own,
    /// Somebody else, such as cert-manager.
    Provided,
}

/// What pods execute that no policy selects.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Defaults {
    /// As an `LLMCachePolicy` writes it; absent = nothing, everything passes through.
    pub spec: Option<LLMCachePolicySpec>,
}

/// The Redis that the chart runs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChartRedis {
    /// Whether it runs: the leader then makes its Secret, and class `default` means it.
    #[serde(default)]
    pub enabled: bool,
}

/// What policies may watch.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Invalidation {
    /// Namespaces whose ConfigMaps may run a ban; `*` = all.
    #[serde(default)]
    pub watch_namespaces: Vec<String>,
}

impl Settings {
    /// Reads the file, or lists every problem in it.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut settings: Self = serde_yaml::from_str(text).map_err(|error| vec![error.to_string()])?;
        if settings.redis.enabled {
            let own = settings.store_classes.entry(STORE_CLASS.into());
            own.or_insert_with(StoreClass::of_chart);
        }
        let problems = check::problems(&settings);
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }

    /// What is assumed of an install whose file cannot be read.
    pub fn assumed() -> Self {
        Self {
            service: service(),
            sidecar: Sidecar {
                image: String::new(),
                image_pull_policy: pull_policy(),
                log_level: log_level(),
                resources: resources(),
            },
            certificates: Certificates::default(),
            allowed_upstreams: documented_hosts(),
            defaults: Defaults::default(),
            store_classes: BTreeMap::new(),
            redis: ChartRedis::default(),
            invalidation: Invalidation::default(),
            prices: Vec::new(),
        }
    }

    /// The policy of pods in a namespace that no policy selects; none = everything passes through.
    pub fn default_policy(&self, namespace: &str) -> Option<Validated> {
        let mut policy = LLMCachePolicy::new(DEFAULTS, self.defaults.spec.clone()?);
        policy.metadata.namespace = Some(namespace.into());
        // Judged when the file was read.
        validate(&policy).ok()
    }

    /// The price rows as a price file holds them; none = the shipped prices.
    pub fn price_file(&self) -> Option<String> {
        (!self.prices.is_empty()).then(|| serde_json::json!({"rows": self.prices}).to_string())
    }

    /// Whether a policy may name its upstreams, or what is wrong and how to mend it.
    pub fn admit_upstreams(&self, spec: &LLMCachePolicySpec) -> Result<(), String> {
        upstreams::admit(&self.allowed_upstreams, spec)
    }

    /// Whether a policy in a namespace with these labels may use a store class, or what is wrong and how to mend it.
    pub fn admit_store_class(&self, class: &str, labels: Option<&BTreeMap<String, String>>) -> Result<(), String> {
        let Some(known) = self.store_classes.get(class) else {
            if class == STORE_CLASS {
                return Ok(());
            }
            let mut names: Vec<&str> = self.store_classes.keys().map(String::as_str).collect();
            if !names.contains(&STORE_CLASS) {
                names.insert(0, STORE_CLASS);
            }
            return Err(format!(
                "spec.stores.class: {class} is no store class of this install; it has {}; fix: name one of these, or \
                 have it added to the chart value storeClasses",
                names.join(", ")
            ));
        };
        let no_labels = BTreeMap::new();
        if selects(known.namespaces.as_ref(), labels.unwrap_or(&no_labels)) {
            return Ok(());
        }
        Err(format!(
            "spec.stores.class: {class} does not serve this namespace; fix: label the namespace as the chart value \
             storeClasses.{class}.namespaces asks, or name another class"
        ))
    }
}

fn service() -> String {
    names::SERVICE.into()
}

fn pull_policy() -> String {
    "IfNotPresent".into()
}

fn log_level() -> String {
    "info".into()
}

fn resources() -> String {
    "cpu=20m/1,memory=64Mi/256Mi".into()
}

fn documented_hosts() -> Vec<String> {
    vec!["api.anthropic.com".into(), "api.openai.com".into()]
}
