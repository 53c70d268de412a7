//! A request from end to end. Read `handle` first: it names the stages in order, and each is a file of its name.
//!
//! Stages that may not fail a request run behind `guard`: a panic in one of them costs what the stage would have
//! done, not the request.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use jiff::Timestamp;
use llmcache_cache::budget::Deadline;
use llmcache_cache::single_flight::Leader;
use llmcache_policy::{Dialect, Mode, names};
use llmcache_provider::error::OwnError;
use llmcache_provider::request::Echo;
use llmcache_provider::{Endpoint, Provider, request};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::body::Body;

pub(crate) mod account;
pub(crate) mod completion;
pub(crate) mod embeddings;
pub(crate) mod follow;
pub(crate) mod parse;
pub(crate) mod prompt_cache;
mod reasons;
pub(crate) mod reply;
pub(crate) mod result_cache;
pub(crate) mod routing;
pub(crate) mod scope;
pub(crate) mod semantic_cache;
mod shared;
pub(crate) mod store;
pub(crate) mod stored;
pub(crate) mod upstream;

pub(crate) use reasons::REASONS;
pub(crate) use shared::{Pipeline, Stores, Terms};

use account::Record;
use completion::Collected;
use follow::Head;
use parse::{Call, Parsed};
use prompt_cache::Marked;
use result_cache::control::Control;
use result_cache::{Lookup, Turn, stale};
use routing::Route;
use scope::Scope;
use semantic_cache::Seek;
use stored::Stored;

/// One understood request with all that is decided about it before the caches are asked.
pub(crate) struct Exchange {
    /// Our id of it, in headers, logs and the ledger.
    pub id: String,
    /// When it arrived.
    pub started: Instant,
    /// The same by the wall clock.
    pub started_at: Timestamp,
    /// The same by the clock that answers age by, in milliseconds.
    pub started_ms: u64,
    /// The request.
    pub call: Call,
    /// What its answer repeats of it.
    pub echo: Echo,
    /// The client's cache directives.
    pub control: Control,
    /// Who may share the answer, or why nobody may.
    pub scope: Result<Scope, &'static str>,
    /// Which model answers.
    pub route: Route,
    /// When its store calls must have answered; none = none was made yet.
    pub deadline: Option<Deadline>,
    /// What the semantic cache came to, for the header that explains; none = it did not look.
    pub semantic: OnceLock<&'static str>,
    /// A stage runs that may panic with the record in its hands; its guard then opens another.
    pub is_guarded: AtomicBool,
}

/// Answers one request; `rest` is its path and query below the provider's prefix.
pub(crate) async fn handle(
    pipeline: Arc<Pipeline>,
    provider: Provider,
    rest: String,
    request: Request<Incoming>,
) -> Response<Body> {
    let (started, started_at, started_ms) = (Instant::now(), Timestamp::now(), pipeline.clock.now_ms());
    let id = pipeline.next_id();
    let call = match parse::read(&pipeline.budget, provider, &rest, request).await {
        Parsed::Typed(call) => *call,
        Parsed::Opaque(opaque) => return upstream::pass::pass_through(&pipeline, *opaque, id).await,
    };
    let scope = guard("scope", || {
        scope::identify(&pipeline.key, &pipeline.snapshot, pipeline.service_account(), &call)
    })
    .unwrap_or(Err("internal"));
    let (route, deadline) = route(&pipeline, &call, scope.as_ref().ok(), started_at).await;
    let (route, refused) = match route {
        Ok(route) => (route, None),
        Err(error) => (Route::internal(call.request.model()), Some(error)),
    };
    let exchange = Arc::new(Exchange {
        id,
        started,
        started_at,
        started_ms,
        echo: call.request.echo(),
        control: Control::of(&call.headers),
        call,
        scope,
        route,
        deadline,
        semantic: OnceLock::new(),
        is_guarded: AtomicBool::new(false),
    });
    let record = Record::open(&pipeline, &exchange);
    if exchange.route.tier.is_none() {
        pipeline.metrics.bypass("routing", exchange.route.word);
    }
    if let Some(error) = refused {
        return reply::own_error(&exchange, record, &error);
    }
    if exchange.call.endpoint == Endpoint::OpenAiEmbeddings {
        return embeddings::handle(pipeline, exchange, record).await;
    }
    let (mut turn, record) = match look_up(&pipeline, &exchange, record).await {
        Lookup::Answered(response) => return response,
        Lookup::Upstream(turn, record) => (*turn, record),
    };
    match seek(&pipeline, &exchange, &turn).await {
        Seek::Hit(equivalent) => return semantic_cache::answer(&pipeline, &exchange, turn, *equivalent, record),
        Seek::Upstream(sought) => turn.sought = Some(sought),
        Seek::Nothing => {}
    }
    ask(pipeline, exchange, turn, record).await
}

/// Chooses the model. Only for a conversation that began in another process is the store asked before.
async fn route(
    pipeline: &Pipeline,
    call: &Call,
    scope: Option<&Scope>,
    at: Timestamp,
) -> (Result<Route, OwnError>, Option<Deadline>) {
    let context = pipeline.routing(at);
    let internal = || Ok(Route::internal(call.request.model()));
    let Some(conversation) = guard("routing", || routing::conversation(&context, call, scope)) else {
        return (internal(), None);
    };
    let mut deadline = None;
    if let Some(conversation) = &conversation
        && pipeline.snapshot.routing.mode == Mode::Enforce
        && pipeline.memory.is_elsewhere(conversation)
    {
        let until = Deadline::after(result_cache::budget(pipeline));
        deadline = Some(until);
        let fetch = pipeline.memory.fetch(pipeline, call, conversation.prefix, until);
        if AssertUnwindSafe(fetch).catch_unwind().await.is_err() {
            tracing::error!(stage = "routing", "a stage panicked");
        }
    }
    let prefix = conversation.map(|conversation| conversation.prefix);
    let decided = guard("routing", || routing::select(&context, call, scope, prefix));
    (decided.unwrap_or_else(internal), deadline)
}

fn mark(pipeline: &Pipeline, exchange: &Exchange) -> Marked {
    let marked = guard("prompt_cache", || {
        let scope = exchange.scope.as_ref().ok();
        prompt_cache::mark(
            &pipeline.seen,
            &pipeline.snapshot,
            &exchange.call,
            scope,
            &exchange.route.model,
        )
    });
    marked.unwrap_or_default()
}

/// The lookup behind a guard of its own, since it waits.
async fn look_up(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>, record: Record) -> Lookup {
    // A panic here ends one lookup, not the request: its record is dropped uncounted and opened again.
    exchange.is_guarded.store(true, Ordering::Relaxed);
    let looked_up = AssertUnwindSafe(result_cache::lookup(pipeline, exchange, record))
        .catch_unwind()
        .await;
    exchange.is_guarded.store(false, Ordering::Relaxed);
    match looked_up {
        Ok(lookup) => lookup,
        Err(_panic) => {
            tracing::error!(id = exchange.id, stage = "result_cache", "a stage panicked");
            Lookup::Upstream(Turn::bypass("internal"), Record::open(pipeline, exchange))
        }
    }
}

/// The search behind a guard of its own, since it waits.
async fn seek(pipeline: &Pipeline, exchange: &Exchange, turn: &Turn) -> Seek {
    let found = AssertUnwindSafe(semantic_cache::seek(pipeline, exchange, turn))
        .catch_unwind()
        .await;
    found.unwrap_or_else(|_panic| {
        tracing::error!(id = exchange.id, stage = "semantic_cache", "a stage panicked");
        pipeline.metrics.bypass("semantic_cache", "internal");
        Seek::Nothing
    })
}

/// Stages *`prompt_cache`*, *upstream*, *store* and *account*. A leader goes on without its client while others follow
/// it.
async fn ask(pipeline: Arc<Pipeline>, exchange: Arc<Exchange>, turn: Turn, mut record: Record) -> Response<Body> {
    let marked = mark(&pipeline, &exchange);
    record.progress.bypass = turn.bypass;
    if let Some(reason) = turn.bypass {
        pipeline.metrics.bypass("result_cache", reason);
    }
    if turn.leader.is_none() {
        let collected = match upstream::send(&pipeline, &exchange, &marked, &mut record).await {
            Ok(sent) => completion::collect(&pipeline, sent).await,
            Err(error) => Collected::None(error),
        };
        return respond(&pipeline, &exchange, turn, collected, record).await;
    }
    let provider = exchange.call.endpoint.provider();
    let (client, answer) = oneshot::channel();
    tokio::spawn(lead(pipeline, exchange, turn, marked, record, client));
    // The sender is dropped only when the task panicked: an answer is always sent while somebody waits for it.
    answer
        .await
        .unwrap_or_else(|_| OwnError::DeadUpstream.response(provider).map(crate::body::full))
}

async fn lead(
    pipeline: Arc<Pipeline>,
    exchange: Arc<Exchange>,
    turn: Turn,
    marked: Marked,
    mut record: Record,
    mut client: oneshot::Sender<Response<Body>>,
) {
    let sent = upstream::send(&pipeline, &exchange, &marked, &mut record);
    let Some(sent) = while_wanted(&mut client, turn.leader.as_ref(), sent).await else {
        return;
    };
    let collected = match sent {
        Ok(sent) => {
            let collected = completion::collect(&pipeline, sent);
            while_wanted(&mut client, turn.leader.as_ref(), collected).await
        }
        Err(error) => Some(Collected::None(error)),
    };
    let Some(collected) = collected else { return };
    let response = respond(&pipeline, &exchange, turn, collected, record).await;
    // A client that has gone drops the body, which reads on by itself while others follow.
    drop(client.send(response));
}

/// The answer in hand, or where the provider failed a stale one if the policy allows it.
async fn respond(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    mut turn: Turn,
    collected: Collected,
    record: Record,
) -> Response<Body> {
    let stale = match collected.failure() {
        Some(failure) => stale::stand_in(pipeline, exchange, &mut turn, failure).await,
        None => None,
    };
    if let Some((hit, failure)) = stale {
        return stale::answer(exchange, turn, &hit, failure, record);
    }
    let wanted = semantic_cache::draw(pipeline, exchange, &turn, collected.is_answer());
    let mut response = completion::finish(pipeline, exchange, turn, collected, record);
    if let Some(wanted) = wanted {
        response.headers_mut().insert(names::HEADER_FEEDBACK, wanted);
    }
    response
}

/// Runs `work` to its end, or until the client has gone and nobody follows.
async fn while_wanted<T>(
    client: &mut oneshot::Sender<Response<Body>>,
    leader: Option<&Leader<Head, Stored>>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let unwanted = async {
        client.closed().await;
        if let Some(leader) = leader {
            leader.unfollowed().await;
        }
    };
    tokio::select! {
        done = work => Some(done),
        () = unwanted => None,
    }
}

/// Runs a stage that may not fail the request; none when it panicked.
pub(crate) fn guard<T>(stage: &'static str, work: impl FnOnce() -> T) -> Option<T> {
    // What the closure borrows is only read, or behind locks that a panic releases (parking_lot has no poison).
    catch_unwind(AssertUnwindSafe(work))
        .inspect_err(|_| tracing::error!(stage, "a stage panicked"))
        .ok()
}

impl Exchange {
    /// The wall clock, milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        self.started_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap_or_default()
    }

    /// Explains in the headers what the semantic cache came to.
    pub(crate) fn says(&self, word: &'static str) {
        // Set once: the stage runs once.
        _ = self.semantic.set(word);
    }

    /// Whether every listed splice is allowed.
    pub(crate) fn is_native(&self, pipeline: &Pipeline) -> bool {
        pipeline.dialect(self.call.endpoint) == request::Dialect::OpenAi
    }
}

impl Pipeline {
    /// How faithfully the upstream of an endpoint follows its provider's API.
    pub(crate) fn dialect(&self, endpoint: Endpoint) -> request::Dialect {
        match (endpoint.provider(), self.snapshot.upstreams.openai.dialect) {
            // Without a policy nothing is spliced.
            (Provider::OpenAi, _) if self.snapshot.is_pass_through() => request::Dialect::Compatible,
            (Provider::OpenAi, Dialect::Compatible) => request::Dialect::Compatible,
            (Provider::Anthropic | Provider::OpenAi, _) => request::Dialect::OpenAi,
        }
    }
}

/// The provider a proxy path is for, and the path and query below its prefix.
pub(crate) fn provider_of(path_and_query: &str) -> Option<(Provider, &str)> {
    let below = |prefix| {
        let rest = path_and_query.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
    };
    below(names::ANTHROPIC_PREFIX)
        .map(|rest| (Provider::Anthropic, rest))
        .or_else(|| below(names::OPENAI_PREFIX).map(|rest| (Provider::OpenAi, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_stage_ends_the_stage_alone() {
        assert_eq!(guard("test", || 1), Some(1));
        assert_eq!(guard("test", || -> u8 { panic!("a stage's own fault") }), None);
    }
}
