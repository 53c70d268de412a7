//! The proxy: one straight pipeline between an app and its LLM provider.
//!
//! [`run::run`] serves a fixed [`config::Config`], [`commands::run`] is the sidecar of a pod; `pipeline::handle` is where a request goes through.

pub mod account;
pub mod commands;
pub mod config;
pub mod embedder;
pub mod metrics;
pub mod outcome;
pub mod run;

mod admin;
mod body;
mod client;
mod clock;
mod in_force;
mod local;
mod memory;
mod own_upstream;
mod pipeline;
mod pod;
mod process;
mod push;
mod server;
mod settings;
mod signals;

pub use llmcache_policy as policy;
pub use llmcache_provider as provider;
pub use llmcache_semantic as semantic;
