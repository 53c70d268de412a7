//! How a sidecar is, in the operator's words.

use llmcache_policy::Mode;
use llmcache_policy::push::{Layer, Report, Store};

use crate::account::Window;
use crate::pipeline::Pipeline;

/// The report at a moment.
pub(super) fn report(pipeline: &Pipeline, requests: u64, window: Window) -> Report {
    let Window {
        requests: recent,
        hits,
        saved,
        overhead,
    } = window;
    Report {
        requests,
        layers: layers(pipeline),
        stores: stores(pipeline),
        window: Some(llmcache_policy::push::Window {
            requests: recent,
            hits,
            saved_nano_usd: saved,
            overhead_nano_usd: overhead,
        }),
    }
}

/// Whether a state changed that the operator hears of at once.
pub(super) fn is_news(before: &Report, now: &Report) -> bool {
    before.layers != now.layers || before.stores != now.stores
}

fn layers(pipeline: &Pipeline) -> Vec<Layer> {
    let policy = &pipeline.snapshot;
    [
        ("resultCache", policy.result_cache.mode),
        ("promptCache", policy.prompt_cache.mode),
        ("routing", policy.routing.mode),
    ]
    .map(|(name, mode)| (name, state(mode), String::new()))
    .into_iter()
    .chain([semantic(pipeline)])
    .map(|(name, state, message)| Layer {
        name: name.into(),
        state: state.into(),
        message,
    })
    .collect()
}

fn semantic(pipeline: &Pipeline) -> (&'static str, &'static str, String) {
    let report = pipeline.semantic.as_ref().map(|semantic| semantic.report());
    let (state, message) = report.unwrap_or_else(|| (state(Mode::Disabled), String::new()));
    ("semanticCache", state, message)
}

fn stores(pipeline: &Pipeline) -> Vec<Store> {
    let stores = [
        ("redis", pipeline.is_store_avoided()),
        ("qdrant", pipeline.is_index_avoided()),
    ];
    let used = stores.into_iter().filter_map(|(name, avoided)| Some((name, avoided?)));
    used.map(|(name, is_avoided)| Store {
        name: name.into(),
        is_reachable: !is_avoided,
    })
    .collect()
}

fn state(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "Enforcing",
        Mode::Observe => "Observing",
        Mode::Disabled => "Disabled",
    }
}
