//! Embedding, nearest neighbour, guards, evidence: what the semantic cache is built from.
//!
//! It sees questions and vectors, never HTTP, a policy or a provider; guards, index and evidence are pure.
//! Only the embedder and Qdrant do I/O.

pub mod embedding;
pub mod evidence;
pub mod guards;
pub mod index;
pub mod qdrant;
