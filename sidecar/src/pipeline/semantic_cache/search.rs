//! The question's vector and the stored questions nearest to it.

use std::sync::Arc;

use llmcache_cache::budget::Deadline;
use llmcache_cache::seal::{Digest, Keys};
use llmcache_semantic::guards::{self, Question};

use super::neighbours::{Known, Spot};
use super::plan::Plan;
use super::{Candidacy, Semantic, Sought};
use crate::metrics::Candidate;
use crate::pipeline::result_cache::{self, Turn};
use crate::pipeline::{Exchange, Pipeline};

/// What is known of the neighbourhood.
#[derive(Default)]
pub(super) struct Nearby {
    /// The nearest that no guard is against and whose answer can be had.
    pub candidate: Option<Candidacy>,
    /// The nearest that a guard vetoed.
    pub vetoed: Option<Vetoed>,
}

/// A neighbour whose answer is wrong as far as the guards know.
pub(super) struct Vetoed {
    /// Where its answer is.
    pub key: Digest,
    /// Its question.
    pub known: Arc<Known>,
}

/// Embeds the question and looks around it; `Err` = the word why that cannot be.
pub(super) async fn search(
    pipeline: &Pipeline,
    exchange: &Exchange,
    semantic: &Semantic,
    turn: &Turn,
    plan: Plan,
) -> Result<(Sought, Nearby), &'static str> {
    let deadline = turn
        .deadline
        .unwrap_or_else(|| result_cache::deadline(pipeline, exchange));
    let vector = semantic.embed(&plan.question, deadline).await?;
    let stamp = match turn.stamp {
        Some(stamp) => stamp,
        None => pipeline.tiers.lease(deadline).await.ok_or("no_lease")?,
    };
    let sought = Sought {
        plan,
        vector,
        stamp,
        is_wanted: true,
        drawn: None,
        check: None,
    };
    let nearby = nearest(pipeline, exchange, semantic, &sought, deadline).await;
    Ok((sought, nearby))
}

async fn nearest(
    pipeline: &Pipeline,
    exchange: &Exchange,
    semantic: &Semantic,
    sought: &Sought,
    deadline: Deadline,
) -> Nearby {
    let Sought { plan, vector, .. } = sought;
    let (floor, now_ms) = (plan.class(pipeline).similarity_threshold, exchange.now_ms());
    let spot = Spot {
        partition: plan.partition,
        vector,
    };
    let neighbours = semantic.neighbours.nearest(&spot, floor, now_ms, deadline).await;
    let question = Question::read(&plan.question);
    let (mut nearby, mut worst) = (Nearby::default(), Candidate::None);
    for neighbour in neighbours {
        let (key, known) = (Digest(neighbour.key), neighbour.payload);
        if let Some(guard) = guards::veto(&question, &known.question) {
            pipeline.metrics.veto(guard);
            worst = Candidate::Vetoed;
            nearby.vetoed.get_or_insert(Vetoed { key, known });
            continue;
        }
        let found = pipeline.tiers.lookup(&only(key), now_ms, deadline).await;
        let hit = result_cache::usable(pipeline, exchange, &plan.kept, found.entry.as_ref());
        if let Some(hit) = hit.filter(|hit| hit.entry.staleness(now_ms).is_none()) {
            let similarity = neighbour.similarity;
            nearby.candidate = Some(Candidacy {
                hit,
                similarity,
                key,
                known,
            });
            return nearby;
        }
        if found.stamp.is_some() && found.entry.is_none() {
            semantic.neighbours.remove(plan.partition, key);
        }
        worst = Candidate::Gone;
    }
    pipeline.metrics.candidate(worst);
    nearby
}

/// The one key under which an answer of this layer is stored.
pub(super) fn only(key: Digest) -> Keys {
    Keys {
        newest: key,
        previous: None,
    }
}
