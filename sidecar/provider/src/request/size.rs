//! How many tokens a prompt may have, from its bytes alone.

use crate::json::{Document, Kind, NodeId};

/// Members whose long strings are encoded media: they hold far fewer tokens than text of their length.
const MEDIA: [&str; 4] = ["data", "file_data", "image_url", "url"];
/// A shorter string under such a name is an address or a word, not media.
const MEDIA_BYTES: usize = 1024;

/// Estimates tokens: four bytes of JSON each, sixteen bytes of encoded media each.
pub(super) fn tokens(document: &Document, fields: impl IntoIterator<Item = NodeId>) -> u64 {
    let bytes = fields.into_iter().map(|node| weight(document, node)).sum::<usize>();
    bytes.div_ceil(4) as u64
}

fn weight(document: &Document, node: NodeId) -> usize {
    let own = document.span(node).len();
    let spared: usize = match document.kind(node) {
        Kind::Array => document.elements(node).map(|element| spared(document, element)).sum(),
        Kind::Object => spared(document, node),
        _ => 0,
    };
    own - spared
}

/// The bytes of `node` that do not count because they are media.
fn spared(document: &Document, node: NodeId) -> usize {
    match document.kind(node) {
        Kind::Array => document.elements(node).map(|element| spared(document, element)).sum(),
        Kind::Object => document
            .members(node)
            .map(|(name, value)| {
                let length = document.span(value).len();
                let is_media = document.kind(value) == Kind::String
                    && length >= MEDIA_BYTES
                    && MEDIA.iter().any(|media| document.is_text(name, media));
                if is_media {
                    length - length / 4
                } else {
                    spared(document, value)
                }
            })
            .sum(),
        _ => 0,
    }
}
