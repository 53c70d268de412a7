//! The verdict on one review.

use std::borrow::Cow;

use serde_json::Value;

use super::Facts;
use super::body::Trouble;
use super::notice::{Notice, Regarding, Topic};
use super::review::{Review, Route};
use crate::inject::{self, Context, Namespace, Outcome, Patch, Reason};

/// Words of one Event; the API server takes 1 KiB.
const MESSAGE_LENGTH: usize = 1000;

/// What is done to an object, and what is told about it.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) patch: Patch,
    pub(super) warnings: Vec<String>,
    /// Word of `injections_total`; owners have none.
    pub(super) result: Option<&'static str>,
    pub(super) skip: Option<Reason>,
    pub(super) notice: Option<Notice>,
}

/// Judges by the facts of this moment.
pub(super) fn judge(route: Route, review: &Review, facts: &Facts) -> Result<Verdict, Trouble> {
    let object = &review.request["object"];
    if !object.is_object() {
        return Err(Trouble::Garbage);
    }
    match route {
        Route::Pods => pod(object, review.text("namespace"), facts),
        Route::Jobs | Route::Owners => Ok(owner(route, object, review)),
    }
}

fn owner(route: Route, object: &Value, review: &Review) -> Verdict {
    let is_late = route == Route::Jobs && review.text("operation") != "CREATE";
    if is_late {
        return Verdict::default();
    }
    let kind = review.request["kind"]["kind"].as_str().unwrap_or_default();
    let inject::Owner { patch, warnings } = inject::owner(object, kind, route.rule());
    Verdict {
        patch,
        warnings,
        ..Verdict::default()
    }
}

fn pod(pod: &Value, name: &str, facts: &Facts) -> Result<Verdict, Trouble> {
    let settings = facts.settings.as_ref().ok_or(Trouble::Early)?;
    let namespace = namespace(name, facts);
    let context = Context {
        settings,
        namespace: &namespace,
        server_minor: facts.server_minor,
    };
    let notice = |topic, message: &str| notice(pod, name, topic, message);
    Ok(match inject::pod(pod, &context) {
        Outcome::Already { patch, warnings } => verdict("already", patch, warnings),
        Outcome::Disabled { warnings } => verdict("disabled", Patch::default(), warnings),
        Outcome::Injected { patch, warnings } => {
            let words = std::iter::once("the pod gets the sidecar".to_owned()).chain(warnings.iter().cloned());
            let message = words.collect::<Vec<_>>().join("; ");
            Verdict {
                notice: notice(Topic::Injected, &message),
                ..verdict("injected", patch, warnings)
            }
        }
        Outcome::Skipped { skip, mut warnings } => {
            let message = format!("{}: {}", skip.reason.word(), skip.message);
            warnings.insert(0, format!("not injected: {message}"));
            Verdict {
                skip: Some(skip.reason),
                notice: notice(Topic::InjectionSkipped, &message),
                ..verdict("skipped", Patch::default(), warnings)
            }
        }
    })
}

fn verdict(result: &'static str, patch: Patch, warnings: Vec<String>) -> Verdict {
    Verdict {
        patch,
        warnings,
        result: Some(result),
        ..Verdict::default()
    }
}

/// What is known of a namespace. Pods without a word reach us only through the entry that selects labelled namespaces,
/// so a label that the watch has not seen yet is there.
fn namespace<'a>(name: &str, facts: &'a Facts) -> Cow<'a, Namespace> {
    match facts.namespaces.get(name) {
        Some(namespace) if namespace.word.is_some() => Cow::Borrowed(namespace),
        known => Cow::Owned(Namespace {
            word: Some("enabled".to_owned()),
            limits: known.map(|namespace| namespace.limits.clone()).unwrap_or_default(),
        }),
    }
}

/// An Event on the pod's controller, or on the pod when it has a name.
fn notice(pod: &Value, namespace: &str, topic: Topic, message: &str) -> Option<Notice> {
    let references = pod["metadata"]["ownerReferences"].as_array();
    let controller = references
        .into_iter()
        .flatten()
        .find(|owner| owner["controller"] == true);
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let regarding = match controller {
        Some(owner) => Regarding {
            api_version: text(owner, "apiVersion"),
            kind: text(owner, "kind"),
            name: text(owner, "name"),
            uid: owner["uid"].as_str().map(str::to_owned),
        },
        None => Regarding {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: text(&pod["metadata"], "name"),
            uid: None,
        },
    };
    let message = message.chars().take(MESSAGE_LENGTH).collect();
    (!regarding.name.is_empty()).then(|| Notice {
        namespace: namespace.to_owned(),
        regarding,
        topic,
        message,
    })
}
