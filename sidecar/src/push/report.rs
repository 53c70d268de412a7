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
    .map(|(name, mode)| Layer {
        name: name.into(),
        state: state(mode).into(),
        message: String::new(),
    })
    .into()
}

fn stores(pipeline: &Pipeline) -> Vec<Store> {
    let avoided = pipeline.is_store_avoided().into_iter();
    let store = avoided.map(|is_avoided| Store {
        name: "redis".into(),
        is_reachable: !is_avoided,
    });
    store.collect()
}

fn state(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "Enforcing",
        Mode::Observe => "Observing",
        Mode::Disabled => "Disabled",
    }
}
