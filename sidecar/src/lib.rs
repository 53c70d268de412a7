//! The proxy: one straight pipeline between an app and its LLM provider.
//!
//! [`run::run`] serves a [`config::Config`]; `pipeline::handle` is where a request goes through.

pub mod account;
pub mod config;
pub mod metrics;
pub mod outcome;
pub mod run;

mod admin;
mod body;
mod client;
mod clock;
mod local;
mod memory;
mod pipeline;
mod server;
