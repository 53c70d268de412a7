//! One place that a base URL can come from.

use serde_json::{Value, json};

use super::super::environment::is_literal;
use super::super::read::{list, text};
use super::Provider;

/// A value, or a reference to one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::inject) enum Source {
    /// Stands in the pod.
    Literal(String),
    /// Read by the kubelet.
    Reference {
        /// `configMapKeyRef`, `secretKeyRef` or `fieldRef`.
        kind: &'static str,
        /// Of the object; empty for a field of the pod.
        object: String,
        /// Key of the object, or the field's path.
        key: String,
    },
}

const KINDS: [&str; 2] = ["configMapKeyRef", "secretKeyRef"];
const FIELD: &str = "fieldRef";

impl Source {
    /// What a `valueFrom` refers to; none for kinds that another container cannot read.
    pub(super) fn read(value_from: &Value) -> Option<Self> {
        let reference = |kind, object: &str, key: &str| Self::Reference {
            kind,
            object: object.to_owned(),
            key: key.to_owned(),
        };
        let kind = KINDS.into_iter().find(|kind| value_from[kind].is_object());
        if let Some(kind) = kind {
            return Some(reference(
                kind,
                text(&value_from[kind], "name"),
                text(&value_from[kind], "key"),
            ));
        }
        let path = value_from[FIELD]["fieldPath"].as_str()?;
        Some(reference(FIELD, "", path))
    }

    /// An entry of the sidecar's environment.
    pub(super) fn entry(&self, name: &str) -> Value {
        match self {
            Self::Literal(value) => json!({"name": name, "value": value}),
            Self::Reference { kind, key, .. } if *kind == FIELD => {
                json!({"name": name, "valueFrom": {FIELD: {"fieldPath": key}}})
            }
            // A required key that is missing would keep the pod from starting.
            Self::Reference { kind, object, key } => {
                json!({"name": name, "valueFrom": {*kind: {"name": object, "key": key, "optional": true}}})
            }
        }
    }
}

/// The keys of `envFrom` that may hold a provider's base URL, in order.
pub(super) fn from(provider: &Provider, container: &Value) -> Vec<Source> {
    let key = |name: &'static str, source: &Value| {
        let key = name
            .strip_prefix(text(source, "prefix"))
            .filter(|key| !key.is_empty())?;
        let pairs = [("configMapRef", KINDS[0]), ("secretRef", KINDS[1])];
        let (field, kind) = pairs.into_iter().find(|(field, _)| source[field].is_object())?;
        Some(Source::Reference {
            kind,
            object: text(&source[field], "name").to_owned(),
            key: key.to_owned(),
        })
    };
    let names = provider.names.into_iter();
    names
        .flat_map(|name| {
            list(container, "envFrom")
                .iter()
                .filter_map(move |source| key(name, source))
        })
        .collect()
}

/// The sources in a sidecar's environment, under one name or numbered names.
pub(super) fn given(name: &str, sidecar: &Value) -> Vec<Source> {
    let is_numbered = |rest: &str| rest.is_empty() || rest.starts_with('_');
    list(sidecar, "env")
        .iter()
        .filter(|entry| text(entry, "name").strip_prefix(name).is_some_and(is_numbered))
        .filter_map(|entry| {
            if is_literal(entry) {
                return Some(Source::Literal(text(entry, "value").to_owned()));
            }
            Source::read(&entry["valueFrom"])
        })
        .collect()
}
