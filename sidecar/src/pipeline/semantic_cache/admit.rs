//! When the answer ends: it may become a neighbour, and the label of a drawn pair.

use std::sync::Arc;

use llmcache_cache::entry::{self, Entry};
use llmcache_cache::tiers::Admission;
use llmcache_provider::answer::{self, comparison};
use llmcache_semantic::evidence::{Event, Source};

use super::feedback::{self, Subject};
use super::judge::{self, About, Case};
use super::neighbours::{Known, Spot};
use super::{Drawn, Semantic, Sought};
use crate::pipeline::stored::Stored;
use crate::pipeline::{Exchange, Pipeline};

/// Takes in a whole answer; `refusal` is why no cache may keep it.
pub(crate) fn ended(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    mut sought: Sought,
    stored: &Stored,
    refusal: Option<&'static str>,
) {
    let Some(semantic) = &pipeline.semantic else { return };
    if refusal.is_some() {
        return;
    }
    // An answer without text, such as a call of a tool, is no answer to another wording.
    let Some(text) = answer::text(exchange.call.endpoint, &stored.body) else {
        return;
    };
    if let Some(drawn) = sought.drawn.take() {
        label(pipeline, exchange, semantic, &sought, &drawn, &text);
    }
    if let Some(check) = sought.check.take() {
        let class = sought.plan.class(pipeline).name.as_str().into();
        let question = sought.plan.question.clone();
        judge::check(pipeline, exchange, class, question, text, check);
    }
    if sought.is_wanted {
        keep(pipeline, exchange, semantic, sought, stored);
    }
}

/// Closed answers label their pair themselves; any other is for the judge, if there is one.
fn label(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    semantic: &Semantic,
    sought: &Sought,
    drawn: &Drawn,
    text: &str,
) {
    let candidate = answer::text(exchange.call.endpoint, &drawn.candidate.hit.stored.body);
    let Some(candidate) = candidate else { return };
    let class = &sought.plan.class(pipeline).name;
    let subject = Subject::served(&sought.plan, class, drawn.candidate.key);
    if let Some(is_same) = comparison::compare(text, &candidate) {
        let event = Event::Label {
            id: drawn.id,
            is_wrong: !is_same,
            source: Source::Comparison,
        };
        semantic.note(class, event, exchange.now_ms());
        semantic.spare();
        if !is_same {
            let pipeline = pipeline.clone();
            tokio::spawn(async move { feedback::kill(&pipeline, &subject).await });
        }
    } else if semantic.has_judge() {
        let case = Case {
            about: About::Pair(drawn.id, subject),
            class: class.as_str().into(),
            question: sought.plan.question.clone(),
            candidate_question: drawn.candidate.known.text.clone(),
            answer: text.to_owned(),
            candidate,
        };
        let (pipeline, exchange) = (pipeline.clone(), exchange.clone());
        tokio::spawn(async move { judge::ask(&pipeline, &exchange, case).await });
    }
}

fn keep(pipeline: &Pipeline, exchange: &Exchange, semantic: &Semantic, sought: Sought, stored: &Stored) {
    let plan = sought.plan;
    let class = plan.class(pipeline);
    let (ttl, keep) = class.life(&pipeline.snapshot.result_cache);
    let Ok(mut tags) = plan.kept.tags.clone() else { return };
    let key = plan.kept.keys.newest;
    tags.push(feedback::tag(key));
    let entry = Entry {
        stored_at_ms: exchange.started_ms,
        ttl,
        // Nothing of this layer is served stale.
        keep: keep.min(ttl),
        stamp: sought.stamp,
        layer: entry::Layer::Semantic,
        tags,
        class: class.name.clone(),
        model: stored.head.model.clone(),
        value: stored.encode(),
    };
    let expires_ms = exchange.started_ms + u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX / 2);
    if pipeline.tiers.admit(key, entry, exchange.now_ms(), &mut None) != Admission::Stored {
        return;
    }
    let spot = Spot {
        partition: plan.partition,
        vector: &sought.vector,
    };
    semantic
        .neighbours
        .insert(&spot, key, Known::read(plan.question), expires_ms);
}
