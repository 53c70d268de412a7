//! What users write: the kinds `LLMCachePolicy` and `LLMCacheInvalidation`, their schemas and examples.
//!
//! Bounds and cross-field rules are part of the schema, so the API server and offline checks judge alike.
//! Defaults are not: they are applied when a policy is compiled, and only named in the docs of each field.

pub mod duration;
pub mod invalidation;
pub mod policy;
pub mod reference;
pub mod rule;
mod schema;
pub mod size;
pub mod status;
pub mod text;

pub use invalidation::{LLMCacheInvalidation, LLMCacheInvalidationSpec, LLMCacheInvalidationStatus};
pub use policy::{LLMCachePolicy, LLMCachePolicySpec, Mode};
pub use schema::{invalidation_definition, invalidation_schema, policy_definition, policy_schema};
pub use status::LLMCachePolicyStatus;
