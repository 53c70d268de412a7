//! Provider wire formats: Anthropic Messages, OpenAI Chat Completions, Responses and Embeddings.
//!
//! Requests are a typed view over the client's exact bytes; nothing here opens a socket or reads a clock.

pub mod answer;
pub mod embeddings;
pub mod endpoint;
pub mod error;
pub mod json;
pub mod judge;
pub mod models;
pub mod prompt;
pub mod replay;
pub mod request;
pub mod splice;
mod sse;
pub mod usage;

pub use endpoint::{Endpoint, Provider, resolve};
pub use request::Request;
