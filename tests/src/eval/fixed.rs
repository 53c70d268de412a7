//! What a fixed cosine threshold would have served: the same model, no guards, no evidence.

use std::time::Duration;

use anyhow::ensure;
use llmcache_semantic::embedding::{Embedder, Settings, Vector};
use llmcache_semantic::index::{Bounds, Flat, Row};
use tokio::time::Instant;

use super::{Outcome, Plan, Question};
use crate::kit::binary;

const PARTITION: [u8; 32] = [0; 32];
/// Nobody waits here.
const PATIENCE: Duration = Duration::from_mins(1);

/// Serves the nearest stored question's answer above each threshold, and stores what it does not serve.
pub(super) async fn play(
    plan: &Plan,
    questions: &[Question],
    thresholds: &[u16],
) -> anyhow::Result<Vec<(u16, Outcome)>> {
    let embedder = Embedder::new(Settings {
        program: binary("kubectl-llmcache")?,
        arguments: vec!["embedder".into()],
        folder: plan.model.clone(),
        queue: 4,
        memory_bytes: 256 << 20,
    });
    ensure!(
        embedder.ready(Instant::now() + PATIENCE).await,
        "the embedder does not start: {}",
        embedder.state().word()
    );
    let mut runs: Vec<(u16, Flat<usize>, Outcome)> = thresholds
        .iter()
        .map(|threshold| (*threshold, Flat::new(Bounds::default()), Outcome::default()))
        .collect();
    for (at, question) in questions.iter().enumerate() {
        // Texts that are too long are the provider's.
        let vector = embedder.embed(&question.text, Instant::now() + PATIENCE).await.ok();
        for (threshold, index, outcome) in &mut runs {
            outcome.asked += 1;
            let Some(vector) = &vector else { continue };
            let nearest = index.nearest(&PARTITION, vector.numbers(), *threshold, 1, 0);
            match nearest.first() {
                Some(neighbour) => outcome.serve(at, questions[neighbour.payload].intent == question.intent),
                None => index.insert(PARTITION, row(at, vector)),
            }
        }
    }
    Ok(runs
        .into_iter()
        .map(|(threshold, _, outcome)| (threshold, outcome))
        .collect())
}

fn row(at: usize, vector: &Vector) -> Row<usize> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&at.to_be_bytes());
    Row {
        vector: Box::new(*vector.numbers()),
        key,
        payload: at,
        payload_bytes: 0,
        expires_ms: u64::MAX,
    }
}

impl Outcome {
    /// One more served, rightly or not.
    pub(super) fn serve(&mut self, at: usize, is_right: bool) {
        self.served += 1;
        self.wrong += usize::from(!is_right);
        self.opened.get_or_insert(at);
    }
}
