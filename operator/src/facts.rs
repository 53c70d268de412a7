//! What the operator keeps of each object it watches: a projection, so that ten thousand pods cost megabytes.
//!
//! Read once when an object arrives; nothing here reaches a client.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use llmcache_policy::names;

use crate::opt_in::{self, Wish};

/// Namespace and name; the namespace of a cluster-wide object is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// The object that made another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerReference {
    /// API version, such as `apps/v1`.
    pub api_version: String,
    /// Kind, such as ReplicaSet.
    pub kind: String,
    /// Name in the same namespace.
    pub name: String,
    /// Uid.
    pub uid: String,
}

/// One pod that has not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub key: Key,
    /// Uid, by which sidecars are known.
    pub uid: String,
    /// Labels, for selectors.
    pub labels: BTreeMap<String, String>,
    /// Our own annotations alone.
    pub annotations: BTreeMap<String, String>,
    /// What controls it.
    pub owner: Option<OwnerReference>,
    /// When it was made, milliseconds since 1970.
    pub created_ms: i64,
    /// Whether it is being deleted.
    pub is_leaving: bool,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its name, with an empty namespace.
    pub key: Key,
    /// Uid, from which its key is derived.
    pub uid: String,
    /// Labels, for opting in and for store classes.
    pub labels: BTreeMap<String, String>,
}

/// A Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Namespace and name.
    pub key: Key,
    /// API version, such as `apps/v1`.
    pub api_version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Uid.
    pub uid: String,
    /// Our own annotations alone.
    pub annotations: BTreeMap<String, String>,
    /// What controls it.
    pub owner: Option<OwnerReference>,
}

/// One ConfigMap, of which only the version matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMap {
    /// Namespace and name.
    pub key: Key,
    /// Changes with every write.
    pub resource_version: String,
}

/// One LimitRange, with the bounds that it sets for containers.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitRange {
    /// Namespace and name.
    pub key: Key,
    /// Its items as the API writes them.
    pub items: Vec<core::LimitRangeItem>,
}

impl Key {
    /// The key of an object.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl From<PartialObjectMeta<core::Pod>> for Pod {
    fn from(pod: PartialObjectMeta<core::Pod>) -> Self {
        let metadata = pod.metadata;
        Self {
            key: Key::of(&metadata),
            owner: controller(&metadata),
            created_ms: metadata
                .creation_timestamp
                .as_ref()
                .map_or(0, |time| time.0.as_millisecond()),
            is_leaving: metadata.deletion_timestamp.is_some(),
            annotations: ours(&metadata),
            uid: metadata.uid.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
        }
    }
}

impl From<PartialObjectMeta<core::Namespace>> for Namespace {
    fn from(namespace: PartialObjectMeta<core::Namespace>) -> Self {
        let metadata = namespace.metadata;
        Self {
            key: Key::of(&metadata),
            uid: metadata.uid.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
        }
    }
}

impl<K: k8s_openapi::Resource> From<PartialObjectMeta<K>> for Owner {
    fn from(owner: PartialObjectMeta<K>) -> Self {
        let metadata = owner.metadata;
        Self {
            key: Key::of(&metadata),
            api_version: K::API_VERSION.into(),
            kind: K::KIND.into(),
            annotations: ours(&metadata),
            owner: controller(&metadata),
            uid: metadata.uid.unwrap_or_default(),
        }
    }
}

impl From<PartialObjectMeta<core::ConfigMap>> for ConfigMap {
    fn from(map: PartialObjectMeta<core::ConfigMap>) -> Self {
        Self {
            key: Key::of(&map.metadata),
            resource_version: map.resource_version().unwrap_or_default(),
        }
    }
}

impl From<core::LimitRange> for LimitRange {
    fn from(range: core::LimitRange) -> Self {
        Self {
            key: Key::of(&range.metadata),
            items: range.spec.map(|spec| spec.limits).unwrap_or_default(),
        }
    }
}

/// The annotations of our group.
fn ours(metadata: &ObjectMeta) -> BTreeMap<String, String> {
    let is_ours = |name: &str| {
        name.strip_prefix(names::GROUP)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let all = metadata.annotations.iter().flatten();
    all.filter(|(name, _)| is_ours(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn controller(metadata: &ObjectMeta) -> Option<OwnerReference> {
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    Some(OwnerReference {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    })
}

impl Pod {
    /// What it says about a sidecar, in a namespace with these labels.
    pub fn wish(&self, namespace: &BTreeMap<String, String>) -> Wish {
        let label = namespace.get(names::ANNOTATION_INJECT).map(String::as_str);
        opt_in::wish(|name| self.annotations.get(name).map(String::as_str), label)
    }

    /// Whether it has our sidecar.
    pub fn is_injected(&self) -> bool {
        self.labels.contains_key(names::LABEL_INJECTED)
    }
}
