//! Policies in, snapshots and sidecars out: watches → index → plan → push → status.
//!
//! [`mod@validate`], [`mod@compile`], [`index`], [`plan`] and [`settings`] are pure: they never touch a
//! client or a clock.

pub mod compile;
pub mod facts;
pub mod index;
pub mod plan;
pub mod settings;
pub mod sidecars;
pub mod validate;
pub mod world;

pub use compile::compile;
/// The language between operator and sidecar, for those who read snapshots and names.
pub use llmcache_policy as policy;
pub use validate::{Loaded, Problem, Validated, Warning, load, validate};
