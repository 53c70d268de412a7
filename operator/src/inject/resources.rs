//! Requests and limits of the sidecar, in the form of the annotation: `cpu=20m/1,memory=64Mi/256Mi`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::quantity::Quantity;
use super::read::quoted;

/// Requests and limits by resource name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources(pub(super) BTreeMap<String, Span>);

/// Request and limit of one resource; the request is never above the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What is set aside.
    pub request: Quantity,
    /// What is the most.
    pub limit: Quantity,
}

impl Resources {
    /// Reads `cpu=REQUEST/LIMIT,memory=REQUEST/LIMIT`, or one of the two; the error names the part and what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut spans = BTreeMap::new();
        for part in text.split(',') {
            let (name, span) = read(part.trim()).ok_or_else(|| {
                let part = quoted(part.trim());
                format!("{part} is not cpu=REQUEST/LIMIT or memory=REQUEST/LIMIT with 0 < REQUEST <= LIMIT")
            })?;
            if spans.insert(name.to_owned(), span).is_some() {
                return Err(format!("{name} is there twice"));
            }
        }
        Ok(Self(spans))
    }

    /// The same, with another's resources where it has some.
    #[must_use]
    pub fn overlaid(&self, other: Self) -> Self {
        let mut spans = self.0.clone();
        spans.extend(other.0);
        Self(spans)
    }

    /// As a container has it.
    pub(super) fn render(&self) -> Value {
        let side = |pick: fn(&Span) -> Quantity| {
            let members = self.0.iter();
            let members = members.map(|(name, span)| (name.clone(), pick(span).to_string().into()));
            Value::Object(members.collect::<Map<_, _>>())
        };
        json!({"requests": side(|span| span.request), "limits": side(|span| span.limit)})
    }
}

impl Default for Resources {
    fn default() -> Self {
        let cpu = Span {
            request: Quantity::milli(20),
            limit: Quantity::milli(1000),
        };
        let memory = Span {
            request: Quantity::mebi(64),
            limit: Quantity::mebi(256),
        };
        Self(BTreeMap::from([("cpu".to_owned(), cpu), ("memory".to_owned(), memory)]))
    }
}

fn read(part: &str) -> Option<(&str, Span)> {
    let (name, amounts) = part.split_once('=')?;
    let (request, limit) = amounts.split_once('/')?;
    let (request, limit) = (Quantity::parse(request)?, Quantity::parse(limit)?);
    let is_right = matches!(name, "cpu" | "memory") && !request.is_zero() && request <= limit;
    is_right.then_some((name, Span { request, limit }))
}
