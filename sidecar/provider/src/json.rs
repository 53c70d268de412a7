//! A strict JSON document (RFC 8259) as a flat table of nodes with exact byte spans.
//!
//! No library gives what splicing and keys need together: the source span of every node, numbers and strings as
//! they were written, and whether any object names a member twice. So this one scans once, changes nothing and
//! converts nothing until asked.

mod canonical;
mod scan;
#[cfg(test)]
pub(crate) mod tests;
mod text;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

pub use canonical::{All, Filter, Order, gather, write};
pub use text::quote;

/// Containers deeper than this are refused, so that walking a document never exhausts the stack.
pub const MAX_DEPTH: usize = 256;
/// More values than this are refused: the table then stays under 16 MiB whatever the body.
pub const MAX_NODES: usize = 1 << 20;

/// A parsed document: the bytes it came from and where every value lies in them.
#[derive(Debug, Clone)]
pub struct Document {
    bytes: Bytes,
    nodes: Vec<Node>,
    duplicate_member: bool,
    lone_surrogate: bool,
}

/// One value (or member name) of the document that handed it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `false`.
    False,
    /// `true`.
    True,
    /// A number, as written.
    Number,
    /// A string, as written.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Why bytes are not a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The grammar is broken at this byte offset.
    #[error("not JSON at byte {0}")]
    Syntax(usize),
    /// The bytes are not UTF-8 from this byte offset on.
    #[error("not UTF-8 at byte {0}")]
    Utf8(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} containers")]
    TooDeep,
    /// More than [`MAX_NODES`] values, or 4 GiB.
    #[error("more than {MAX_NODES} values")]
    TooLarge,
}

/// Nodes lie in document order. An object's children alternate name, value; `next` is the first node that is not
/// inside this one, so a sibling is one step away however large the value is.
#[derive(Debug, Clone, Copy)]
struct Node {
    start: u32,
    end: u32,
    next: u32,
    kind: Kind,
    escaped: bool,
}

impl Document {
    /// Scans a whole body; fails with the first offence.
    pub fn parse(bytes: Bytes) -> Result<Self, Error> {
        let scan = scan::scan(&bytes)?;
        Ok(Self {
            nodes: scan.nodes,
            duplicate_member: scan.duplicate_member,
            lone_surrogate: scan.lone_surrogate,
            bytes,
        })
    }

    /// The bytes the document was read from.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The outermost value.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// Whether any object, at any depth, names a member twice (compared after unescaping).
    pub fn has_duplicate_member(&self) -> bool {
        self.duplicate_member
    }

    /// Whether any string holds half of a surrogate pair, which no text can represent.
    pub fn has_lone_surrogate(&self) -> bool {
        self.lone_surrogate
    }

    /// What this node is.
    pub fn kind(&self, node: NodeId) -> Kind {
        self.node(node).kind
    }

    /// Where this node lies in the bytes.
    pub fn span(&self, node: NodeId) -> Range<usize> {
        let node = self.node(node);
        node.start as usize..node.end as usize
    }

    /// The node as written.
    pub fn raw(&self, node: NodeId) -> &[u8] {
        &self.bytes[self.span(node)]
    }

    /// The node as written, sharing the document's memory.
    pub fn slice(&self, node: NodeId) -> Bytes {
        self.bytes.slice(self.span(node))
    }

    /// The decoded string; nothing for other kinds. A lone surrogate reads as U+FFFD.
    pub fn text(&self, node: NodeId) -> Option<Cow<'_, str>> {
        let Node { kind, escaped, .. } = *self.node(node);
        (kind == Kind::String).then(|| text::decode(self.inside(node), escaped))
    }

    /// Whether this is a string that decodes to `value`.
    pub fn is_text(&self, node: NodeId, value: &str) -> bool {
        let Node { kind, escaped, .. } = *self.node(node);
        kind == Kind::String
            && if escaped {
                text::decode(self.inside(node), true) == value
            } else {
                self.inside(node) == value.as_bytes()
            }
    }

    /// Whether this is a string with anything but white space in it.
    pub fn has_text(&self, node: NodeId) -> bool {
        // A string's first byte settles it nearly always; only the rest is worth decoding.
        self.kind(node) == Kind::String
            && match self.inside(node).first() {
                Some(b'!'..=b'[' | b']'..=b'~') => true,
                _ => self.text(node).is_some_and(|text| !text.trim().is_empty()),
            }
    }

    /// The number as a double; for decisions only, never for what is sent or hashed.
    pub fn number(&self, node: NodeId) -> Option<f64> {
        if self.kind(node) != Kind::Number {
            return None;
        }
        std::str::from_utf8(self.raw(node)).ok()?.parse().ok()
    }

    /// The number when it is written as a plain integer that fits.
    pub fn integer(&self, node: NodeId) -> Option<u64> {
        if self.kind(node) != Kind::Number {
            return None;
        }
        std::str::from_utf8(self.raw(node)).ok()?.parse().ok()
    }

    /// The elements of an array, in order; nothing for other kinds.
    pub fn elements(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let end = self.children_end(node, Kind::Array);
        let mut at = node.0 + 1;
        std::iter::from_fn(move || {
            let this = NodeId(at);
            (at < end).then(|| {
                at = self.node(this).next;
                this
            })
        })
    }

    /// The members of an object as (name, value), in order; nothing for other kinds.
    pub fn members(&self, node: NodeId) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        let end = self.children_end(node, Kind::Object);
        let mut at = node.0 + 1;
        std::iter::from_fn(move || {
            let (name, value) = (NodeId(at), NodeId(at + 1));
            (at < end).then(|| {
                at = self.node(value).next;
                (name, value)
            })
        })
    }

    /// The value of the first member of this name; nothing for other kinds.
    pub fn member(&self, node: NodeId, name: &str) -> Option<NodeId> {
        self.members(node)
            .find(|(candidate, _)| self.is_text(*candidate, name))
            .map(|(_, value)| value)
    }

    /// Like [`Document::member`], with `null` counted as absent.
    pub fn set_member(&self, node: NodeId, name: &str) -> Option<NodeId> {
        self.member(node, name).filter(|value| self.kind(*value) != Kind::Null)
    }

    fn children_end(&self, node: NodeId, kind: Kind) -> u32 {
        let Node { kind: is, next, .. } = *self.node(node);
        if is == kind { next } else { 0 }
    }

    /// A string's bytes between its quotes.
    fn inside(&self, node: NodeId) -> &[u8] {
        let Range { start, end } = self.span(node);
        &self.bytes[start + 1..end - 1]
    }

    fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node.0 as usize]
    }
}
