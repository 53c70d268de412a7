//! Texts to vectors: the model in its folder, the process that runs it, and the handle that the proxy asks.
//!
//! The proxy never runs the model itself: a crash or a memory cap of the native library costs the layer, not the proxy.

use std::fmt;

pub mod child;
mod embedder;
mod files;
mod model;
mod process;
#[cfg(test)]
mod tests;
mod wire;

pub use embedder::{Embedder, Settings, State, Unavailable};
pub use files::ModelError;
pub use model::{Model, TextError};

/// Numbers in a vector.
pub const WIDTH: usize = 384;

/// Most tokens of a text, the two that frame it included; a longer one has no vector, because its end would not count.
pub const MOST_TOKENS: usize = 128;

/// Most bytes of a text: 128 tokens of ordinary writing stay far below, and more is not worth counting.
pub const MOST_BYTES: usize = 4096;

/// Where a text lies among others: unit length, so that a dot product is the cosine.
#[derive(Clone, PartialEq)]
pub struct Vector(Box<[f32; WIDTH]>);

/// The name of a vector space, the first 12 hex digits of the model file's SHA-256: vectors of two spaces never meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Space(String);

impl Vector {
    /// Scales `numbers` to unit length; `None` unless they are 384 finite ones and not all zero.
    pub fn new(numbers: &[f32]) -> Option<Self> {
        let mut numbers: Box<[f32; WIDTH]> = Box::new(numbers.try_into().ok()?);
        let length = numbers.iter().map(|number| number * number).sum::<f32>().sqrt();
        if !length.is_finite() || length < f32::MIN_POSITIVE {
            return None;
        }
        for number in numbers.iter_mut() {
            *number /= length;
        }
        Some(Self(numbers))
    }

    /// The 384 numbers.
    pub fn numbers(&self) -> &[f32; WIDTH] {
        &self.0
    }

    /// The cosine of the angle to another vector, −1 to 1.
    pub fn cosine(&self, other: &Self) -> f32 {
        self.0.iter().zip(other.0.iter()).map(|(one, two)| one * two).sum()
    }
}

/// Says nothing of the numbers: what a text means can be guessed from them.
impl fmt::Debug for Vector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Vector")
    }
}

impl Space {
    /// The space of the model that this program was built for.
    pub fn known() -> Self {
        Self(files::known_sum(files::MODEL).chars().take(12).collect())
    }

    /// The 12 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Space {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
