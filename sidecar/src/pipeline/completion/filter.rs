//! What the app must not see of its own live stream: only what comes of fields that we added to the request.

use bytes::Bytes;
use llmcache_provider::Endpoint;
use llmcache_provider::replay::EchoFilter;
use llmcache_provider::usage::UsageFilter;

use crate::pipeline::{Exchange, Pipeline};

/// Undoes in the answer what a splice did to the request.
pub(super) enum Filter {
    /// Nothing to undo: bytes pass as they are.
    Nothing,
    /// We asked for usage in a chat stream.
    Usage(UsageFilter),
    /// We set the prompt-cache key, which a Responses answer repeats.
    Echo(Box<EchoFilter>),
}

impl Filter {
    /// The filter for one answer; `echoes_ours` = it repeats a field that we added.
    pub(super) fn new(pipeline: &Pipeline, exchange: &Exchange, echoes_ours: bool) -> Self {
        let endpoint = exchange.call.endpoint;
        match endpoint {
            Endpoint::OpenAiChat if exchange.is_native(pipeline) && exchange.call.request.include_usage().is_some() => {
                Self::Usage(UsageFilter::new())
            }
            Endpoint::OpenAiResponses if echoes_ours => {
                Self::Echo(Box::new(EchoFilter::new(endpoint, exchange.echo.clone())))
            }
            _ => Self::Nothing,
        }
    }

    /// What the app gets of the next bytes; part of an event is held until it is whole.
    pub(super) fn feed(&mut self, chunk: Bytes) -> Bytes {
        let mut out = Vec::with_capacity(chunk.len());
        match self {
            Self::Nothing => return chunk,
            Self::Usage(filter) => filter.feed(&chunk, &mut out),
            Self::Echo(filter) => filter.feed(&chunk, &mut out),
        }
        out.into()
    }

    /// What is still held when the stream has ended.
    pub(super) fn finish(self) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Nothing => {}
            Self::Usage(filter) => filter.finish(&mut out),
            Self::Echo(filter) => filter.finish(&mut out),
        }
        out.into()
    }
}
