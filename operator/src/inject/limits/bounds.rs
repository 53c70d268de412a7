//! The bounds of one resource, and the span that fits them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::super::quantity::Quantity;
use super::super::resources::Span;

/// Least, most and greatest ratio of limit to request; what holds where a container says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: Option<Quantity>,
    pub(super) max: Option<Quantity>,
    /// The most that may be requested, below the greatest limit.
    pub(super) max_request: Option<Quantity>,
    pub(super) ratio: Option<Quantity>,
    pub(super) default: Option<Quantity>,
    pub(super) default_request: Option<Quantity>,
}

/// One of the amounts.
type Slot = fn(&mut Bounds) -> &mut Option<Quantity>;

/// Less than this and the sidecar would not work: its own idle memory is about 12 MiB.
fn least(resource: &str) -> Quantity {
    match resource {
        "cpu" => Quantity::milli(10),
        "memory" => Quantity::mebi(32),
        _ => Quantity::default(),
    }
}

/// A ratio lowers the limit down to here before it raises the request: enough for 2 500 requests a second and for the
/// embedder.
fn ample(resource: &str) -> Quantity {
    match resource {
        "cpu" => Quantity::milli(250),
        "memory" => Quantity::mebi(192),
        _ => Quantity::default(),
    }
}

impl Bounds {
    /// The bounds of one item of a `LimitRange`, by resource.
    pub(super) fn read(item: &Value) -> BTreeMap<String, Self> {
        let mut bounds: BTreeMap<String, Self> = BTreeMap::new();
        let fields: [(&str, Slot); 5] = [
            ("min", |bounds| &mut bounds.min),
            ("max", |bounds| &mut bounds.max),
            ("maxLimitRequestRatio", |bounds| &mut bounds.ratio),
            ("default", |bounds| &mut bounds.default),
            ("defaultRequest", |bounds| &mut bounds.default_request),
        ];
        for (field, slot) in fields {
            for (resource, amount) in item[field].as_object().into_iter().flatten() {
                let amount = amount.as_str().and_then(Quantity::parse);
                *slot(bounds.entry(resource.clone()).or_default()) = amount;
            }
        }
        bounds
    }

    /// Both bounds at once.
    pub(super) fn and(self, other: &Self) -> Self {
        let least = |a: Option<Quantity>, b: Option<Quantity>| a.into_iter().chain(b).min();
        Self {
            min: self.min.max(other.min),
            max: least(self.max, other.max),
            max_request: least(self.max_request, other.max_request),
            ratio: least(self.ratio, other.ratio),
            default: self.default.or(other.default),
            default_request: self.default_request.or(other.default_request),
        }
    }

    /// What to ask of a resource that we do not need, where its bounds refuse containers that ask for nothing.
    pub(super) fn preset(&self) -> Option<Span> {
        if self.min.is_none() && self.max.is_none() && self.ratio.is_none() {
            return None;
        }
        let limit = self.default.or(self.max).or(self.default_request).or(self.min)?;
        let request = self.default_request.or(self.min).unwrap_or(limit);
        Some(Span { request, limit })
    }

    /// The nearest span inside the bounds; none when there is none that works.
    pub(super) fn fit(&self, resource: &str, wanted: Span) -> Option<Span> {
        let at_most = |amount: Quantity, most: Option<Quantity>| most.map_or(amount, |most| amount.min(most));
        let min = self.min.unwrap_or_default();
        let mut limit = at_most(wanted.limit, self.max).max(min);
        let mut request = at_most(wanted.request.min(limit), self.max_request).max(min);
        if let Some(ratio) = self.ratio {
            let lowered = request.times_down(ratio, resource);
            limit = limit.min(lowered.max(ample(resource)));
            request = request.max(limit.divided_up(ratio, resource)).min(limit);
        }
        let span = Span { request, limit };
        let least = least(resource).min(wanted.limit);
        (span.limit >= least && self.allows(resource, span)).then_some(span)
    }

    fn allows(&self, resource: &str, Span { request, limit }: Span) -> bool {
        let below = |amount: Quantity, most: Option<Quantity>| most.is_none_or(|most| amount <= most);
        self.min.is_none_or(|min| min <= request)
            && request <= limit
            && below(limit, self.max)
            && below(request, self.max_request)
            && self
                .ratio
                .is_none_or(|ratio| limit.divided_up(ratio, resource) <= request)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            ("min", self.min),
            ("max", self.max),
            ("max request", self.max_request),
            ("ratio", self.ratio),
        ];
        let words: Vec<String> = words
            .into_iter()
            .filter_map(|(word, amount)| amount.map(|amount| format!("{word} {amount}")))
            .collect();
        formatter.write_str(&words.join(", "))
    }
}
