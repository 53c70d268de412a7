//! Policies in, snapshots and sidecars out: watches → index → plan → push → status.
//!
//! [`mod@validate`], [`mod@compile`], [`index`], [`inject`], [`plan`] and [`settings`] are pure: they never touch a
//! client or a clock.

pub mod compile;
pub mod facts;
pub mod index;
pub mod inject;
pub mod plan;
pub mod settings;
pub mod sidecars;
pub mod validate;
pub mod webhook;
pub mod world;

pub use compile::compile;
pub use validate::{Loaded, Problem, Validated, Warning, load, validate};
