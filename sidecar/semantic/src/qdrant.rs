//! The index in a Qdrant, shared by the sidecars of a namespace: one collection per namespace and vector space, each
//! partition a tenant of it.
//!
//! A server is trusted with nothing: payloads are sealed by the caller over [`Point::bound`], which names partition,
//! key, end and vector, and the similarity is computed here from the vector that came back. Every call may hang as long
//! as the server does; the caller bounds it.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, CreateCollectionBuilder, CreateFieldIndexCollectionBuilder, DeletePointsBuilder,
    Distance, FieldType, Filter, HnswConfigDiffBuilder, IntegerIndexParamsBuilder, KeywordIndexParamsBuilder, Query,
    QueryPointsBuilder, Range, UpsertPointsBuilder, VectorParamsBuilder,
};
use qdrant_client::{Qdrant, QdrantError};

use crate::index::{DIMENSIONS, Key, Partition};

mod point;
mod server;
#[cfg(test)]
mod tests;

pub use point::{Near, Point};
pub use server::{BadAddress, FORMS, Server};

use point::{EXPIRES, PARTITION};

/// Links of a partition's graph, which is built once a partition is large; the collection as a whole has none.
const LINKS: u64 = 16;

/// What the server answered instead of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Qdrant: {0}")]
pub struct Refusal(String);

/// The points of one namespace in one vector space.
pub struct Collection {
    client: Qdrant,
    name: String,
    /// How the names of the namespace's other collections begin.
    family: String,
    /// Other collections that were empty when last looked at.
    empty: Mutex<BTreeSet<String>>,
}

impl Collection {
    /// A collection of the namespace and the vector space that are called so in its name; not connected yet.
    pub fn new(server: &Server, namespace: &str, space: &str) -> Result<Self, Refusal> {
        let family = format!("llmcache-{namespace}-");
        Ok(Self {
            client: server.client()?,
            name: format!("{family}{space}"),
            family,
            empty: Mutex::default(),
        })
    }

    /// Its name in the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the collection and its indexes where they are missing: also the first sign of life of a server.
    pub async fn prepare(&self) -> Result<(), Refusal> {
        if self.client.collection_exists(&self.name).await? {
            return Ok(());
        }
        let vectors = VectorParamsBuilder::new(DIMENSIONS as u64, Distance::Dot);
        let graph = HnswConfigDiffBuilder::default().m(0).payload_m(LINKS);
        let collection = CreateCollectionBuilder::new(&self.name)
            .vectors_config(vectors)
            .hnsw_config(graph);
        if let Err(error) = self.client.create_collection(collection).await {
            // Another sidecar may have been faster.
            return match self.client.collection_exists(&self.name).await {
                Ok(true) => Ok(()),
                _ => Err(error.into()),
            };
        }
        let index = |field, kind| CreateFieldIndexCollectionBuilder::new(&self.name, field, kind).wait(true);
        let tenant = KeywordIndexParamsBuilder::default().is_tenant(true);
        let by_partition = index(PARTITION, FieldType::Keyword).field_index_params(tenant);
        self.client.create_field_index(by_partition).await?;
        let ends = IntegerIndexParamsBuilder::new(false, true);
        let by_end = index(EXPIRES, FieldType::Integer).field_index_params(ends);
        self.client.create_field_index(by_end).await?;
        Ok(())
    }

    /// Adds points, each in place of one with the same key.
    pub async fn put(&self, points: Vec<Point>) -> Result<(), Refusal> {
        let points: Vec<_> = points.into_iter().map(Point::write).collect();
        let request = UpsertPointsBuilder::new(&self.name, points).wait(true);
        self.client.upsert_points(request).await?;
        Ok(())
    }

    /// Up to `top` points of `partition` alive at `now_ms` with at least `floor` similarity, nearest first. What is no
    /// point of ours is left out.
    pub async fn nearest(
        &self,
        partition: &Partition,
        vector: &[f32; DIMENSIONS],
        floor: u16,
        top: usize,
        now_ms: u64,
    ) -> Result<Vec<Near>, Refusal> {
        let of_partition = Condition::matches(PARTITION, hex::encode(partition));
        let alive = Condition::range(
            EXPIRES,
            Range {
                gt: Some(point::number(now_ms)),
                ..Range::default()
            },
        );
        let request = QueryPointsBuilder::new(&self.name)
            .query(Query::new_nearest(vector.to_vec()))
            .filter(Filter::must([of_partition, alive]))
            .limit(top as u64)
            .with_payload(true)
            .with_vectors(true);
        let found = self.client.query(request).await?.result;
        let points = found.into_iter().filter_map(Point::read);
        let mut near: Vec<_> = points
            .filter(|point| point.partition == *partition && point.expires_ms > now_ms)
            .map(|point| point.near(vector))
            .filter(|near| near.similarity >= floor)
            .collect();
        near.sort_by_key(|near| std::cmp::Reverse(near.similarity));
        Ok(near)
    }

    /// Drops the points of these keys.
    pub async fn remove(&self, keys: &[Key]) -> Result<(), Refusal> {
        let ids: Vec<_> = keys.iter().map(point::id).collect();
        let request = DeletePointsBuilder::new(&self.name).points(ids).wait(true);
        self.client.delete_points(request).await?;
        Ok(())
    }

    /// Drops every point dead at `now_ms`.
    pub async fn sweep(&self, now_ms: u64) -> Result<(), Refusal> {
        self.sweep_of(&self.name, now_ms).await
    }

    /// Does the same in the namespace's collections of other vector spaces, and drops one that was empty twice: with a
    /// new model they drain while sidecars of the old one may still be there.
    pub async fn drain(&self, now_ms: u64) -> Result<(), Refusal> {
        let all = self.client.list_collections().await?.collections;
        let others = all.into_iter().map(|collection| collection.name);
        for other in others.filter(|name| name.starts_with(&self.family) && *name != self.name) {
            self.sweep_of(&other, now_ms).await?;
            let count = self.client.count(CountPointsBuilder::new(&other).exact(true)).await?;
            let is_empty = count.result.is_some_and(|result| result.count == 0);
            let was_empty = self.empty.lock().remove(&other);
            if is_empty && was_empty {
                self.client.delete_collection(other).await?;
            } else if is_empty {
                self.empty.lock().insert(other);
            }
        }
        Ok(())
    }

    async fn sweep_of(&self, name: &str, now_ms: u64) -> Result<(), Refusal> {
        let dead = Condition::range(
            EXPIRES,
            Range {
                lte: Some(point::number(now_ms)),
                ..Range::default()
            },
        );
        let request = DeletePointsBuilder::new(name).points(Filter::must([dead])).wait(true);
        self.client.delete_points(request).await?;
        Ok(())
    }
}

impl From<QdrantError> for Refusal {
    fn from(error: QdrantError) -> Self {
        Self(match error {
            QdrantError::ResponseError { status } | QdrantError::ResourceExhaustedError { status, .. } => {
                format!("{:?}: {}", status.code(), status.message())
            }
            other => other.to_string(),
        })
    }
}
