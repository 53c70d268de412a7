//! Policies in, snapshots and sidecars out: watches → index → plan → push → status.
//!
//! [`mod@validate`], [`mod@compile`], [`index`], [`inject`], [`mod@opt_in`], [`plan`] and [`settings`] are pure: they never touch a
//! client or a clock.

pub mod admin;
pub mod ca_bundle;
pub mod certificates;
pub mod check;
pub mod compile;
pub mod conditions;
pub mod credentials;
pub mod events;
pub mod facts;
#[cfg(test)]
mod fake_api;
mod follow;
pub mod identity;
pub mod index;
pub mod inject;
pub mod install_secret;
pub mod invalidation;
pub mod lease;
pub mod metrics;
pub mod on_change;
pub mod opt_in;
pub mod plan;
pub mod push;
pub mod run;
pub mod settings;
pub mod sidecars;
pub mod status;
pub mod stores;
pub mod validate;
pub mod watch;
pub mod watchdog;
pub mod webhook;
pub mod world;

pub use compile::compile;
/// The language between operator and sidecar, for those who read snapshots and names.
pub use llmcache_policy as policy;
pub use validate::{Loaded, Problem, Validated, Warning, load, validate};
