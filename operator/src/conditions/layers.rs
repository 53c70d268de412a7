//! State of each layer: what the policy orders, and what sidecars say of it.

use llmcache_crds::status::LayerState;
use llmcache_policy::push::{Layer, Report};
use llmcache_policy::{Mode, Snapshot};

/// Longest message.
const MAX_MESSAGE: usize = 1_024;

/// States of the semantic cache, the worst first: it does less than its policy orders until the evidence allows more.
const SEMANTIC: [&str; 5] = ["OverBudget", "Off", "Observing", "Enforcing", "Disabled"];

/// One entry per layer.
pub(super) fn layers<'a>(snapshot: &Snapshot, reports: impl Iterator<Item = &'a Report>) -> Vec<LayerState> {
    let said: Vec<_> = reports.flat_map(|report| &report.layers).collect();
    let ordered = [
        ("routing", snapshot.routing.mode),
        ("resultCache", snapshot.result_cache.mode),
        ("promptCache", snapshot.prompt_cache.mode),
    ];
    let mut states: Vec<_> = ordered
        .into_iter()
        .map(|(name, mode)| {
            // A sidecar whose layer does less than ordered is what people need to know.
            let odd = |layer: &&&Layer| layer.name == name && layer.state != word(mode);
            state(name, mode, said.iter().find(odd).copied())
        })
        .collect();
    states.push(semantic(snapshot.semantic_cache.mode, &said));
    states
}

/// What the sidecar that is worst off says; where it is ordered off, a late word of another state means nothing.
fn semantic(mode: Mode, said: &[&Layer]) -> LayerState {
    let name = "semanticCache";
    let rank = |layer: &Layer| SEMANTIC.iter().position(|state| layer.state == *state);
    let said = said.iter().filter(|layer| layer.name == name && mode != Mode::Disabled);
    let worst = said
        .filter_map(|layer| Some((rank(layer)?, *layer)))
        .min_by_key(|(rank, _)| *rank);
    match (mode, worst) {
        // Before the first sidecar has spoken nothing is served.
        (Mode::Enforce, None) => state(name, Mode::Observe, None),
        (mode, worst) => state(name, mode, worst.map(|(_, layer)| layer)),
    }
}

fn state(name: &str, mode: Mode, said: Option<&Layer>) -> LayerState {
    LayerState {
        name: name.into(),
        state: said.map_or_else(|| word(mode).to_owned(), |layer| layer.state.chars().take(63).collect()),
        message: said
            .map(|layer| layer.message.chars().take(MAX_MESSAGE).collect())
            .unwrap_or_default(),
    }
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "Enforcing",
        Mode::Observe => "Observing",
        Mode::Disabled => "Disabled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// State and message of the semantic cache, ordered to a mode, where sidecars say so.
    fn semantic_of(mode: Mode, said: &[(&str, &str)]) -> (String, String) {
        let mut snapshot = crate::compile(&crate::load(EMPTY).unwrap().policies[0].0);
        snapshot.semantic_cache.mode = mode;
        let report = |(state, message): &(&str, &str)| Report {
            layers: vec![Layer {
                name: "semanticCache".into(),
                state: (*state).into(),
                message: (*message).into(),
            }],
            ..Report::default()
        };
        let reports: Vec<_> = said.iter().map(report).collect();
        let all = layers(&snapshot, reports.iter());
        let layer = all.into_iter().find(|layer| layer.name == "semanticCache").unwrap();
        (layer.state, layer.message)
    }

    const EMPTY: &str =
        "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {name: empty, namespace: shop}\nspec: {}\n";

    #[test]
    fn the_semantic_cache_is_as_its_worst_sidecar_says() {
        let pair = |state: &str, message: &str| (state.to_owned(), message.to_owned());
        let mut said = Vec::new();
        assert_eq!(semantic_of(Mode::Enforce, &said), pair("Observing", ""));
        for (state, message) in [
            ("Enforcing", "class dynamic: serving from 0.80"),
            ("Observing", "class dynamic: 12 of about 74 labels"),
            ("Off", "the model is missing"),
            ("OverBudget", "class dynamic: closed by evidence"),
        ] {
            said.push((state, message));
            assert_eq!(semantic_of(Mode::Enforce, &said), pair(state, message));
            said.insert(0, ("Enforcing", "class dynamic: serving from 0.85"));
            assert_eq!(semantic_of(Mode::Enforce, &said).0, state);
        }
        assert_eq!(semantic_of(Mode::Disabled, &said), pair("Disabled", ""));
        assert_eq!(semantic_of(Mode::Observe, &[("Later", "?")]), pair("Observing", ""));
    }
}
