//! Writes a value without white space, leaving out what the caller says.
//!
//! Numbers and strings are written as they stand in the source, so two spellings of one number or one string stay
//! different. Only a member's *name* has one spelling, because members are sorted by it.

use std::borrow::Cow;

use super::{Document, Kind, NodeId, quote};

/// Says what to leave out; one value of it stands for one place in the document.
pub trait Filter: Copy {
    /// The filter for this member's value, or nothing when the member is left out.
    fn member(self, name: &str) -> Option<Self>;
    /// The filter for the elements of this array.
    #[must_use]
    fn element(self) -> Self;
    /// Whether nothing here or below is left out.
    fn keeps_all(self) -> bool;
}

/// Leaves nothing out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct All;

/// The order of an object's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By name: equal for objects that differ only in order and white space.
    Sorted,
    /// As in the source; what is kept whole is copied with its white space.
    Written,
}

/// Writes `node` to `sink` in pieces of any size.
pub fn write<F: Filter>(document: &Document, node: NodeId, filter: F, order: Order, sink: &mut dyn FnMut(&[u8])) {
    match document.kind(node) {
        Kind::Array | Kind::Object if order == Order::Written && filter.keeps_all() => sink(document.raw(node)),
        Kind::Array => write_array(document, node, filter.element(), order, sink),
        Kind::Object => write_object(document, node, filter, order, sink),
        _ => sink(document.raw(node)),
    }
}

/// Gives `produce` a sink that hands on its small pieces together, up to 8 KiB at once: a hash then sees few calls.
pub fn gather(sink: &mut dyn FnMut(&[u8]), produce: impl FnOnce(&mut dyn FnMut(&[u8]))) {
    const ROOM: usize = 8 << 10;
    let mut gathered = Vec::with_capacity(ROOM);
    produce(&mut |bytes| {
        if gathered.len() + bytes.len() > ROOM {
            sink(&gathered);
            gathered.clear();
        }
        if bytes.len() > ROOM {
            sink(bytes);
        } else {
            gathered.extend_from_slice(bytes);
        }
    });
    sink(&gathered);
}

impl Filter for All {
    fn member(self, _name: &str) -> Option<Self> {
        Some(self)
    }

    fn element(self) -> Self {
        self
    }

    fn keeps_all(self) -> bool {
        true
    }
}

fn write_array<F: Filter>(document: &Document, node: NodeId, filter: F, order: Order, sink: &mut dyn FnMut(&[u8])) {
    let mut separator: &[u8] = b"[";
    for element in document.elements(node) {
        sink(separator);
        write(document, element, filter, order, sink);
        separator = b",";
    }
    sink(if separator == b"[" { b"[]" } else { b"]" });
}

fn write_object<F: Filter>(document: &Document, node: NodeId, filter: F, order: Order, sink: &mut dyn FnMut(&[u8])) {
    let mut members: Vec<(Cow<'_, str>, NodeId, NodeId, F)> = document
        .members(node)
        .filter_map(|(name, value)| {
            let text = document.text(name)?;
            let filter = filter.member(&text)?;
            Some((text, name, value, filter))
        })
        .collect();
    if order == Order::Sorted {
        // Stable, so that even a repeated name has one order.
        members.sort_by(|left, right| left.0.cmp(&right.0));
    }
    let mut separator: &[u8] = b"{";
    for (text, name, value, filter) in members {
        sink(separator);
        match text {
            Cow::Borrowed(_) => sink(document.raw(name)),
            Cow::Owned(text) => sink(&quote(&text)),
        }
        sink(b":");
        write(document, value, filter, order, sink);
        separator = b",";
    }
    sink(if separator == b"{" { b"{}" } else { b"}" });
}
