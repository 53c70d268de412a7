//! The only changes ever made to a body, each as one splice.

use bytes::Bytes;

use super::Request;
use crate::Endpoint;
use crate::Provider;
use crate::json::{Kind, NodeId, quote};
use crate::prompt::{Site, Ttl};
use crate::splice::Splice;

impl Request {
    /// Replaces the model's value.
    pub fn set_model(&self, model: &str) -> Splice {
        self.replace(self.model, quote(model))
    }

    /// Adds a mark to a block, or wraps a string into a marked text block; at [`Site::None`] it changes nothing.
    pub fn set_mark(&self, site: Site, ttl: Ttl) -> Splice {
        match site {
            Site::Block(block) => self.set(block, "cache_control", mark(ttl)),
            Site::String(string) => {
                let text = self.document.raw(string);
                let parts = [
                    br#"[{"type":"text","text":"#,
                    text,
                    br#","cache_control":"#,
                    mark(ttl),
                    b"}]",
                ];
                self.replace(string, parts.concat())
            }
            Site::None => Splice {
                range: 0..0,
                with: Bytes::new(),
            },
        }
    }

    /// Adds a top-level mark; nothing when the client has one or the endpoint has no such field.
    pub fn set_top_level_mark(&self, ttl: Ttl) -> Option<Splice> {
        let root = self.document.root();
        let is_free = self.document.set_member(root, "cache_control").is_none();
        (self.endpoint == Endpoint::AnthropicMessages && is_free).then(|| self.set(root, "cache_control", mark(ttl)))
    }

    /// Asks for usage in a chat stream; nothing when the client did, or does not stream chat.
    pub fn include_usage(&self) -> Option<Splice> {
        if self.endpoint != Endpoint::OpenAiChat || !self.wants_stream() || self.wants_usage() {
            return None;
        }
        let root = self.document.root();
        match self.document.set_member(root, "stream_options") {
            None => Some(self.set(root, "stream_options", br#"{"include_usage":true}"#)),
            Some(options) if self.document.kind(options) == Kind::Object => {
                Some(self.set(options, "include_usage", b"true"))
            }
            Some(_) => None,
        }
    }

    /// Sets OpenAI's prompt-cache key; nothing when the client has one or the endpoint has no such field.
    pub fn set_prompt_cache_key(&self, key: &str) -> Option<Splice> {
        let root = self.document.root();
        let is_free = self.document.set_member(root, "prompt_cache_key").is_none();
        (self.endpoint.provider() == Provider::OpenAi && is_free)
            .then(|| self.set(root, "prompt_cache_key", &quote(key)))
    }

    /// Gives an object's member a value: in place of the one it has, else after its last member.
    fn set(&self, object: NodeId, name: &str, value: &[u8]) -> Splice {
        if let Some(present) = self.document.member(object, name) {
            return self.replace(present, value.to_vec());
        }
        let quoted = quote(name);
        let (at, parts) = match self.document.members(object).last() {
            Some((_, last)) => (self.document.span(last).end, [b",".as_slice(), &quoted, b":", value]),
            None => (
                self.document.span(object).start + 1,
                [b"".as_slice(), &quoted, b":", value],
            ),
        };
        Splice {
            range: at..at,
            with: parts.concat().into(),
        }
    }

    pub(super) fn replace(&self, node: NodeId, with: Vec<u8>) -> Splice {
        Splice {
            range: self.document.span(node),
            with: with.into(),
        }
    }
}

fn mark(ttl: Ttl) -> &'static [u8] {
    match ttl {
        Ttl::FiveMinutes => br#"{"type":"ephemeral"}"#,
        Ttl::OneHour => br#"{"type":"ephemeral","ttl":"1h"}"#,
    }
}
