//! Policies in, snapshots and sidecars out.
//!
//! [`mod@validate`] and [`mod@compile`] are pure: they never touch a client or a clock.

pub mod compile;
pub mod lease;
pub mod validate;

pub use compile::compile;
pub use validate::{Loaded, Problem, Validated, Warning, load, validate};
