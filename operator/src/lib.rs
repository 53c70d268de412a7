//! Policies in, snapshots and sidecars out.
//!
//! [`mod@validate`] and [`mod@compile`] are pure: they never touch a client or a clock.

pub mod ca_bundle;
pub mod certificates;
pub mod compile;
#[cfg(test)]
mod fake_api;
mod follow;
pub mod identity;
pub mod install_secret;
pub mod lease;
pub mod validate;

pub use compile::compile;
pub use validate::{Loaded, Problem, Validated, Warning, load, validate};
