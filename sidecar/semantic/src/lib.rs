//! Embedding, nearest neighbour, guards, evidence, Qdrant.
//!
//! It sees questions and vectors, never HTTP, a policy or a provider; guards and evidence are pure.

pub mod embedding;
pub mod evidence;
pub mod guards;
pub mod index;
