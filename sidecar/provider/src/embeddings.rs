//! Embeddings answers taken apart into vectors and put together again.
//!
//! A vector is never decoded: the very text the provider wrote, in the form it was asked in, is what every caller
//! gets. JSON floats may carry more or fewer digits than the 32-bit numbers behind base64, so neither is made from
//! the other.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

mod envelope;
mod merge;
mod shares;
mod space;
#[cfg(test)]
mod tests;

pub use envelope::Envelope;
pub use merge::merge;
pub use shares::shares;
pub use space::{Shape, Space};

use crate::answer::NotAnswer;
use crate::answer::raw::{self, Members};

/// A batch's answer, apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The answer around its vectors, at most 4 KiB.
    pub envelope: Bytes,
    /// Tokens billed for all; nothing when the answer does not say.
    pub tokens: Option<u64>,
    /// What all its vectors have in common.
    pub space: Space,
    /// One vector for each item asked, in the items' order.
    pub vectors: Vec<Vector>,
}

/// One element of an answer's `data`, as written, with the place of its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// The object, as the provider wrote it.
    pub object: Bytes,
    /// Where the number after `index` stands in it.
    pub index: Range<usize>,
}

/// Takes an answer to `count` items apart; fails unless there is exactly one vector for each of them, all of one
/// shape and, where `dimensions` were asked for, of that many numbers.
pub fn read(body: &Bytes, count: usize, dimensions: Option<u64>) -> Result<Batch, NotAnswer> {
    let envelope = Envelope::read(body)?;
    let data = envelope.data.clone();
    let listed: Vec<&RawValue> = serde_json::from_slice(&body[data]).map_err(|_| NotAnswer::Malformed)?;
    if listed.len() != count {
        return Err(NotAnswer::Malformed);
    }
    let mut places: Vec<Option<Vector>> = vec![None; count];
    let mut shape = None;
    for object in listed {
        let (index, vector, own) = element(body, object).ok_or(NotAnswer::Malformed)?;
        let place = places.get_mut(index).ok_or(NotAnswer::Malformed)?;
        let is_new = place.replace(vector).is_none();
        if !is_new || *shape.get_or_insert(own) != own || dimensions.is_some_and(|asked| own.dimensions() != asked) {
            return Err(NotAnswer::Malformed);
        }
    }
    Ok(Batch {
        envelope: envelope.without_data(body).ok_or(NotAnswer::Malformed)?,
        tokens: envelope.tokens,
        space: Space {
            model: envelope.model,
            shape: shape.ok_or(NotAnswer::Malformed)?,
        },
        vectors: places.into_iter().collect::<Option<_>>().ok_or(NotAnswer::Malformed)?,
    })
}

/// One element: its index, itself, and its vector's shape.
fn element(body: &Bytes, object: &RawValue) -> Option<(usize, Vector, Shape)> {
    let members = Members::read(object)?;
    let [embedding, index] = members.once(["embedding", "index"])?;
    let number = index.get().parse().ok()?;
    let whole = raw::range(body, object);
    let place = raw::range(body, index);
    let vector = Vector {
        object: body.slice(whole.clone()),
        index: place.start - whole.start..place.end - whole.start,
    };
    Some((number, vector, Shape::of(embedding)?))
}
