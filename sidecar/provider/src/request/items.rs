//! A request taken as the items it asks for, each keyed and sent on its own (Embeddings); others have none.

use super::{Leave, Request};
use crate::json::{Kind, NodeId, Order, gather, write};
use crate::splice::Splice;

/// One item of a request's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    node: NodeId,
    /// Its size, in which a batch's tokens are shared out: bytes of a text as written, numbers of a list of tokens.
    pub weight: u64,
    /// Its tokens: as many as it lists, or a fourth of its text's bytes.
    pub estimate: u64,
}

impl Request {
    /// The items in the order written, repeated ones included; none for an endpoint that answers as a whole.
    pub fn items(&self) -> Vec<Item> {
        let nodes = self.view.items(&self.document).into_iter();
        nodes.map(|node| self.item(node)).collect()
    }

    /// How many numbers each vector is asked to have; nothing when the model decides.
    pub fn dimensions(&self) -> Option<u64> {
        self.view.dimensions(&self.document)
    }

    /// Writes what distinguishes one item among all of this request: its value, without white space.
    ///
    /// With what [`Request::write_key`] writes before it, it is no prefix of another item's form.
    pub fn write_item(&self, item: &Item, sink: &mut dyn FnMut(&[u8])) {
        gather(sink, |sink| {
            write(&self.document, item.node, Leave::Nothing, Order::Sorted, sink);
            sink(b"\0");
        });
    }

    /// Asks for these items alone, each as written; nothing when that is the input as it stands.
    pub fn keep_items(&self, items: &[Item]) -> Option<Splice> {
        let input = self.view.input()?;
        if self.items() == items {
            return None;
        }
        let mut list = Vec::new();
        for item in items {
            list.push(if list.is_empty() { b'[' } else { b',' });
            list.extend_from_slice(self.document.raw(item.node));
        }
        list.push(b']');
        Some(self.replace(input, list))
    }

    fn item(&self, node: NodeId) -> Item {
        let bytes = self.document.span(node).len() as u64;
        if self.document.kind(node) == Kind::String {
            let weight = bytes.saturating_sub(2);
            return Item {
                node,
                weight,
                estimate: weight.div_ceil(4),
            };
        }
        let numbers = self.document.elements(node).count() as u64;
        Item {
            node,
            weight: numbers,
            estimate: numbers,
        }
    }
}
