//! A pod in, a JSON patch out: the sidecar, its volumes, and where the app finds it.
//!
//! Pure: raw JSON in, so that fields this program does not know are kept; never a client, never a clock. The patch adds
//! one init container and its volumes, and touches nothing else of other containers than their environment.

mod annotation;
mod apps;
mod container;
mod environment;
mod explain;
mod limits;
mod mesh;
mod owner;
mod patch;
mod proxy;
mod quantity;
mod read;
mod repair;
mod resources;
mod skip;
mod upstream;
mod volumes;

pub use explain::{Controller, Explanation, State, explain};
pub use limits::{Limit, Scope};
pub use owner::{Owner, Rule, owner};
pub use patch::Patch;
pub use quantity::Quantity;
pub use resources::{Resources, Span};
pub use skip::{Reason, Skip};

use llmcache_policy::names::{ANNOTATION_FROM_OWNER, ANNOTATION_INJECT};
use serde_json::Value;

use annotation::Choice;
use patch::pointer;

use crate::opt_in::{self, Origin, Wish};

/// What an install injects.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Image of the sidecar.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// `error`, `warn`, `info`, `debug` or `trace`, where a pod does not say.
    pub log_level: String,
    /// Requests and limits of the sidecar, where a pod does not say.
    pub resources: Resources,
    /// Where sidecars find the operator: `https://SERVICE.NAMESPACE.svc:15443`.
    pub operator: String,
    /// Certificates that sign the operator's, PEM.
    pub ca_bundle: String,
    /// The install's own price rows, as a price file holds them; none = the shipped prices.
    pub prices: Option<String>,
}

/// What counts of a pod's namespace.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    /// Value of its label `llmcache.dev/inject`.
    pub word: Option<String>,
    /// Bounds of its `LimitRange`s.
    pub limits: Vec<Limit>,
}

/// Everything but the pod that an injection depends on.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What to inject.
    pub settings: &'a Settings,
    /// Where the pod is made.
    pub namespace: &'a Namespace,
    /// Minor version of the API server, if known; before 1.33 native sidecars are not what we rely on.
    pub server_minor: Option<u32>,
}

/// What happens to a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It has our sidecar; the patch repairs what others changed since, mostly nothing.
    Already {
        /// Repairs, mostly none.
        patch: Patch,
        /// What the user should know.
        warnings: Vec<String>,
    },
    /// Nobody asked for it, or somebody said `disabled`.
    Disabled {
        /// What the user should know: a word that is neither `enabled` nor `disabled`.
        warnings: Vec<String>,
    },
    /// It gets the sidecar.
    Injected {
        /// Never empty.
        patch: Patch,
        /// What the user should know.
        warnings: Vec<String>,
    },
    /// It asked for the sidecar and cannot have it.
    Skipped {
        /// Why, and how to mend it.
        skip: Skip,
        /// What else the user should know.
        warnings: Vec<String>,
    },
}

/// Judges one pod as it is created, and says how to change it.
pub fn pod(pod: &Value, context: &Context<'_>) -> Outcome {
    match wish(pod, context.namespace) {
        Wish::Enabled(_) if pod["spec"].is_object() => inject(pod, context),
        Wish::Unclear { origin, word } => Outcome::Disabled {
            warnings: vec![unclear(origin, &word)],
        },
        Wish::Enabled(_) | Wish::Disabled(_) | Wish::Absent => Outcome::Disabled { warnings: Vec::new() },
    }
}

/// The wish that holds for a pod.
fn wish(pod: &Value, namespace: &Namespace) -> Wish {
    opt_in::wish(|name| read::annotation(pod, name), namespace.word.as_deref())
}

/// What to tell somebody whose word is neither `enabled` nor `disabled`.
fn unclear(origin: Origin, word: &str) -> String {
    let (place, name) = match origin {
        Origin::Pod => ("annotation", ANNOTATION_INJECT),
        Origin::Owner => ("annotation", ANNOTATION_FROM_OWNER),
        Origin::Namespace => ("namespace label", ANNOTATION_INJECT),
    };
    let word = read::quoted(word);
    format!("{place} {name}: {word} is neither \"enabled\" nor \"disabled\", so nothing is injected; write \"enabled\"")
}

fn inject(pod: &Value, context: &Context<'_>) -> Outcome {
    if let Some(ours) = container::find(pod) {
        let (patch, warnings) = repair::repair(pod, ours, context.settings);
        return Outcome::Already { patch, warnings };
    }
    let mut warnings = Vec::new();
    let choice = annotation::choose(pod, context.settings, &mut warnings);
    match addition(pod, context, &choice, &mut warnings) {
        Ok(patch) => Outcome::Injected { patch, warnings },
        Err(skip) => Outcome::Skipped { skip, warnings },
    }
}

/// The patch that adds the sidecar.
fn addition(pod: &Value, context: &Context<'_>, choice: &Choice, warnings: &mut Vec<String>) -> Result<Patch, Skip> {
    skip::check(pod, context.server_minor, choice)?;
    let places = apps::places(pod);
    proxy::check(&places)?;
    let upstreams = upstream::plan(&places, choice.proxy_port)?;
    let resources = limits::fit(&choice.resources, &pod["spec"], &context.namespace.limits)?;
    let carried = proxy::carry(&pod["spec"], &places, warnings);

    let mut patch = Patch::default();
    for (index, place) in places.iter().enumerate() {
        let mut wanted = upstream::wanted(&upstreams, index, choice.proxy_port);
        wanted.extend(proxy::loopback(place.container));
        environment::set(&mut patch, place, &wanted);
    }
    let sidecar = container::render(context.settings, choice, &resources, &upstreams, carried);
    match pod["spec"]["initContainers"] {
        Value::Array(_) => patch.add(&pointer(&["spec", "initContainers", "0"]), sidecar),
        _ => patch.add(&pointer(&["spec", "initContainers"]), Value::Array(vec![sidecar])),
    }
    volumes::add(&mut patch, pod);
    volumes::label(&mut patch, pod);
    upstream::warn(&upstreams, &places, warnings);
    Ok(patch)
}

#[cfg(test)]
mod tests;
