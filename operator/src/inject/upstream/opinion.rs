//! What one container says about where its calls to one provider go.

use serde_json::Value;

use super::super::apps::Place;
use super::super::environment::is_literal;
use super::super::read::{holds_variable, list, text};
use super::super::skip::{Reason, Skip};
use super::Provider;
use super::source::{self, Source};

/// The explicit sources of a base URL in order, the last one present wins; empty when the container names none.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::inject) struct Opinion(Vec<Source>);

/// What the entries of one name come to.
#[derive(Default)]
struct Entries {
    sources: Vec<Source>,
    /// Whether the value cannot come from `envFrom`.
    is_final: bool,
    /// Whether it is made of other variables, or from a source that another container cannot read.
    is_unreadable: bool,
}

impl Opinion {
    /// Reads a container; fails when the value cannot be handed to the sidecar, or its two names differ.
    pub(in crate::inject) fn of(provider: &Provider, place: &Place<'_>, port: u16) -> Result<Self, Skip> {
        let [second, first] = provider
            .names
            .map(|name| Entries::read(provider, name, place.container, port));
        for (entries, name) in [(&first, provider.names[1]), (&second, provider.names[0])] {
            if entries.is_unreadable {
                return Err(Reason::ConflictingBaseUrl.because(format!(
                    "container {}: the value of {name} is known only inside the container; write it out",
                    place.name()
                )));
            }
        }
        let (main, other) = if first.sources.is_empty() {
            (second, first)
        } else {
            (first, second)
        };
        if !other.sources.is_empty() && other.sources != main.sources {
            return Err(Reason::ConflictingBaseUrl.because(format!(
                "container {}: {} and {} differ; give them the same value",
                place.name(),
                provider.names[1],
                provider.names[0]
            )));
        }
        if main.sources.is_empty() || main.is_final {
            return Ok(Self(main.sources));
        }
        let from = source::from(provider, place.container);
        Ok(Self(from.into_iter().chain(main.sources).collect()))
    }

    pub(in crate::inject) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn sources(&self) -> &[Source] {
        &self.0
    }
}

impl Entries {
    fn read(provider: &Provider, name: &str, container: &Value, port: u16) -> Self {
        let mut entries = Self::default();
        for entry in list(container, "env")
            .iter()
            .filter(|entry| text(entry, "name") == name)
        {
            if is_literal(entry) {
                entries.decide(provider, text(entry, "value"), port);
            } else {
                entries.refer(&entry["valueFrom"]);
            }
        }
        entries
    }

    /// A literal hides every earlier entry; our own address and the empty text say nothing.
    fn decide(&mut self, provider: &Provider, value: &str, port: u16) {
        *self = Self {
            is_final: true,
            is_unreadable: holds_variable(value),
            ..Self::default()
        };
        let normal = provider.normal(value);
        if !normal.is_empty() && normal != provider.normal(&provider.url(port)) {
            self.sources.push(Source::Literal(normal));
        }
    }

    /// A required reference hides every earlier entry; where an optional one is missing the earlier show through.
    fn refer(&mut self, value_from: &Value) {
        let is_optional = KEYS.into_iter().any(|kind| value_from[kind]["optional"] == true);
        if !is_optional {
            *self = Self {
                is_final: true,
                ..Self::default()
            };
        }
        match Source::read(value_from) {
            Some(source) => self.sources.push(source),
            None => self.is_unreadable = true,
        }
    }
}

const KEYS: [&str; 2] = ["configMapKeyRef", "secretKeyRef"];
