//! Bounded scoped store, single-flight, bans, Redis.
//!
//! Values are opaque bytes under opaque digests: this crate never sees HTTP, a policy or a provider.
//! It reads no wall clock; callers pass Unix milliseconds as `now_ms`.

pub mod bans;
pub mod budget;
pub mod entry;
pub mod lease;
pub mod memory;
pub mod redis;
pub mod seal;
pub mod single_flight;
pub mod tiers;
