//! Embedding, nearest neighbour, guards: what the semantic cache is built from.
//!
//! It sees questions and vectors, never HTTP, a policy or a provider; guards and index are pure.

pub mod embedding;
pub mod guards;
pub mod index;
