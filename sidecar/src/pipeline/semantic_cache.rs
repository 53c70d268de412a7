//! Stage 5, *semantic cache*: the answer to an equivalent question of the same partition, inside a budget of wrong
//! answers. It never fails a request: whatever is missing, late or broken is a miss.

use std::fmt::Write;
use std::sync::Arc;

use http::{HeaderValue, Response};
use llmcache_cache::bans::Stamp;
use llmcache_cache::seal::Digest;
use llmcache_policy::Mode;
use llmcache_semantic::embedding::Vector;
use llmcache_semantic::evidence::{self, Event};
use tokio::time::Instant;

use super::account::Record;
use super::follow::Head;
use super::reply;
use super::result_cache::{Hit, Turn};
use super::{Exchange, Pipeline};
use crate::body::Body;
use crate::metrics::Candidate;
use crate::outcome::Layer;

mod admit;
mod books;
pub(crate) mod feedback;
mod judge;
mod layer;
mod neighbours;
mod plan;
mod qdrant;
mod search;

pub(crate) use admit::ended;
pub(crate) use layer::{Semantic, Standing};
pub(crate) use plan::REFUSALS;

use feedback::Subject;
use judge::Check;
use neighbours::Known;
use plan::Plan;
use search::Nearby;

/// What the stage came to.
pub(crate) enum Seek {
    /// Served.
    Hit(Box<Equivalent>),
    /// Goes upstream; the answer may become a neighbour, or a label.
    Upstream(Box<Sought>),
    /// Goes upstream; the stage has no further interest.
    Nothing,
}

/// A stored answer to an equivalent question.
#[derive(Clone)]
pub(crate) struct Equivalent {
    /// The answer.
    pub hit: Hit,
    /// How near the two questions are, in ten-thousandths.
    pub similarity: u16,
    /// The least similarity that is served, in ten-thousandths.
    pub threshold: u16,
    /// What feedback on it is about.
    pub subject: Subject,
}

/// What is to be done with the answer of a request that goes upstream.
pub(crate) struct Sought {
    plan: Plan,
    vector: Vector,
    stamp: Stamp,
    /// Its answer may become a neighbour.
    is_wanted: bool,
    drawn: Option<Drawn>,
    /// The judge is tried on it.
    check: Option<Check>,
}

/// A pair whose label is wanted: this question, and the stored answer to another.
struct Drawn {
    candidate: Candidacy,
    /// Names the pair in the evidence.
    id: u64,
    /// It would have been served.
    is_open: bool,
}

/// The nearest stored answer that no guard is against.
struct Candidacy {
    hit: Hit,
    similarity: u16,
    key: Digest,
    known: Arc<Known>,
}

/// Looks for an equivalent question.
pub(crate) async fn seek(pipeline: &Pipeline, exchange: &Exchange, turn: &Turn) -> Seek {
    let Some(semantic) = &pipeline.semantic else {
        return Seek::Nothing;
    };
    let started = Instant::now();
    let found = match plan::plan(pipeline, exchange, turn) {
        Ok(plan) => search::search(pipeline, exchange, semantic, turn, plan).await,
        Err(reason) => Err(reason),
    };
    match found {
        Ok((sought, nearby)) => {
            pipeline.metrics.lookup(Layer::SemanticCache, started.elapsed());
            decide(pipeline, exchange, semantic, sought, nearby)
        }
        Err(reason) => {
            pipeline.metrics.bypass("semantic_cache", reason);
            exchange.says(reason);
            Seek::Nothing
        }
    }
}

/// Serves the candidate, or says what its pair and the coming answer are good for.
fn decide(pipeline: &Pipeline, exchange: &Exchange, semantic: &Semantic, mut sought: Sought, nearby: Nearby) -> Seek {
    semantic.earn();
    let Some(candidate) = nearby.candidate else {
        exchange.says(Candidate::None.word());
        sought.check = semantic.check(pipeline, exchange, nearby.vetoed);
        return Seek::Upstream(Box::new(sought));
    };
    let class = sought.plan.class(pipeline);
    let similarity = candidate.similarity;
    let standing = semantic.standing(&class.name, similarity);
    let is_enforced = pipeline.snapshot.semantic_cache.mode == Mode::Enforce;
    let is_drawn = standing.has_room
        && evidence::is_drawn(&lot(pipeline, exchange, "draw").0, standing.share)
        && semantic.affords(exchange);
    let said = match (is_drawn, is_enforced, standing.is_open()) {
        (true, ..) => Candidate::Drawn,
        (false, true, true) => Candidate::Served,
        (false, true, false) => Candidate::Below,
        (false, false, _) => Candidate::Observed,
    };
    pipeline.metrics.candidate(said);
    exchange.says(said.word());
    if said == Candidate::Served {
        return Seek::Hit(Box::new(Equivalent {
            subject: Subject::served(&sought.plan, &class.name, candidate.key),
            hit: candidate.hit,
            similarity,
            threshold: standing.threshold.unwrap_or_default(),
        }));
    }
    // What would have been served is no neighbour: else they would be denser than where it is.
    sought.is_wanted = !standing.is_open() && similarity < standing.proposed;
    sought.drawn = is_drawn.then(|| Drawn {
        candidate,
        id: pair_id(pipeline, exchange),
        is_open: standing.is_open(),
    });
    Seek::Upstream(Box::new(sought))
}

/// Decides by the request alone, so before any answer is seen, what is drawn.
fn lot(pipeline: &Pipeline, exchange: &Exchange, purpose: &'static str) -> Digest {
    let mut mac = pipeline.key.mac(purpose);
    mac.field(exchange.id.as_bytes());
    mac.finish()
}

/// The pair's name in the evidence.
fn pair_id(pipeline: &Pipeline, exchange: &Exchange) -> u64 {
    let mut id = [0; 8];
    id.copy_from_slice(&lot(pipeline, exchange, "pair").0[..8]);
    u64::from_be_bytes(id)
}

/// Gives the answer to the client and to those who follow it.
pub(crate) fn answer(
    pipeline: &Pipeline,
    exchange: &Exchange,
    turn: Turn,
    equivalent: Equivalent,
    record: Record,
) -> Response<Body> {
    if let Some(leader) = turn.leader {
        leader.begin(Head {
            equivalent: Some(equivalent.clone()),
            ..Head::finished(&equivalent.hit.stored.head.model, None)
        });
        leader.finish(Some(Arc::new(equivalent.hit.stored.clone())));
    }
    give(pipeline, exchange, equivalent, record)
}

/// One client's own copy of it.
pub(crate) fn give(pipeline: &Pipeline, exchange: &Exchange, equivalent: Equivalent, record: Record) -> Response<Body> {
    let response = reply::equivalent(exchange, record, &equivalent);
    if let Some(semantic) = &pipeline.semantic {
        semantic.feedback.about(&exchange.id, equivalent.subject);
    }
    response
}

/// Registers the pair that was drawn, now that an answer comes: with a provider that fails there is none to compare.
/// Gives the header that asks for feedback.
pub(crate) fn draw(pipeline: &Pipeline, exchange: &Exchange, turn: &Turn, is_answer: bool) -> Option<HeaderValue> {
    let (semantic, sought) = (pipeline.semantic.as_ref()?, turn.sought.as_ref()?);
    let drawn = sought.drawn.as_ref().filter(|_| is_answer)?;
    let Candidacy {
        hit, similarity, key, ..
    } = &drawn.candidate;
    let class = &sought.plan.class(pipeline).name;
    let event = Event::Drawn {
        id: drawn.id,
        similarity: *similarity,
        is_open: drawn.is_open,
    };
    semantic.note(class, event, exchange.now_ms());
    let subject = Subject::drawn(&sought.plan, class, *key, drawn.id);
    semantic.feedback.about(&exchange.id, subject);
    // Not to be guessed by who does not have the key.
    let id = hex(&lot(pipeline, exchange, "candidate").0[..16]);
    let answer = reply::plain(exchange, &hit.stored, hit.share);
    semantic.feedback.show(&id, answer, sought.plan.kept.credential);
    HeaderValue::from_str(&format!("wanted; candidate={id}")).ok()
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Whether this client takes an equivalent question's answer.
pub(crate) fn is_accepted(exchange: &Exchange) -> bool {
    !plan::is_refused(&exchange.call.headers)
}
