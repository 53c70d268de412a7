//! One answer from vectors of several.

use bytes::Bytes;

use super::{Envelope, Vector};

/// Puts vectors, in the order of the caller's items, into an envelope that states so many tokens; nothing when the
/// envelope is none. Every byte but the indexes and the counts is the provider's.
pub fn merge(envelope: &[u8], vectors: &[&Vector], tokens: u64) -> Option<Bytes> {
    let read = Envelope::read(envelope).ok()?;
    let room: usize = vectors.iter().map(|vector| vector.object.len() + 5).sum();
    let mut data = Vec::with_capacity(room + 2);
    for (index, vector) in vectors.iter().enumerate() {
        data.push(if index == 0 { b'[' } else { b',' });
        data.extend_from_slice(vector.object.get(..vector.index.start)?);
        data.extend_from_slice(index.to_string().as_bytes());
        data.extend_from_slice(vector.object.get(vector.index.end..)?);
    }
    data.extend_from_slice(if vectors.is_empty() { b"[]" } else { b"]" });
    let mut edits: Vec<_> = read
        .counts
        .iter()
        .map(|place| (place.clone(), tokens.to_string().into_bytes()))
        .collect();
    edits.push((read.data.clone(), data));
    edits.sort_by_key(|(place, _)| place.start);
    let mut whole = Vec::with_capacity(envelope.len() + room + 64);
    let mut copied = 0;
    for (place, with) in edits {
        whole.extend_from_slice(&envelope[copied..place.start]);
        whole.extend_from_slice(&with);
        copied = place.end;
    }
    whole.extend_from_slice(&envelope[copied..]);
    Some(whole.into())
}
