//! A namespace of one test.

use k8s_openapi::api::core::v1::{Namespace as Object, ServiceAccount};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};

use super::Cluster;
use crate::kit::eventually;

/// A namespace; it lives as long as its cluster.
pub struct Namespace<'a> {
    /// The cluster that has it.
    pub cluster: &'a Cluster,
    /// Its name.
    pub name: String,
    client: Client,
}

impl<'a> Namespace<'a> {
    pub(super) async fn create(cluster: &'a Cluster, name: String) -> anyhow::Result<Self> {
        let client = cluster.client().await?;
        let object = Object {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            ..Object::default()
        };
        Api::all(client.clone()).create(&PostParams::default(), &object).await?;
        let namespace = Self { cluster, name, client };
        if cluster.has_controllers() {
            // Until it is there, pods are refused.
            let accounts = namespace.api::<ServiceAccount>();
            eventually("the namespace has its account", async || {
                accounts.get("default").await.is_ok()
            })
            .await?;
        }
        Ok(namespace)
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The objects of a kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.name)
    }
}
