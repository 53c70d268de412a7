//! State of each layer: what the policy orders, and what sidecars say of it.

use llmcache_crds::status::LayerState;
use llmcache_policy::push::Report;
use llmcache_policy::{Mode, Snapshot};

/// Longest message.
const MAX_MESSAGE: usize = 1_024;

/// One entry per layer that this version acts on.
pub(super) fn layers<'a>(snapshot: &Snapshot, reports: impl Iterator<Item = &'a Report>) -> Vec<LayerState> {
    let said: Vec<_> = reports.flat_map(|report| &report.layers).collect();
    let ordered = [
        ("routing", snapshot.routing.mode),
        ("resultCache", snapshot.result_cache.mode),
        ("promptCache", snapshot.prompt_cache.mode),
    ];
    ordered
        .into_iter()
        .map(|(name, mode)| {
            // A sidecar whose layer does less than ordered is what people need to know.
            let odd = said
                .iter()
                .find(|layer| layer.name == name && layer.state != word(mode));
            LayerState {
                name: name.into(),
                state: odd.map_or_else(|| word(mode).to_owned(), |layer| layer.state.chars().take(63).collect()),
                message: odd
                    .map(|layer| layer.message.chars().take(MAX_MESSAGE).collect())
                    .unwrap_or_default(),
            }
        })
        .collect()
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "Enforcing",
        Mode::Observe => "Observing",
        Mode::Disabled => "Disabled",
    }
}
